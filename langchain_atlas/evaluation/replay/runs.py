"""A router's results on every recorded query: arrays with one number per query."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.amounts import add_known
from langchain_atlas.errors import ConstraintError, OutcomeError
from langchain_atlas.loop.limits import MAX_TURNS
from langchain_atlas.loop.turns import solve
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.tracing import untraced
from langchain_atlas.trajectory import START, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.execution.replay import ReplayExecutor
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router

_BATCH = 512
"""Number of queries whose first step is decided at once."""

_REFUSED = "refused"


@dataclass(frozen=True)
class Runs:
    """The results of one router, or one fixed policy, on each query of a table; arrays have shape [n_queries]."""

    score: NDArray[np.float64]
    """Score of the answer given, 0 to 1: 0 when none was given, NaN when none of the router's pairs is recorded."""
    cost: NDArray[np.float64]
    """Dollars over all calls, and over those of models that the router itself called to decide; NaN when one is unknown
    or the query was not measured."""
    latency: NDArray[np.float64]
    """Seconds over all calls, in sequence; NaN as for cost."""
    calls: NDArray[np.float64]
    """Number of calls; NaN when the query was not measured."""
    answered: NDArray[np.int64]
    """Column of the pair whose answer was given; -1 when there is none, or when `drawn`."""
    answer_share: NDArray[np.float64]
    """Share of the answers that each pair gave, shape [n_pairs]; adds up to 1 unless there was no answer."""
    call_share: NDArray[np.float64]
    """Share of the calls that went to each pair, shape [n_pairs]; adds up to 1 unless there was no call."""
    choices: int
    """Number of pairs to choose from."""
    refused: int = 0
    """Number of queries where the router raised `ConstraintError` although a pair of it is recorded; they score 0."""
    drawn: bool = False
    """Whether these are expectations over randomly drawn pairs, so that no single pair gave the answer."""
    paths: tuple[tuple[int, ...], ...] = ()
    """Columns of the pairs that were called on each query, in order; empty for a query without a call. No paths where
    no router was replayed."""
    stops: tuple[str, ...] = ()
    """The rule by which the router stopped on each query; empty for a query that was not measured."""

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which queries could be measured, shape [n_queries]."""
        return ~np.isnan(self.score)


def run_router(
    router: Router,
    executor: ReplayExecutor,
    *,
    max_turns: int = MAX_TURNS,
    on_query: Callable[[], None] | None = None,
) -> Runs:
    """Send every query of a recorded table round the loop.

    First steps are decided in batches, the rest by the same loop that serves users. A pair that is not recorded for a
    query can't be called: the query's constraints exclude it. A query for which none of the router's pairs is recorded
    is left out.

    Args:
        router: the router; it is restricted to the table's pairs.
        executor: the recorded outcomes.
        max_turns: maximum number of turns in a trajectory.
        on_query: called after every query.

    Raises:
        PoolError: the router knows none of the table's pairs.
        OutcomeError: the router calls a pair that is not recorded, against the query's constraints, or none of its
            pairs has a score on any query.
    """
    table = executor.table
    router = router.restrict(table.pairs)
    queries = [_askable(query, router, executor) for query in table.queries]
    if not any(queries):
        raise OutcomeError(f"{table.source} has no score of any pair that the router knows; nothing can be replayed.")
    tally = _Tally(executor)
    for start in range(0, len(queries), _BATCH):
        batch = queries[start : start + _BATCH]
        prepared = _Prepared(router, [query for query in batch if query is not None])
        for number, query in enumerate(batch, start):
            if query is not None:
                with untraced():
                    tally.add(number, query, solve(query, prepared, executor, max_turns=max_turns))
            if on_query is not None:
                on_query()
    return tally.runs(len(router.pairs) or len(table.pairs))


def _askable(query: Query, router: Router, executor: ReplayExecutor) -> Query | None:
    """Return the query with the constraint that makes it replayable; None when it can't be."""
    recorded = executor.recorded(query)
    if not router.pairs:
        return _allowing(query, recorded) if recorded else None
    known = recorded.intersection(router.pairs)
    if len(known) == len(router.pairs):
        return query
    return _allowing(query, recorded) if known else None


def _allowing(query: Query, pairs: frozenset[Pair]) -> Query:
    return query.replace(constraints=query.constraints.replace(pairs=pairs))


class _Prepared(RouterWrapper):
    """A router whose first steps were decided in advance, and whose refusals end the loop without an answer."""

    def __init__(self, router: Router, queries: Sequence[Query]) -> None:
        super().__init__(router)
        self._first: dict[str | None, Decision] = {}
        try:
            decisions = router.decide_batch(queries) if queries else []
        except ConstraintError:
            return  # one of them was refused: each is decided alone
        self._first = {query.id: decision for query, decision in zip(queries, decisions, strict=True)}

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        if not trajectory.steps and query.id in self._first:
            return self._first[query.id]
        try:
            return self.router.decide(query, trajectory)
        except ConstraintError as error:
            return Decision(kind="answer", rule=_REFUSED, reason=str(error))

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        return self.decide(query, trajectory)

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        return [self.decide(query) for query in queries]


class _Tally:
    """Aggregates trajectories."""

    def __init__(self, executor: ReplayExecutor) -> None:
        n = len(executor.table.query_ids)
        self._executor = executor
        self._numbers = {name: np.full(n, np.nan) for name in ("score", "cost", "latency", "calls")}
        self._answered = np.full(n, -1, dtype=np.int64)
        self._calls: Counter[Pair] = Counter()
        self._paths: list[tuple[int, ...]] = [()] * n
        self._stops = [""] * n
        self._refused = 0

    def add(self, number: int, query: Query, trajectory: Trajectory) -> None:
        given = trajectory.answered_by
        self._numbers["score"][number] = 0.0 if given is None else self._executor.score(given.pair, query)
        self._numbers["cost"][number] = _or_nan(add_known(trajectory.cost_usd, trajectory.deciding_usd))
        self._numbers["latency"][number] = _or_nan(trajectory.latency_s)
        self._numbers["calls"][number] = trajectory.calls
        if given is not None:
            self._answered[number] = self._executor.table.pair_number(given.pair)
        called = [seen.pair for seen in trajectory.observations]
        self._paths[number] = tuple(self._executor.table.pair_number(pair) for pair in called)
        self._stops[number] = trajectory.steps[-1].decision.rule
        self._calls.update(called)
        self._refused += trajectory.steps[-1].decision.rule == _REFUSED

    def runs(self, choices: int) -> Runs:
        pairs = self._executor.table.pairs
        return Runs(
            score=self._numbers["score"],
            cost=self._numbers["cost"],
            latency=self._numbers["latency"],
            calls=self._numbers["calls"],
            answered=self._answered,
            answer_share=shares(self._answered, len(pairs)),
            call_share=_portions(self._calls[pair] for pair in pairs),
            choices=choices,
            refused=self._refused,
            paths=tuple(self._paths),
            stops=tuple(self._stops),
        )


def shares(columns: NDArray[np.int64], n_pairs: int) -> NDArray[np.float64]:
    """Return the share of each column among those from 0, shape [n_pairs]."""
    return _portions(np.bincount(columns[columns >= 0], minlength=n_pairs))


def _portions(counts: Iterable[int]) -> NDArray[np.float64]:
    count = np.array(list(counts), dtype=np.float64)
    portions: NDArray[np.float64] = count / max(float(count.sum()), 1.0)
    return portions


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
