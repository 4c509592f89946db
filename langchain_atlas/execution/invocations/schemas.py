"""What tools are called and take, as providers and the reader of calls are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_atlas.text.signatures import Signature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.tools import BaseTool


def described(tool: Any) -> dict[str, Any]:
    """Return a tool's name, description and parameters as providers take them.

    A schema without ``properties`` means no arguments, which providers want to be told.
    """
    schema: dict[str, Any] = convert_to_openai_tool(tool)["function"]
    parameters = schema.get("parameters") or {}
    if not isinstance(parameters.get("properties"), dict):
        parameters = {"type": "object", **parameters, "properties": {}}
    return {**schema, "parameters": parameters}


def signature_of(tool: Any) -> Signature:
    """Return what a tool is called and takes."""
    schema = described(tool)
    return Signature.of(str(schema["name"]), schema["parameters"])


def signatures_of(tools: Iterable[Any]) -> list[Signature]:
    """Return what tools are called and take, in whichever of LangChain's forms they are; others are left out."""
    found = []
    for tool in tools:
        try:
            found.append(signature_of(tool))
        except (ValueError, TypeError, KeyError, AttributeError):  # a tool that its provider runs
            continue
    return found


def argument_names(tool: BaseTool) -> list[str]:
    """Return the names of a tool's arguments, in order; none for one that takes none."""
    return list(signature_of(tool).properties)


def sendable(tool: BaseTool) -> BaseTool | dict[str, Any]:
    """Return a tool as providers take it: one without arguments, whose schema does not say so, says so."""
    schema = convert_to_openai_tool(tool)["function"].get("parameters") or {}
    return tool if isinstance(schema.get("properties"), dict) else {"type": "function", "function": described(tool)}
