"""How models use tools: one invocation per file."""

from langchain_atlas.execution.invocations.agent import Agent
from langchain_atlas.execution.invocations.backtracked import Backtracked
from langchain_atlas.execution.invocations.base import (
    AgentCall,
    Conversation,
    Invocation,
    InvocationCall,
    InvocationError,
    InvocationSettings,
    ModelCall,
    RefusedCall,
    ToolCall,
    text_of,
)
from langchain_atlas.execution.invocations.debugged import Debugged
from langchain_atlas.execution.invocations.grounded import Grounded
from langchain_atlas.execution.invocations.images import Chart, Counting, Geometry, Ocr
from langchain_atlas.execution.invocations.native import Native
from langchain_atlas.execution.invocations.none import NoTool
from langchain_atlas.execution.invocations.prompted import Prompted
from langchain_atlas.execution.invocations.ranked import Ranked
from langchain_atlas.execution.invocations.refined import Refined
from langchain_atlas.execution.invocations.segmented import Segmented

INVOCATIONS: dict[str, type[Invocation]] = {
    "none": NoTool,
    "native": Native,
    "prompted": Prompted,
    "grounded": Grounded,
    "ranked": Ranked,
    "refined": Refined,
    "backtracked": Backtracked,
    "debugged": Debugged,
    "segmented": Segmented,
    "chart": Chart,
    "counting": Counting,
    "geometry": Geometry,
    "ocr": Ocr,
    "agent": Agent,
}
"""The built-in invocations, by name."""

__all__ = [
    "INVOCATIONS",
    "Agent",
    "AgentCall",
    "Backtracked",
    "Chart",
    "Conversation",
    "Counting",
    "Debugged",
    "Geometry",
    "Grounded",
    "Invocation",
    "InvocationCall",
    "InvocationError",
    "InvocationSettings",
    "ModelCall",
    "Native",
    "NoTool",
    "Ocr",
    "Prompted",
    "Ranked",
    "Refined",
    "RefusedCall",
    "Segmented",
    "ToolCall",
    "text_of",
]
