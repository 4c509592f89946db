"""The effort of profiling: the number of runs and model calls, and the approximate cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field

from langchain_atlas.amounts import known_dollars
from langchain_atlas.evaluation.profiling.chosen_runs import ChosenPlan
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_atlas.evaluation.profiling.queries import CheckableQuery
    from langchain_atlas.pool.pool import Pair, Pool, Tool

_CHARACTERS_PER_TOKEN = 4
_PROMPT_TOKENS = 50
"""Tokens of the prompt in addition to the query."""
_TOOL_TOKENS = 200
"""Tokens that a tool's description adds to a prompt, and its result to the next."""
_OUTPUT_TOKENS = 250
"""Tokens that a model writes per call, if nothing is recorded."""
_CALLS = {"none": 1, "grounded": 1, "native": 2, "prompted": 2, "backtracked": 3, "debugged": 3, "segmented": 3}
_MORE_CALLS = 4
"""Model calls of a run with any other invocation."""


class ProfilePlan(Record):
    """What a call of `profile` will do."""

    runs: int
    """Number of outcomes that are not recorded yet."""
    calls: int
    """Approximate number of model calls for them."""
    cost_usd: float | None = None
    """Approximate cost in dollars; None if no price is known."""
    unpriced: tuple[str, ...] = Field(default=())
    """Pairs whose cost can't be estimated: their models have no known price, and no run of theirs is recorded."""
    chosen: ChosenPlan | None = None
    """The runs that are worth most, and why; None unless `profile` was asked to choose."""

    def __str__(self) -> str:
        if not self.runs:
            return "Nothing is left to run."
        cost = "at an unknown cost" if self.cost_usd is None else f"for about ${self.cost_usd:.2g}"
        if self.cost_usd is not None and self.unpriced:
            cost += f", without {', '.join(self.unpriced)}, whose price is unknown"
        return f"{self.runs} runs are left: about {self.calls} model calls, {cost}."


class Expectation:
    """Estimates the cost of a run of each pair: from its recorded runs, or else from its tokens and prices.

    Args:
        pool: the pairs.
        recorded: recorded outcomes, as rows.
    """

    def __init__(self, pool: Pool, recorded: Iterable[Mapping[str, Any]] = ()) -> None:
        self._pool = pool
        self._seen: dict[tuple[str, str], tuple[int, float, float]] = {}  # number, sum, and the highest
        for row in recorded:
            self.note(row)

    def note(self, row: Mapping[str, Any]) -> None:
        """Add an outcome to the estimates."""
        cost = known_dollars(row.get("cost_usd"))
        if cost is not None and not row.get("error"):
            count, total, most = self._seen.get((row["model"], row["tool"]), (0, 0.0, 0.0))
            self._seen[row["model"], row["tool"]] = count + 1, total + cost, max(most, cost)

    def cost(self, item: CheckableQuery, pair: Pair) -> float | None:
        """Return the expected dollars of a run; None when unknown."""
        seen = self._seen.get((pair.model, pair.tool))
        if seen:
            return seen[1] / seen[0]
        tool, calls = self._pool.tool(pair.tool), self.calls(pair)
        text = len(item.query.text) + len(item.query.context or "") + len(json.dumps(tool.settings, default=str))
        prompt = _PROMPT_TOKENS + text // _CHARACTERS_PER_TOKEN + (_TOOL_TOKENS * calls if _has_tool(tool) else 0)
        return self._pool.model(pair.model).price(calls * prompt, calls * _OUTPUT_TOKENS)

    def most(self, item: CheckableQuery, pair: Pair) -> float | None:
        """Return the most that a run should cost: its estimate, or the highest cost seen; None when unknown."""
        expected, seen = self.cost(item, pair), self._seen.get((pair.model, pair.tool))
        return expected if expected is None or seen is None else max(expected, seen[2])

    def calls(self, pair: Pair) -> int:
        """Return the approximate number of model calls in a run."""
        return _CALLS.get(self._pool.tool(pair.tool).invocation, _MORE_CALLS)


def _has_tool(tool: Tool) -> bool:
    return bool(tool.use or tool.tools)


def plan_of(jobs: Sequence[tuple[CheckableQuery, Pair]], expected: Expectation) -> ProfilePlan:
    """Estimate the effort of some runs.

    Args:
        jobs: queries with the pairs that will be run on them.
        expected: the estimates of a run's cost.
    """
    costs = [(pair, expected.cost(item, pair)) for item, pair in jobs]
    known = [cost for _, cost in costs if cost is not None]
    return ProfilePlan(
        runs=len(jobs),
        calls=sum(expected.calls(pair) for _, pair in jobs),
        cost_usd=sum(known) if known or not jobs else None,
        unpriced=tuple(dict.fromkeys(str(pair) for pair, cost in costs if cost is None)),
    )
