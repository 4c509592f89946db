"""From the name of a tool in a pool file to LangChain tools."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import ValidationError

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.tools.calculator import Calculator
from langchain_atlas.tools.graphs import GraphTool
from langchain_atlas.tools.mcp.tool import McpTool, mcp_tools
from langchain_atlas.tools.python.backends import build_python
from langchain_atlas.tools.ranking.building import build_ranking
from langchain_atlas.tools.search import RetrieverSearch, SearchTool, build_search
from langchain_atlas.tools.vision import VisionTool
from langchain_atlas.tools.vision.ocr import OcrTool


def _calculator() -> BaseTool:
    return Calculator()


def _retriever(retriever: Any, name: str, description: str, k: int = 3) -> BaseTool:
    tool = SearchTool.over(RetrieverSearch(_named(retriever, "retriever")), k=k)
    return tool.model_copy(update={"name": _tool_name(name), "description": description})


def _graph(
    graph: Any,
    name: str,
    description: str,
    *,
    inputs: Iterable[str] | None = None,
    output: str | None = None,
    asynchronous: bool | None = None,
) -> BaseTool:
    return GraphTool(
        graph=_named(graph, "graph"),
        name=_tool_name(name),
        description=description,
        inputs=None if inputs is None else tuple(inputs),
        output=output,
        asynchronous=asynchronous,
    )


def _mcp(only: list[str] | None = None, **server: Any) -> list[McpTool]:
    return mcp_tools(only=only, **server)


def _ocr(
    languages: str = "eng",
    folder: str | None = None,
    allowed_hosts: Sequence[str] = (),
    timeout_s: float = 30.0,
    memory_mib: int = 1024,
) -> BaseTool:
    return OcrTool(
        languages=languages,
        folder=None if folder is None else Path(folder),
        allowed_hosts=tuple(allowed_hosts),
        timeout_s=timeout_s,
        memory_mib=memory_mib,
    )


def _vision(procedure: str, model: str) -> BaseTool:
    return VisionTool.of(procedure, model)


BUILDERS: Mapping[str, Callable[..., Any]] = {
    "calculator": _calculator,
    "ocr": _ocr,
    "python": build_python,
    "ranking": build_ranking,
    "search": build_search,
    "retriever": _retriever,
    "graph": _graph,
    "mcp": _mcp,
    "vision": _vision,
}
"""The tools that a pool file can name without a module."""

_NAMED = frozenset({"retriever", "graph"})
"""Those whose LangChain tool is called and described as the pool has it."""


def build_tools(
    use: str, arguments: Mapping[str, Any] | None = None, *, name: str | None = None, description: str = ""
) -> tuple[BaseTool, ...]:
    """Build the LangChain tools that a name refers to.

    Args:
        use: a name in `BUILDERS`, or ``package.module:attribute``: a LangChain tool, a list of
            them, or a class or function that returns either. The module is imported, so it runs.
        arguments: what to build it with. ``search`` takes those of `build_search`, ``ranking`` those of
            `build_ranking`, ``python`` those of `build_python`; ``retriever``, ``graph`` and ``mcp`` what
            `Tool.from_retriever`, `Tool.from_graph` and `Tool.from_mcp` take; ``ocr`` and
            ``vision`` the settings of `OcrTool` and `VisionTool.of`; a class or function takes its own.
        name: what the pool calls the tool; models see a retriever or a graph under it.
        description: what models read of a retriever or a graph.

    Returns:
        At least one tool.

    Raises:
        PoolError: when nothing has that name, it gives no tools, or the arguments do not fit it.
        SettingError: when the value of an argument is out of range.
    """
    given = dict(arguments or {})
    if use in _NAMED:
        given = {"name": name or use, "description": description or f"Asks the {use} {name or use}.", **given}
    if use in BUILDERS:
        return _as_tools(_call(use, BUILDERS[use], given), use)
    found = _find(use)
    # A tool is looked at before anything callable: a class may make its instances callable.
    if isinstance(found, (BaseTool, list, tuple)):
        if given:
            raise PoolError(
                f"{use!r} is a tool, not something that builds one; it takes no arguments, such as {_names(given)}"
            )
        return _as_tools(found, use)
    if callable(found):
        return _as_tools(_call(use, found, given), use)
    return _as_tools(found, use)


def _find(use: str) -> Any:
    """What ``package.module:attribute`` names."""
    module_name, separator, attribute = use.partition(":")
    if not (separator and module_name and attribute):
        raise PoolError(
            f"there is no tool {use!r}. {suggest(use, BUILDERS)} Or name one of yours as 'package.module:attribute'."
        )
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise PoolError(f"can't import {module_name!r} for the tool {use!r}: {error}") from error
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        public = [name for name in vars(module) if not name.startswith("_")]
        raise PoolError(f"{module_name!r} has no {attribute!r}. {suggest(attribute, public)}") from error


def found_by_path(path: str) -> Any:
    """Return what ``package.module:attribute`` names, for other things than tools that a pool file names.

    Raises:
        PoolError: there is nothing of that name; the module is imported, so it runs.
    """
    return _find(path)


def _named(value: Any, kind: str) -> Any:
    """Return a value, or the object that its name refers to; a function or class found by name is called."""
    if not isinstance(value, str):
        return value
    found = _find(value)
    if callable(getattr(found, "invoke", None)) and not isinstance(found, type):
        return found
    if not callable(found):
        raise PoolError(f"{value!r} is no {kind}, but {type(found).__name__} {found!r}")
    return found()


def _tool_name(name: str) -> str:
    """A name that model providers take."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", name).strip("_") or "tool"


def _call(use: str, builder: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """What a builder returns, after a look at whether it takes the arguments."""
    try:
        signature = inspect.signature(builder)
    except ValueError:  # some builtins have none
        signature = None
    if signature is not None:
        try:
            signature.bind(**arguments)
        except TypeError as error:
            takes = ", ".join(repr(name) for name in signature.parameters) or "none"
            raise PoolError(
                f"the tool {use!r} can't be built with the arguments {_names(arguments)}: {error}. It takes: {takes}."
            ) from error
    try:
        return builder(**arguments)
    except ValidationError as error:
        raise PoolError(f"the tool {use!r} can't be built with the arguments {_names(arguments)}: {error}") from error


def _as_tools(found: Any, use: str) -> tuple[BaseTool, ...]:
    tools = tuple(found) if isinstance(found, (list, tuple)) else (found,)
    for tool in tools:
        if not isinstance(tool, BaseTool):
            raise PoolError(f"{use!r} gives {type(tool).__name__} {tool!r}, which is not a LangChain tool")
    if not tools:
        raise PoolError(f"{use!r} gives an empty list of tools")
    return tools


def _names(arguments: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) for name in arguments) or "none"
