"""Tool use that goes back: where calls led nowhere, the conversation is taken up again from before them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, ClassVar

from langchain_core.messages import BaseMessage, HumanMessage
from pydantic import Field

from langchain_atlas.execution.invocations.base import (
    Conversation,
    InvocationSettings,
    ModelCall,
    ToolCall,
    data_of,
    fill,
    text_of,
)
from langchain_atlas.execution.invocations.native import Native, NativeSettings, Round

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.trajectory import Query, ToolTrace

_RETRY = """This was tried already and led nowhere:
{tried}

Take another way: other arguments, another tool, or none."""
_CHECK = """Question: {query}

A tool was called:
{tried}

Does this help to answer the question? Reply USEFUL or USELESS and nothing else."""
_USELESS = re.compile(r"\W*useless\b", re.IGNORECASE)
_LONGEST = 400


class BacktrackedSettings(NativeSettings):
    """Settings of tool use that goes back."""

    max_backtracks: int = Field(default=3, ge=0, le=16)
    """How often the conversation goes back at most; after that it goes on with what the calls returned."""
    check: bool = False
    """Whether the model is also asked if what the tools returned helps; else only calls that fail are taken back."""
    retry_prompt: str = _RETRY
    """What the model is told when the conversation was taken back; ``{tried}`` is put in."""
    check_prompt: str = _CHECK
    """What the check is asked with; ``{query}`` and ``{tried}`` are put in."""


class Backtracked(Native):
    """Native function calling that takes back a round of calls which failed, or were of no use.

    The model does not see the round again, only a note of what was tried, so that a wrong start does not pull the rest
    along. Every call stays in the trace.
    """

    Settings: ClassVar[type[InvocationSettings]] = BacktrackedSettings
    settings: BacktrackedSettings

    def converse(self, query: Query) -> Conversation:
        """Call the model and its tools; go back where the tools led nowhere."""
        messages: list[BaseMessage] = list(self.opening(query))
        tried: list[str] = []
        data = data_of(query)
        choice, rounds = self.settings.tool_choice, 0
        while rounds < self.settings.max_rounds:
            (reply,) = yield (self.call(self._noted(messages, tried), choice),)
            step = self.round(reply, len(messages) + len(tried), data)
            if not step.calls:
                return text_of(reply)
            traces = yield step.wanted
            data += [trace.said for trace in traces]
            direct = step.direct_answer(traces)
            if direct is not None:
                return direct
            shown = _shown(step, traces)
            lost = all(trace.error is not None for trace in traces)
            if not lost and self.settings.check:
                lost = bool((yield from self._useless(query, shown)))
            if lost and len(tried) < self.settings.max_backtracks:
                tried.append(shown)
                continue
            messages += step.messages(traces)
            choice, rounds = "auto", rounds + 1
        (reply,) = yield (self.call(self._noted(messages, tried), "none"),)
        return self.last_word(reply, data)

    def _noted(self, messages: list[BaseMessage], tried: list[str]) -> list[BaseMessage]:
        if not tried:
            return messages
        return [*messages, HumanMessage(fill(self.settings.retry_prompt, tried="\n".join(tried)))]

    def _useless(self, query: Query, shown: str) -> Conversation:
        asked = fill(self.settings.check_prompt, query=query.text, tried=shown)
        (reply,) = yield (ModelCall((HumanMessage(asked),), options=self.settings.options, inward=True),)
        return "useless" if _USELESS.match(text_of(reply)) else ""


def _shown(step: Round, traces: Sequence[ToolTrace]) -> str:
    """Write down what a round called and what came of it."""
    lines = []
    for meant, trace in zip(step.wanted, traces, strict=True):
        text = trace.shown
        called = trace.name
        if isinstance(meant, ToolCall):
            called = f"{called}({json.dumps(dict(meant.arguments), ensure_ascii=False, default=str)})"
        lines.append(f"- {called}: {text[:_LONGEST]}")
    return "\n".join(lines)
