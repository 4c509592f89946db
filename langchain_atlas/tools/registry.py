"""From the name of a tool in a pool file to LangChain tools."""

import inspect
from collections.abc import Callable, Mapping
from functools import reduce
from importlib import import_module
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import ValidationError

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.tools.calculator import Calculator
from langchain_atlas.tools.monty import MontySandbox
from langchain_atlas.tools.python import PythonTool
from langchain_atlas.tools.search import build_search


def _calculator() -> BaseTool:
    return Calculator()


def _python(**limits: Any) -> BaseTool:
    return PythonTool(sandbox=MontySandbox(**limits)) if limits else PythonTool()


# Shown to callers by error messages: the limits of the Python tool are those of its sandbox.
_python.__signature__ = inspect.signature(MontySandbox)  # type: ignore[attr-defined]


BUILDERS: Mapping[str, Callable[..., BaseTool]] = {"calculator": _calculator, "python": _python, "search": build_search}
"""The tools that a pool file can name without a module."""


def build_tools(use: str, arguments: Mapping[str, Any] | None = None) -> tuple[BaseTool, ...]:
    """Build the LangChain tools that a name stands for.

    Args:
        use: ``calculator``, ``python``, ``search``, or ``package.module:attribute``: a LangChain tool, a list of
            them, or a class or function that returns either. The module is imported, so it runs.
        arguments: what to build it with. ``search`` takes those of `build_search`; ``python`` takes the limits of
            `MontySandbox`; a class or function takes its own.

    Returns:
        At least one tool.

    Raises:
        PoolError: when nothing has that name, it gives no tools, or the arguments do not fit it.
        SettingError: when the value of an argument is out of range.
    """
    given = dict(arguments or {})
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
