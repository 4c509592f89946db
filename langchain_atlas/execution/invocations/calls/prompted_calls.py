"""From the calls that a model wrote as text to calls of the available tools."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_atlas.execution.invocations.base import InvocationError, ToolCall
from langchain_atlas.execution.invocations.calls.schemas import signature_of
from langchain_atlas.text.finding_calls import find_calls, meant_by
from langchain_atlas.text.thoughts import without_thoughts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.tools import BaseTool

    from langchain_atlas.text.call_syntax import WrittenCall
    from langchain_atlas.text.signatures import Signature

_FINAL = re.compile(r"^[ \t>*]*Final Answer[ \t*]*:[ \t*]*", re.MULTILINE | re.IGNORECASE)


class NoCallError(InvocationError):
    """The text contains nothing that looks like a call."""


def read_tool_calls(
    text: str, tools: Sequence[BaseTool], *, noun: str = "call", data: Sequence[str] = ()
) -> tuple[ToolCall, ...]:
    """Find the calls in text that a model wrote, ignoring the surrounding text.

    All formats of `formats.FORMATS` are read, and some more; reasoning and quoted calls are skipped.

    Args:
        text: the model's text.
        tools: the available tools.
        noun: the name for a call in the error message if there is none.
        data: tool output and documents: a call that is quoted from them is not made.

    Returns:
        At least one call.

    Raises:
        NoCallError: there is no call.
        InvocationError: a call names an unavailable tool, or its arguments can't be used.
    """
    offered = [signature_of(tool) for tool in tools]
    calls = find_calls(text, offered, data=data)
    if not calls:
        raise NoCallError(f"no {noun} in {text[:80]!r}.")
    return tuple(_tool_call(call, tools, offered) for call in calls)


def _tool_call(call: WrittenCall, tools: Sequence[BaseTool], offered: Sequence[Signature]) -> ToolCall:
    meant = meant_by(call, offered)
    if meant is None:
        names = ", ".join(repr(tool.name) for tool in tools)
        raise InvocationError(f"no tool named {call.name!r}; there are {names}.")
    if call.problem is not None:
        raise InvocationError(f"the call of {meant.name!r} can't be made: {call.problem}.")
    return ToolCall(tools[offered.index(meant)], call.arguments)


def check_arguments(call: ToolCall) -> None:
    """Make sure that a call has all the arguments that its tool requires.

    Raises:
        InvocationError: some are missing; the message names them.
    """
    missing = [repr(name) for name in signature_of(call.tool).required if name not in call.arguments]
    if missing:
        raise InvocationError(f"the call of {call.tool.name!r} lacks {', '.join(missing)}.")


def final_answer(text: str) -> str:
    """Return a model's answer without its reasoning and the ``Final Answer:`` before it."""
    bare = without_thoughts(text)
    found = list(_FINAL.finditer(bare))
    return (bare[found[-1].end() :].strip() or bare) if found else bare
