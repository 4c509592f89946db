"""Calling tools, and the traces of the calls."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from langchain_atlas.costs.usage_counting import counted_here
from langchain_atlas.images import shown
from langchain_atlas.masking import error_text, shortened
from langchain_atlas.messages.content_blocks import as_text, media_of
from langchain_atlas.trajectory import ToolTrace
from langchain_atlas.usage import Spending

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from langchain_core.tools import BaseTool

    from langchain_atlas.execution.invocations import RefusedCall, ToolCall


def tool_input(call: ToolCall) -> dict[str, Any]:
    """Return the call in the form that makes a LangChain tool report failures."""
    return {"name": call.tool.name, "args": dict(call.arguments), "id": "atlas", "type": "tool_call"}


def counting_of(tool: BaseTool) -> AbstractContextManager[None]:
    """Return the context to call a tool in: models inside it are counted with the run, or else separately."""
    return nullcontext() if getattr(tool, "reports_spending", False) else counted_here()


def trace_of(call: ToolCall, start: float, *, message: Any = None, error: Exception | None = None) -> ToolTrace:
    """Build the trace of a call.

    Args:
        call: the call.
        start: when it began, by `time.perf_counter`.
        message: the `ToolMessage` or other value that the tool returned.
        error: the exception that it raised, if any.
    """
    failed = None if error is None else error_text(error)
    text = None if error is not None else result_text(message)
    if getattr(message, "status", "success") == "error":
        failed, text = shortened(text or ""), None
    artifact = getattr(message, "artifact", None)
    spent = None
    if isinstance(artifact, Spending):
        spent = Spending(usage=artifact.usage, cost_usd=artifact.cost_usd)  # plain: a trace is JSON
    return ToolTrace(
        name=call.tool.name,
        arguments={name: _short(value) for name, value in call.arguments.items()},
        output=text,
        content=() if text is None else _with_media(message),
        error=failed,
        latency_s=time.perf_counter() - start,
        spent=spent,
    )


def result_text(message: Any) -> str:
    """Return a tool's result as text; images and files are described in words."""
    content = getattr(message, "content", None)
    if not isinstance(content, list):
        return str(getattr(message, "text", message))
    return "\n".join(filter(None, map(as_text, content)))


def _with_media(message: Any) -> tuple[Any, ...]:
    content = getattr(message, "content", None)
    found = isinstance(content, list) and any(media_of(block) is not None for block in content)
    return tuple(content) if found and content else ()


def trace_refused(call: RefusedCall) -> ToolTrace:
    """Build the trace of a call that was not made."""
    arguments = {name: _short(value) for name, value in call.arguments.items()}
    return ToolTrace(name=call.name, arguments=arguments, error=call.reason, latency_s=0.0)


def _short(value: Any) -> Any:
    """Return an argument unchanged, except for an image, which is shortened to keep records small."""
    return shown(value) if isinstance(value, str) and value.startswith("data:") else value
