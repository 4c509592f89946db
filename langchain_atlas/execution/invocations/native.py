"""Native function calling: the model's provider takes the tools, the model says which to call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import Field

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationSettings,
    ModelCall,
    ToolCall,
    text_of,
)

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_atlas.pool import Tool
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

    def __init__(self, tool: Tool, tools: tuple[BaseTool, ...]) -> None:
        super().__init__(tool, tools)
        choices = ["auto", "required", *(member.name for member in tools)]
        if self.settings.tool_choice not in choices:
            raise PoolError(
                f"Tool {tool.name!r}: tool_choice is {self.settings.tool_choice!r}. "
                f"{suggest(self.settings.tool_choice, choices)}"
            )

    def converse(self, query: Query) -> Conversation:
        """Call the model, run the tools it names, show it what they returned, and again."""
        messages: list[BaseMessage] = list(self.opening(query))
        choice = self.settings.tool_choice
        for _ in range(self.settings.max_rounds):
            (reply,) = yield (self._call(messages, choice),)
            choice = "auto"
            calls = _calls(reply, len(messages))
            if not calls:
                return text_of(reply)
            meant = [problem or self._meant(call) for call, problem in calls]
            wanted = tuple(call for call in meant if isinstance(call, ToolCall))
            traces = (yield wanted) if wanted else ()
            if len(traces) == 1 and wanted[0].tool.return_direct and traces[0].error is None:
                return str(traces[0].output)
            returned = iter(traces)
            outcomes = [next(returned) if isinstance(call, ToolCall) else call for call in meant]
            messages.append(
                reply.model_copy(update={"tool_calls": [call for call, _ in calls], "invalid_tool_calls": []})
            )
            messages += [_result(call["id"], outcome) for (call, _), outcome in zip(calls, outcomes, strict=True)]
        (reply,) = yield (self._call(messages, "none"),)
        return text_of(reply)

    def _call(self, messages: list[BaseMessage], choice: str) -> ModelCall:
        return ModelCall(tuple(messages), self.tools, choice, options=self.settings.options)

    def _meant(self, call: dict[str, Any]) -> ToolCall | str:
        """Return the tool call that is meant, or what is wrong with it."""
        for tool in self.tools:
            if tool.name == call["name"]:
                return ToolCall(tool, call["args"])
        return f"There is no tool named {call['name']!r}. {suggest(call['name'], [tool.name for tool in self.tools])}"


def _calls(reply: AIMessage, place: int) -> list[tuple[dict[str, Any], str | None]]:
    """Return the calls of a reply, each with an id of its own, and with why it could not be read, if so.

    Providers refuse a conversation in which a call has no id, shares it, or is not answered, and some of them send
    such calls. A call that could not be read is kept without its arguments, which could not be read again either.
    """
    calls: list[tuple[dict[str, Any], str | None]] = [(dict(call), None) for call in reply.tool_calls]
    for unread in reply.invalid_tool_calls:
        problem = f"The call could not be read: {unread['error'] or 'its arguments are not JSON'}."
        call: dict[str, Any] = {
            "name": unread["name"] or "unknown",
            "args": {},
            "id": unread["id"],
            "type": "tool_call",
        }
        calls.append((call, problem))
    seen: set[str] = set()
    for number, (named, _) in enumerate(calls):
        if not named["id"] or named["id"] in seen:
            named["id"] = f"call_{place}_{number}"
        seen.add(named["id"])
    return calls


def _result(call_id: str, outcome: ToolTrace | str) -> ToolMessage:
    """Say what a call led to."""
    if isinstance(outcome, str):
        return ToolMessage(outcome, tool_call_id=call_id, status="error")
    failed = outcome.error is not None
    content = outcome.error or outcome.output or ""
    return ToolMessage(content, tool_call_id=call_id, status="error" if failed else "success")
