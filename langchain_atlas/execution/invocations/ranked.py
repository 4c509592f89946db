"""Best of several: the model answers several times, and a ranking tool picks the best answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from langchain_atlas.errors import PoolError
from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationError,
    InvocationSettings,
    ModelCall,
    ToolCall,
    text_of,
)
from langchain_atlas.execution.invocations.calls.schemas import argument_names

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_atlas.pool.pool import Tool
    from langchain_atlas.trajectory import Query, ToolTrace


class RankedSettings(InvocationSettings):
    """Settings of best of several."""

    samples: int = Field(default=5, ge=1, le=64)
    """Number of answers to sample, in parallel."""
    temperature: float | None = Field(default=0.8, ge=0)
    """Sampling temperature; None leaves it to the model. `options` and the pair's options override it. The default is
    left out if the model does not accept a temperature."""


class Ranked(Invocation):
    """Samples several answers and returns the one that the ranking tool scores highest.

    Answers that fail or are empty are dropped; a single remaining one is the answer, several are ranked. The scores are
    in the trace of the ranking tool. Without a tool, a majority vote decides.
    """

    Settings: ClassVar[type[InvocationSettings]] = RankedSettings
    settings: RankedSettings

    def __init__(self, tool: Tool, tools: tuple[BaseTool, ...]) -> None:
        super().__init__(tool, tools)
        if not tools:
            from langchain_atlas.tools.ranking.tool import RankingTool

            self.tools = (RankingTool(),)
        (ranking, *others) = self.tools
        if others or not {"question", "answers"} <= set(argument_names(ranking)):
            raise PoolError(
                f"Tool {tool.name!r}: invocation 'ranked' takes one tool with the arguments 'question' and 'answers', "
                f"such as 'ranking'; it has {', '.join(repr(member.name) for member in self.tools)}."
            )

    def converse(self, query: Query) -> Conversation:
        """Sample the answers, rank them, return the best."""
        messages = self.opening(query)
        options, defaults = dict(self.settings.options), {}
        if "temperature" in self.settings.model_fields_set and self.settings.temperature is not None:
            options = {"temperature": self.settings.temperature, **options}
        elif self.settings.temperature is not None:
            defaults = {"temperature": self.settings.temperature}
        replies = yield tuple(
            ModelCall(messages, options=options, defaults=defaults, inward=True, sample=number, may_fail=True)
            for number in range(self.settings.samples)
        )
        failures = [reply for reply in replies if isinstance(reply, Exception)]
        if len(failures) == len(replies):
            raise failures[0]
        texts = [text_of(reply) for reply in replies if not isinstance(reply, Exception)]
        answers = [text for text in texts if text]
        if len(answers) < 2:  # noqa: PLR2004  # nothing to choose from
            return answers[0] if answers else ""
        asked: dict[str, Any] = {"question": query.text, "answers": answers}
        if query.context is not None and "context" in argument_names(self.tools[0]):
            asked["context"] = query.context
        (trace,) = yield (ToolCall(self.tools[0], asked),)
        return answers[_best(trace, len(answers))]


def _best(trace: ToolTrace, count: int) -> int:
    """Return the index of the answer that a ranking tool found best.

    Raises:
        InvocationError: the tool failed, or its result names no answer.
    """
    if trace.error is not None:
        raise InvocationError(f"the answers could not be ranked: {trace.error}")
    try:
        best = json.loads(trace.output or "")["best"]
    except (ValueError, TypeError, KeyError, RecursionError):
        best = None
    if not isinstance(best, int) or isinstance(best, bool) or not 0 <= best < count:
        raise InvocationError(
            f"the tool {trace.name!r} returned {(trace.output or '')[:80]!r}; it must return JSON with 'best', the "
            f"number of the best answer, from 0 to {count - 1}."
        )
    return best
