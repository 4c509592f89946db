"""Names and schemas of tools, for providers and for the reader of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_atlas.text.signatures import Signature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.tools import BaseTool


def tool_schema(tool: Any) -> dict[str, Any]:
    """Return a tool's name, description and parameters in the form that providers expect.

    A schema without ``properties`` means no arguments, which providers want to see stated explicitly.
    """
    schema: dict[str, Any] = convert_to_openai_tool(tool)["function"]
    parameters = schema.get("parameters") or {}
    if not isinstance(parameters.get("properties"), dict):
        parameters = {"type": "object", **parameters, "properties": {}}
    return {**schema, "parameters": parameters}


def signature_of(tool: Any) -> Signature:
    """Return the signature of a tool: its name and arguments."""
    schema = tool_schema(tool)
    return Signature.of(str(schema["name"]), schema["parameters"])


def signatures_of(tools: Iterable[Any]) -> list[Signature]:
    """Return the signatures of tools given in any of LangChain's forms; others are left out."""
    found = []
    for tool in tools:
        try:
            found.append(signature_of(tool))
        except (ValueError, TypeError, KeyError, AttributeError):  # a tool that the provider runs
            continue
    return found


def argument_names(tool: BaseTool) -> list[str]:
    """Return the names of a tool's arguments, in order; empty if it takes none."""
    return list(signature_of(tool).properties)


def sendable_tool(tool: BaseTool) -> BaseTool | dict[str, Any]:
    """Return a tool in the form that providers accept: a schema without arguments says so explicitly."""
    schema = convert_to_openai_tool(tool)["function"].get("parameters") or {}
    return tool if isinstance(schema.get("properties"), dict) else {"type": "function", "function": tool_schema(tool)}
