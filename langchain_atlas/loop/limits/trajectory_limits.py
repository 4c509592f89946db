"""The limits of a trajectory, whichever router decides: turns, dollars, seconds, and the pairs that a query allows.

Routers check in advance what a call is expected to take; see `routers/constraints.py`. Here a decision is refused, or
turned into an answer, once a limit is reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.errors import ConstraintError, SettingError
from langchain_atlas.loop.limits.pair_budget import Budget
from langchain_atlas.trajectory import last_answer, with_all_spent

if TYPE_CHECKING:
    from langchain_atlas.loop.contracts import RouterLike
    from langchain_atlas.trajectory import Decision, Query, Step, Trajectory

MAX_TURNS = 4
"""Maximum number of turns of a trajectory before the last answer is given (section 3 of the paper)."""

TURN_LIMIT = "turn-limit"
"""The `Decision.rule` of a decision to answer because all turns are used."""

SPENT = "limit-reached"
"""The `Decision.rule` of a decision to answer because a limit on cost or time is reached."""


def limited(decision: Decision, trajectory: Trajectory, max_turns: int, router: RouterLike) -> Decision:
    """Return the decision, unless the turns are used up: then return a decision to answer.

    The router still decides then, because it knows which of several answers to give. If it does not count failures as
    turns, it can continue while there are pairs that it has not tried.
    """
    if decision.kind == "answer" or _turns_used(trajectory, router) < max_turns:
        return decision
    return with_all_spent(last_answer(trajectory, rule=TURN_LIMIT, reason=f"All {max_turns} turns are used."), decision)


def _turns_used(trajectory: Trajectory, router: RouterLike) -> int:
    if getattr(router, "failures_are_turns", True):
        return len(trajectory.steps)
    failed = [seen.pair for seen in trajectory.observations if seen.failed]
    return len(trajectory.steps) - len(set(failed))  # a pair that fails again uses a turn


def checked_turns(max_turns: int) -> int:
    """Return a turn limit if it is valid.

    Raises:
        SettingError: it is below 1.
    """
    if max_turns < 1:
        raise SettingError(f"max_turns is {max_turns!r}; a loop needs at least 1 turn.")
    return max_turns


def permitted(decision: Decision, query: Query, trajectory: Trajectory) -> Decision:
    """Return a decision if the query's limits allow it, or else the decision to answer with what there is.

    Routers choose calls that are expected to stay within the limits. This function ensures, for any router, that
    nothing is called once a limit is passed and that only allowed pairs are called: not every router knows of limits.

    Args:
        decision: the router's decision.
        query: the query.
        trajectory: the steps taken for it so far.

    Raises:
        ConstraintError: the pair is not allowed.
    """
    limits, pair = query.constraints, decision.pair
    if pair is None:
        return decision
    if limits.pairs is not None and pair not in limits.pairs:
        raise ConstraintError(f"The router chose {str(pair)!r}, which is not among the pairs that the query allows.")
    dollars = dollars_used(trajectory)
    if limits.max_cost_usd is not None and dollars is None:
        reason = (
            f"What a call took is not known, and the limit is {limits.max_cost_usd:g} dollars, so {pair} is not asked."
        )
        reason = f"{reason} Give prices in the pool, or lift max_cost_usd."
        return with_all_spent(last_answer(trajectory, rule=SPENT, reason=reason), decision)
    for limit, used, unit in (
        (limits.max_cost_usd, dollars or 0.0, "dollars"),
        (limits.max_latency_s, sum(seen.latency_s or 0.0 for seen in trajectory.observations), "seconds"),
    ):
        if limit is not None and used >= limit and used > 0:
            reason = f"{used:.3g} {unit} of {limit:g} are used, so {pair} is not asked. Raise the limit."
            return with_all_spent(last_answer(trajectory, rule=SPENT, reason=reason), decision)
    return decision


def dollars_used(trajectory: Trajectory) -> float | None:
    """Return the dollars that calls count for towards a limit, see `dollars_of`; None if one is not known."""
    amounts = [dollars_of(step) for step in trajectory.steps]
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)


def dollars_of(step: Step) -> float | None:
    """Return the dollars that a step counts for towards a limit.

    For a run of unknown cost that is what was expected of it, for each model call; None if nothing was expected.
    """
    seen, chosen = step.observation, step.decision.chosen
    if seen is None:
        return 0.0
    if seen.cost_usd is not None:
        return seen.cost_usd
    expected = None if chosen is None else chosen.expected_cost_usd
    return None if expected is None else expected * max(1, seen.model_calls)


def left_for(query: Query, decision: Decision, trajectory: Trajectory) -> tuple[float | None, Budget | None]:
    """Return how many seconds and dollars the next run may take; None for any number."""
    limit, chosen = query.constraints.max_cost_usd, decision.chosen
    seconds = seconds_for(query, trajectory)
    if limit is None:
        return seconds, None
    expected = None if chosen is None else chosen.expected_cost_usd
    used = dollars_used(trajectory)
    return seconds, Budget(0.0 if used is None else limit - used, expected)


def seconds_for(query: Query, trajectory: Trajectory) -> float | None:
    """Return how many seconds the next call may take; None for no limit."""
    limit = query.constraints.max_latency_s
    return None if limit is None else max(0.0, limit - sum(seen.latency_s or 0.0 for seen in trajectory.observations))
