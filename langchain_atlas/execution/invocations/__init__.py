"""How models use tools: one way a file."""

from langchain_atlas.execution.invocations.base import (
    Call,
    Conversation,
    Invocation,
    InvocationError,
    InvocationSettings,
    ModelCall,
    ToolCall,
    text_of,
)
from langchain_atlas.execution.invocations.grounded import Grounded
from langchain_atlas.execution.invocations.native import Native
from langchain_atlas.execution.invocations.none import NoTool
from langchain_atlas.execution.invocations.prompted import Prompted

INVOCATIONS: dict[str, type[Invocation]] = {
    "none": NoTool,
    "native": Native,
    "prompted": Prompted,
    "grounded": Grounded,
}
"""The invocations that a tool may name."""

__all__ = [
    "INVOCATIONS",
    "Call",
    "Conversation",
    "Grounded",
    "Invocation",
    "InvocationError",
    "InvocationSettings",
    "ModelCall",
    "Native",
    "NoTool",
    "Prompted",
    "ToolCall",
    "text_of",
]
