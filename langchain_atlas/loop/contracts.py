"""What the loop needs of routers and executors, and which pairs of theirs can answer a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from langchain_atlas.budgets import Budget
from langchain_atlas.errors import ConstraintError
from langchain_atlas.failures.kinds import is_of_provider
from langchain_atlas.trajectory import last_answer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory


SPENT = "limit-reached"
"""The `Decision.rule` of a decision to answer because a limit on cost or time is reached."""


class RouterLike(Protocol):
    """What the loop needs of a router; it also reads `Router`'s `takes_first_answer` and `failures_are_turns`."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from; empty if it accepts any."""
        ...  # pragma: no cover

    def decide(self, query: Query, trajectory: Trajectory = ..., /) -> Decision:
        """Decide the next step."""
        ...  # pragma: no cover

    async def adecide(self, query: Query, trajectory: Trajectory = ..., /) -> Decision:
        """Async version of `decide`."""
        ...  # pragma: no cover


class ExecutorLike(Protocol):
    """What the loop needs of an executor; it also calls `Executor`'s `provider`."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it can run; empty if unknown."""
        ...  # pragma: no cover

    def suited(self, query: Query, /) -> frozenset[Pair] | None:
        """Return the pairs that can answer this query; None if unknown."""
        ...  # pragma: no cover

    def unable(self, query: Query, /, *, beside: str = "", bound: Collection[Pair] = ()) -> Mapping[Pair, str]:
        """Return the pairs that can't take this query at all, each with the reason."""
        ...  # pragma: no cover

    def trajectory(self, key: str | None = None, *, last: bool = True) -> AbstractContextManager[object]:
        """Return a context manager that groups the runs of one trajectory."""
        ...  # pragma: no cover

    def run(self, pair: Pair, query: Query, /) -> Observation:
        """Run a pair on a query."""
        ...  # pragma: no cover

    async def arun(self, pair: Pair, query: Query, /) -> Observation:
        """Async version of `run`."""
        ...  # pragma: no cover


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
    for limit, used, unit in (
        (limits.max_cost_usd, dollars_used(trajectory), "dollars"),
        (limits.max_latency_s, sum(seen.latency_s or 0.0 for seen in trajectory.observations), "seconds"),
    ):
        if limit is not None and used >= limit and used > 0:
            reason = f"{used:.3g} {unit} of {limit:g} are used, so {pair} is not asked. Raise the limit."
            return last_answer(trajectory, rule=SPENT, reason=reason)
    return decision


def dollars_used(trajectory: Trajectory) -> float:
    """Return the dollars that calls took; where that is not known, what was expected of them, for each model call."""
    used = 0.0
    for step in trajectory.steps:
        seen, chosen = step.observation, step.decision.chosen
        if seen is None:
            continue
        expected = None if chosen is None else chosen.expected_cost_usd
        used += (expected or 0.0) * max(1, seen.model_calls) if seen.cost_usd is None else seen.cost_usd
    return used


def left_for(query: Query, decision: Decision, trajectory: Trajectory) -> tuple[float | None, Budget | None]:
    """Return how many seconds and dollars the next run may take; None for any number."""
    limit, chosen = query.constraints.max_cost_usd, decision.chosen
    seconds = seconds_for(query, trajectory)
    if limit is None:
        return seconds, None
    expected = None if chosen is None else chosen.expected_cost_usd
    return seconds, Budget(limit - dollars_used(trajectory), expected)


def seconds_for(query: Query, trajectory: Trajectory) -> float | None:
    """Return how many seconds the next call may take; None for no limit."""
    limit = query.constraints.max_latency_s
    return None if limit is None else max(0.0, limit - sum(seen.latency_s or 0.0 for seen in trajectory.observations))


def suiting(
    query: Query,
    router: RouterLike,
    executor: ExecutorLike,
    able: frozenset[Pair] | None = None,
    *,
    beside: str = "",
    bound: Collection[Pair] = (),
) -> Query:
    """Return the query, restricted to pairs that can answer it.

    Three things are checked. What the request itself needs of a pair, such as accepting the caller's own tools, is
    mandatory (`able`). So are the pairs that the executor rules out (`Executor.unable`), for instance because they
    can't hold the query with its history and tools, or can't read its documents. What the executor says about images
    (`Executor.suited`) is a preference: if none of the router's pairs is declared to read them, the pairs are called
    anyway, because a model may read images without the pool saying so.

    Args:
        query: the query.
        router: the router that decides.
        executor: the executor that runs pairs.
        able: the pairs that can take the request at all; None for any.
        beside: text sent along that is not in the query, such as the caller's own tools as JSON.
        bound: pairs whose tools the caller runs.

    Raises:
        ConstraintError: the query allows none of the pairs that can take the request.
    """
    able = _left(query, router, able, executor.unable(query, beside=beside, bound=bound), executor)
    suited = executor.suited(query)
    if suited is None and able is None:
        return query
    known, wanted = frozenset(router.pairs), query.constraints.pairs
    allowed = wanted if able is None else able if wanted is None else able & wanted
    if able is not None and (not allowed or (known and known.isdisjoint(allowed))):
        names = ", ".join(sorted(map(str, known or able))[:4])
        raise ConstraintError(
            f"None of the pairs {names} can take this request: it brings tools of its own, needs tools that somebody "
            "else runs, names a model, or allows other pairs only."
        )
    if suited is not None:
        fitting = suited if allowed is None else suited & allowed
        if fitting and not (known and known.isdisjoint(fitting)):
            allowed = fitting
    return query if allowed is wanted else query.replace(constraints=query.constraints.replace(pairs=allowed))


def _left(
    query: Query,
    router: RouterLike,
    able: frozenset[Pair] | None,
    unable: Mapping[Pair, str],
    executor: ExecutorLike,
) -> frozenset[Pair] | None:
    """Return the pairs that can take the request.

    Raises:
        ConstraintError: there is none; the message says why.
    """
    if not unable:
        return able
    wanted, known = query.constraints.pairs, frozenset(router.pairs) or frozenset(executor.pairs)
    asked = (known if able is None else able & known) if wanted is None else wanted & known
    left = (known if able is None else able) - unable.keys()
    if asked and asked.isdisjoint(left) and not asked.isdisjoint(unable):
        reasons = dict.fromkeys(unable[pair] for pair in sorted(asked, key=str) if pair in unable)
        raise ConstraintError(f"No pair can take this query: {'; '.join(list(reasons)[:3])}.")
    return left


def elsewhere(query: Query, trajectory: Trajectory, router: RouterLike, executor: ExecutorLike) -> Query:
    """Return the query, marked with the pairs to avoid: those whose provider failed earlier in the trajectory.

    A provider that is unreachable, is overloaded or rejects the key will fail for its other models too.

    Args:
        query: the query.
        trajectory: the steps taken for it so far.
        router: the router that decides.
        executor: the executor that runs pairs.
    """
    provider = getattr(executor, "provider", lambda _: None)
    failed = {provider(seen.pair) for seen in trajectory.observations if seen.failed and is_of_provider(seen)}
    failed.discard(None)
    if not failed:
        return query
    return query.replace(avoid=frozenset(pair for pair in router.pairs if provider(pair) in failed))
