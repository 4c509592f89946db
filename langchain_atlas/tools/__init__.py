"""Tools for agents. Each is a LangChain tool that works alone; none of them needs the rest of this package.

Importing them costs nothing heavy: what computes, sandboxes and indexes is imported at the first call.
"""

from langchain_atlas.tools.calculator import Calculator, evaluate
from langchain_atlas.tools.monty import MontySandbox, shared_sandbox
from langchain_atlas.tools.python import PythonTool, run_unit_tests
from langchain_atlas.tools.registry import build_tools
from langchain_atlas.tools.sandbox import Execution, Sandbox
from langchain_atlas.tools.search import FolderSearch, SearchProvider, SearchTool, Snippet

__all__ = [
    "Calculator",
    "Execution",
    "FolderSearch",
    "MontySandbox",
    "PythonTool",
    "Sandbox",
    "SearchProvider",
    "SearchTool",
    "Snippet",
    "build_tools",
    "evaluate",
    "run_unit_tests",
    "shared_sandbox",
]
