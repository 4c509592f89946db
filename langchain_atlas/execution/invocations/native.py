"""Native function calling: the tools are sent to the provider, and the model chooses which to call."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import Field

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationSettings,
    ModelCall,
    RefusedCall,
    ToolCall,
    data_of,
    text_of,
)
from langchain_atlas.execution.invocations.calls.native_calls import with_calls
from langchain_atlas.execution.invocations.calls.schemas import signatures_of
from langchain_atlas.text.finding_calls import find_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.tools import BaseTool

    from langchain_atlas.pool.pool import Tool
    from langchain_atlas.text.signatures import Signature
    from langchain_atlas.trajectory import Query, ToolTrace


class NativeSettings(InvocationSettings):
    """Settings of native function calling."""

    tool_choice: str = "auto"
    """``auto``, ``required`` or a tool's name, for the first call. Later calls use ``auto``."""
    max_rounds: int = Field(default=4, ge=1)
    """Maximum number of rounds of tool calls before the model must answer."""
    max_calls: int = Field(default=16, ge=1, le=128)
    """Maximum number of calls of one reply that are made, in parallel; the model is informed that the rest were not."""


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
        """Call the model, run the tools that it calls, return the results to it, and repeat."""
        messages: list[BaseMessage] = list(self.opening(query))
        choice, data = self.settings.tool_choice, data_of(query)
        for _ in range(self.settings.max_rounds):
            (reply,) = yield (self.call(messages, choice),)
            choice = "auto"
            step = self.round(reply, len(messages), data)
            if not step.calls:
                return text_of(reply)
            traces = yield step.wanted
            data += [trace.said for trace in traces]
            direct = step.direct_answer(traces)
            if direct is not None:
                return direct
            messages += step.messages(traces)
        (reply,) = yield (self.call(messages, "none"),)
        return self.last_word(reply, data)

    def call(self, messages: Sequence[BaseMessage], choice: str) -> ModelCall:
        """Return the call of the model with the tools bound."""
        return ModelCall(tuple(messages), self.tools, choice, options=self.settings.options, answers=choice == "none")

    def round(self, reply: AIMessage, place: int, data: Sequence[str] = ()) -> Round:
        """Return the tool calls of a reply, including those written as text.

        Args:
            reply: the model's reply.
            place: a number unique to this reply.
            data: tool output and documents; a call that is quoted from them is not made.
        """
        return Round(with_calls(reply, self._offered, data), place, self.tools, self.settings.max_calls)

    def last_word(self, reply: AIMessage, data: Sequence[str]) -> str:
        """Return the answer of a reply that must be an answer; empty if it is another call, written as text."""
        calls = find_calls(str(reply.text), self._offered, amid_text=False, data=data)
        return "" if calls else text_of(reply)

    @cached_property
    def _offered(self) -> list[Signature]:
        return signatures_of(self.tools)


class Round:
    """The tool calls of one reply, and the messages about them.

    Args:
        reply: the model's reply.
        place: a number unique to this reply, for the ids of calls that have none.
        tools: the available tools.
        most: maximum number of calls that are made.
    """

    def __init__(self, reply: AIMessage, place: int, tools: Sequence[BaseTool], most: int) -> None:
        self.reply = reply
        self.calls = _calls(reply, place)
        self.wanted = tuple(_meant(call, problem, tools) for call, problem in self.calls[:most])
        """The calls to make or refuse, in order, without those beyond the maximum."""

    def direct_answer(self, traces: Sequence[ToolTrace]) -> str | None:
        """Return the answer if a single tool was called that returns directly; else None."""
        pairs = zip(self.wanted, traces, strict=True)
        made = [(call.tool, trace) for call, trace in pairs if isinstance(call, ToolCall)]
        if len(made) == 1 and made[0][0].return_direct and made[0][1].error is None:
            return str(made[0][1].output)
        return None

    def messages(self, traces: Sequence[ToolTrace]) -> list[BaseMessage]:
        """Return the reply and a result for each of its calls."""
        calls = [call for call, _ in self.calls]
        said = self.reply.model_copy(update={"tool_calls": calls, "invalid_tool_calls": []})
        made = len(traces)
        left_out = f"This call was not made: of one reply, {made} are. Make it again if you still need it."
        results = [_result(call["id"], trace) for call, trace in zip(calls[:made], traces, strict=True)]
        results += [ToolMessage(left_out, tool_call_id=call["id"], status="error") for call in calls[made:]]
        return [said, *results]


def _meant(call: dict[str, Any], problem: str | None, tools: Sequence[BaseTool]) -> ToolCall | RefusedCall:
    """Return the intended tool call, or a refused call with the reason."""
    name = str(call["name"])
    for tool in tools:
        if tool.name == name and problem is None:
            return ToolCall(tool, call["args"])
    unknown = f"There is no tool named {name!r}. {suggest(name, [tool.name for tool in tools])}"
    return RefusedCall(name, problem or unknown, call["args"])


def _calls(reply: AIMessage, place: int) -> list[tuple[dict[str, Any], str | None]]:
    """Return the calls of a reply, each with a unique id, and with the reason if it could not be read.

    Providers reject a conversation in which a call has no id, has a duplicate id, or has no result, and some of them
    send such calls. A call that could not be read is kept without its arguments, which would be unreadable again.
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


def _result(call_id: str, trace: ToolTrace) -> ToolMessage:
    """Return the result message of a call."""
    failed = trace.error is not None
    content: Any = trace.shown if failed or not trace.content else list(trace.content)
    return ToolMessage(content, tool_call_id=call_id, name=trace.name, status="error" if failed else "success")
