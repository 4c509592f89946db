"""The answers of two routers to one query, compared without saying whose they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.loop.effects import Run
from langchain_atlas.loop.limits.pair_budget import Budget
from langchain_atlas.loop.limits.trajectory_limits import left_for
from langchain_atlas.loop.turns import asked, drive, turns
from langchain_atlas.tracing import untraced
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    import random

    from langchain_atlas.loop.effects import Steps
    from langchain_atlas.loop.handler import Handler
    from langchain_atlas.loop.limits.meter import Meter
    from langchain_atlas.trajectory import Decision, Observation, Trajectory

Preference = Literal["first", "second", "tie"]
Check = Callable[[Query, str, str], "Preference | tuple[float, float]"]
"""Compares two answers to a query: returns which is better, or the score of each from 0 to 1. The order is drawn anew
for each query, so that it can't know which router gave which. The answer of a router that gave none is empty."""

_PREFERENCES = {"first": 1.0, "second": -1.0, "tie": 0.0}


class UnaffordableError(Exception):
    """The next call of the candidate may pass the limit on dollars; with a text if nobody knows what it costs."""


@dataclass
class CallBudget:
    """The dollars that the candidate's calls may cost, and did."""

    limit: float | None
    """Dollars that they may cost; None for any."""
    spent: float = 0.0
    """Dollars of the calls with a known cost."""
    unknown: int = 0
    """Number of calls whose cost is unknown."""
    is_empty: bool = False
    """Whether a call was refused for the limit. Nothing is compared from then on: queries on which both routers decide
    the same would go on to count, and those on which they differ would not."""
    full_on: date | None = None
    """The day (UTC) whose budget, shared with the live router, had no room for a call; None for none."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing may be compared: from now on, or until the day's budget is another one."""
        return self.is_empty or self.full_on == datetime.now(UTC).date()

    @property
    def left(self) -> float | None:
        """Dollars that are left; None for any. Nothing is left after a call of unknown cost: it may have been all."""
        return None if self.limit is None else 0.0 if self.unknown else max(0.0, self.limit - self.spent)

    def check(self, expected: float | None) -> None:
        """Make sure that there is room for a call, of which so many dollars are expected.

        Raises:
            UnaffordableError: there is none; from then on nothing is compared.
        """
        left = self.left
        if left is not None and (left <= 0 or (expected is not None and expected > left)):
            self.is_empty = True
            raise UnaffordableError

    def pay(self, amount: float | None) -> None:
        """Count a call; None for an unknown cost."""
        if amount is None:
            self.unknown += 1
        else:
            self.spent += amount


def same_choice(first: Decision, second: Decision) -> bool:
    """Return whether two decisions lead to the same call, or to the same answer."""
    return (first.kind, first.pair, first.input, first.answer) == (
        second.kind,
        second.pair,
        second.input,
        second.answer,
    )


def candidate_trajectory(
    query: Query,
    live: Trajectory,
    handler: Handler,
    purse: CallBudget,
    *,
    meter: Meter | None = None,
    made: list[Decision] | None = None,
) -> Trajectory:
    """Return what the candidate does with a query that the live router has answered.

    As long as it decides like the live router, it gets that one's observations, and nothing is called.

    Args:
        query: the query.
        live: the live router's trajectory.
        handler: holds the candidate, and the executor that runs what it decides.
        purse: the dollars that its calls may cost; what they do cost is taken from it.
        meter: counts its calls in the day's budget, which the live router's calls share; None if there is none.
        made: gets the decisions that it made, also where an error ends it.

    Raises:
        UnaffordableError: its next call is expected to cost more than is left, or nothing is left.
    """
    made = [] if made is None else made

    def act(query: Query, decision: Decision, trajectory: Trajectory) -> Steps[Observation]:
        mine = made[:] = [*(step.decision for step in trajectory.steps), decision]
        theirs = [step.decision for step in live.steps[: len(mine)]]
        if len(theirs) == len(mine) and all(map(same_choice, mine, theirs)):
            observed = live.steps[len(mine) - 1].observation
            if observed is not None:
                return observed
        expected = None if decision.chosen is None else decision.chosen.expected_cost_usd
        left = purse.left
        purse.check(expected)
        if meter is not None:
            _charge(query, decision, meter, purse)
        assert decision.pair is not None  # noqa: S101  # only such decisions are acted on
        seconds, budget = left_for(query, decision, trajectory)
        if left is not None:
            budget = Budget(left if budget is None else min(left, budget.usd), expected)
        if meter is not None:
            seconds, budget = meter.seconds(seconds), meter.budget(budget)
        seen: Observation = yield Run(decision.pair, asked(query, decision), seconds, budget)
        if meter is not None:
            meter.settle(decision, seen)
        purse.pay(seen.cost_usd)
        return seen

    with untraced():
        theirs = drive(turns(query, act=act), handler)
    made[:] = [step.decision for step in theirs.steps]
    return theirs


def _charge(query: Query, decision: Decision, meter: Meter, purse: CallBudget) -> None:
    """Charge a call of the candidate in the day's budget.

    Raises:
        UnaffordableError: it has no room, or nobody knows what the call costs.
    """
    refused = meter.charge(query, decision)
    if refused is None:
        return
    if not meter.is_priced(decision):
        raise UnaffordableError(refused.error)
    purse.full_on = datetime.now(UTC).date()
    raise UnaffordableError


def score_difference(check: Check, query: Query, live: str | None, candidate: str | None, draw: random.Random) -> float:
    """Return how much better the candidate's answer is, from -1 to 1.

    Two answers with the same words are equally good, and the check isn't asked.

    Raises:
        InvalidInputError: the check returned neither a preference nor two scores from 0 to 1.
    """
    of_live, of_candidate = (live or "").strip(), (candidate or "").strip()
    if of_live == of_candidate:
        return 0.0
    is_swapped = draw.random() < 0.5  # noqa: PLR2004
    said = check(query, of_candidate, of_live) if is_swapped else check(query, of_live, of_candidate)
    advantage_of_first = _advantage(said)
    return advantage_of_first if is_swapped else -advantage_of_first


def _advantage(said: Any) -> float:
    if isinstance(said, str) and said in _PREFERENCES:
        return _PREFERENCES[said]
    try:
        first, second = (float(score) for score in said)
        if 0 <= first <= 1 and 0 <= second <= 1:
            return first - second
    except (TypeError, ValueError):
        pass
    raise InvalidInputError(
        f"A check returns 'first', 'second' or 'tie', or the scores of both answers from 0 to 1; it returned {said!r}."
    )
