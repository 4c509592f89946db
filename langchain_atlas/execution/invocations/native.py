"""Native function calling: the model's provider takes the tools, the model says which to call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import Field

from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationSettings,
    ModelCall,
    ToolCall,
    text_of,
)

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Query, ToolTrace


class NativeSettings(InvocationSettings):
    """Settings of native function calling."""

    tool_choice: str = "auto"
    """``auto``, ``required`` or a tool's name: what the first call asks for. Later calls are ``auto``."""
    max_rounds: int = Field(default=4, ge=1)
    """Most rounds of tool calls before the model must answer."""


class Native(Invocation):
    """The model calls tools until it answers, for a bounded number of rounds."""

    Settings: ClassVar[type[InvocationSettings]] = NativeSettings
    settings: NativeSettings

    def converse(self, query: Query) -> Conversation:
        """Call the model, run the tools it names, show it what they returned, and again."""
        by_name = {tool.name: tool for tool in self.tools}
        messages: list[BaseMessage] = list(self.opening(query))
        choice = self.settings.tool_choice
        for _ in range(self.settings.max_rounds):
            (reply,) = yield (self._call(messages, choice),)
            choice = "auto"
            if not reply.tool_calls and not reply.invalid_tool_calls:
                return text_of(reply)
            known = [call for call in reply.tool_calls if call["name"] in by_name]
            wanted = tuple(ToolCall(by_name[call["name"]], call["args"]) for call in known)
            traces = (yield wanted) if wanted else ()
            if len(traces) == 1 and wanted[0].tool.return_direct and traces[0].error is None:
                return str(traces[0].output)
            messages += [
                reply,
                *_results(reply, dict(zip([call["id"] for call in known], traces, strict=True))),
            ]
        (reply,) = yield (self._call(messages, "none"),)
        return text_of(reply)

    def _call(self, messages: list[BaseMessage], choice: str) -> ModelCall:
        return ModelCall(tuple(messages), self.tools, choice, options=self.settings.options)


def _results(reply: AIMessage, traces: dict[Any, ToolTrace]) -> list[ToolMessage]:
    """Answer every call of the reply, also those that named no tool or could not be read: providers insist on it."""
    messages = []
    for call in reply.tool_calls:
        trace = traces.get(call["id"])
        if trace is None:
            content, failed = f"There is no tool named {call['name']!r}.", True
        else:
            content, failed = trace.error or trace.output or "", trace.error is not None
        messages.append(ToolMessage(content, tool_call_id=call["id"] or "", status="error" if failed else "success"))
    messages += [
        ToolMessage(
            f"The call could not be read: {call['error'] or 'its arguments are not JSON'}.",
            tool_call_id=call["id"] or "",
            status="error",
        )
        for call in reply.invalid_tool_calls
    ]
    return messages
