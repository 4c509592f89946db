"""Tool use with backtracking: when calls lead nowhere, the conversation resumes from before them."""

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
    """Settings of tool use with backtracking."""

    max_backtracks: int = Field(default=3, ge=0, le=16)
    """Maximum number of times that the conversation goes back; after that it continues with the calls' results."""
    check: bool = False
    """Whether the model also judges if the tools' results help; if not, only calls that fail are undone."""
    retry_prompt: str = _RETRY
    """Prompt after going back; ``{tried}`` is filled in."""
    check_prompt: str = _CHECK
    """Prompt of the check; ``{query}`` and ``{tried}`` are filled in."""


class Backtracked(Native):
    """Native function calling that undoes a round of calls that failed or were useless.

    The model does not see the round again, only a note of what was tried, so that a wrong start does not mislead it
    later. Every call stays in the trace.
    """

    Settings: ClassVar[type[InvocationSettings]] = BacktrackedSettings
    settings: BacktrackedSettings

    def converse(self, query: Query) -> Conversation:
        """Call the model and its tools; go back when the tools lead nowhere."""
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
    """Describe the calls of a round and their results."""
    lines = []
    for meant, trace in zip(step.wanted, traces, strict=True):
        text = trace.shown
        called = trace.name
        if isinstance(meant, ToolCall):
            called = f"{called}({json.dumps(dict(meant.arguments), ensure_ascii=False, default=str)})"
        lines.append(f"- {called}: {text[:_LONGEST]}")
    return "\n".join(lines)
