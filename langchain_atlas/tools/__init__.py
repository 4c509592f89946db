"""Tools for agents. Each is a LangChain tool that also works on its own.

They do not need the rest of this package, except for the encoder that semantic search may use. Importing them is cheap:
heavy packages are imported on the first call.
"""

from langchain_atlas.tools.calculator import Calculator, evaluate
from langchain_atlas.tools.graphs import GraphTool
from langchain_atlas.tools.mcp.tool import McpServer, McpTool, mcp_tools
from langchain_atlas.tools.python.monty import MontySandbox, shared_sandbox
from langchain_atlas.tools.python.process import ProcessSandbox
from langchain_atlas.tools.python.sandbox import Execution, Sandbox, Session, SessionSandbox
from langchain_atlas.tools.python.sessions import tool_sessions
from langchain_atlas.tools.python.tool import PythonTool, run_unit_tests
from langchain_atlas.tools.registry import build_tools
from langchain_atlas.tools.search import (
    BraveSearch,
    FolderSearch,
    FusedSearch,
    GoogleSearch,
    RetrieverSearch,
    SearchError,
    SearchProvider,
    SearchTool,
    SearxngSearch,
    Snippet,
    TavilySearchProvider,
)
from langchain_atlas.tools.vision import VisionTool
from langchain_atlas.tools.vision.ocr import OcrTool

__all__ = [
    "BraveSearch",
    "Calculator",
    "Execution",
    "FolderSearch",
    "FusedSearch",
    "GoogleSearch",
    "GraphTool",
    "McpServer",
    "McpTool",
    "MontySandbox",
    "OcrTool",
    "ProcessSandbox",
    "PythonTool",
    "RetrieverSearch",
    "Sandbox",
    "SearchError",
    "SearchProvider",
    "SearchTool",
    "SearxngSearch",
    "Session",
    "SessionSandbox",
    "Snippet",
    "TavilySearchProvider",
    "VisionTool",
    "build_tools",
    "evaluate",
    "mcp_tools",
    "run_unit_tests",
    "shared_sandbox",
    "tool_sessions",
]
