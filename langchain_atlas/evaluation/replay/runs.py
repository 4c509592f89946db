"""A router's results on every recorded query: arrays with one number per query."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.amounts import add_known
from langchain_atlas.engines.products import one_thread
from langchain_atlas.errors import OutcomeError, PoolError
from langchain_atlas.evaluation.replay.together import REFUSED, Prepared, solve_together
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS
from langchain_atlas.routers.utility.router import ROUTED_ONCE, UtilityRouter
from langchain_atlas.tracing import untraced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.execution.replay import ReplayExecutor
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Query, Trajectory

_BATCH = 512
"""Number of queries whose first step is decided at once."""


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
    replay = _Replay(router, executor, max_turns)
    with one_thread():
        for start in range(0, len(executor.table.query_ids), _BATCH):
            replay.run(start, start + _BATCH, on_query)
    return replay.runs()


def run_routers(
    routers: Mapping[str, Router],
    executor: ReplayExecutor,
    *,
    max_turns: int = MAX_TURNS,
    on_query: Callable[[], None] | None = None,
) -> dict[str, Runs]:
    """Do what `run_router` does for several routers, a part of the queries at a time.

    So several settings of one router share what is looked up for a query.

    Args:
        routers: the routers, by name.
        executor: the recorded outcomes.
        max_turns: maximum number of turns in a trajectory.
        on_query: called after every query of every router.

    Raises:
        PoolError: a router knows none of the table's pairs; the message names the router.
        OutcomeError: as for `run_router`.
    """
    replays: dict[str, _Replay] = {}
    for name, router in routers.items():
        with named(name):
            replays[name] = _Replay(router, executor, max_turns)
    with one_thread():
        for start in range(0, len(executor.table.query_ids), _BATCH):
            for replay in replays.values():
                replay.run(start, start + _BATCH, on_query)
    return {name: replay.runs() for name, replay in replays.items()}


@contextmanager
def named(name: str) -> Iterator[None]:
    """Have an error about a router's pairs say which router it is.

    Raises:
        PoolError: one is raised inside.
    """
    try:
        yield
    except PoolError as error:
        raise PoolError(f"Router {name!r}: {error}") from error


class _Replay:
    """One router on its way through a table."""

    def __init__(self, router: Router, executor: ReplayExecutor, max_turns: int) -> None:
        table = executor.table
        self._router = router.restrict(table.pairs)
        self._executor, self._max_turns = executor, max_turns
        self._queries = _askable(table.queries, self._router, executor)
        if not any(self._queries):
            raise OutcomeError(
                f"{table.source} has no score of any pair that the router knows; nothing can be replayed."
            )
        self._tally = _Tally(executor)

    def run(self, start: int, stop: int, on_query: Callable[[], None] | None) -> None:
        """Send some of the queries round the loop, by index."""
        part = self._queries[start:stop]
        asked = [(number, query) for number, query in enumerate(part, start) if query is not None]
        if on_query is not None:
            for _ in range(len(part) - len(asked)):
                on_query()
        if isinstance(self._router, UtilityRouter):  # what it asks first is the answer: a recorded call never fails
            asked = self._route(asked, on_query)
        queries, router = [query for _, query in asked], Prepared(self._router)
        with untraced():
            solved = solve_together(queries, router, self._executor, max_turns=self._max_turns, on_query=on_query)
        for (number, query), trajectory in zip(asked, solved, strict=True):
            self._tally.add(number, query, trajectory)

    def _route(self, asked: list[tuple[int, Query]], on_query: Callable[[], None] | None) -> list[tuple[int, Query]]:
        """Route queries, all at once; return those that can't be routed, for the loop to say why."""
        table, router = self._executor.table, self._router
        assert isinstance(router, UtilityRouter)  # noqa: S101  # the caller has looked
        column_of = np.array([*map(table.pair_number, router.pairs), -1])
        columns = column_of[router.choose_batch([query for _, query in asked])]
        rows = np.array([number for number, _ in asked], dtype=np.int64)
        there = (columns >= 0) & self._executor.callable[rows, columns]
        self._tally.add_routed(rows[there], columns[there])
        if on_query is not None:
            for _ in range(int(there.sum())):
                on_query()
        return [each for each, done in zip(asked, there, strict=True) if not done]

    def runs(self) -> Runs:
        """Return the results."""
        return self._tally.runs(len(self._router.pairs) or len(self._executor.table.pairs))


def _askable(queries: Sequence[Query], router: Router, executor: ReplayExecutor) -> list[Query | None]:
    """Return each query with the constraint that makes it replayable; None when it can't be."""
    columns = [executor.table.pair_number(pair) for pair in router.pairs]
    known = executor.callable[:, columns] if columns else executor.callable
    some, every = np.asarray(known.any(axis=1)), np.asarray(known.all(axis=1))
    return [
        query if whole and columns else _allowing(query, executor.recorded(query)) if there else None
        for query, there, whole in zip(queries, some, every, strict=True)
    ]


def _allowing(query: Query, pairs: frozenset[Pair]) -> Query:
    return query.replace(constraints=query.constraints.replace(pairs=pairs))


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
        self._refused += trajectory.steps[-1].decision.rule == REFUSED

    def add_routed(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        """Add queries that were answered by the first pair that was called; rows and columns are those of the table."""
        for name, values in {**self._executor.figures(rows, columns), "calls": np.ones(len(rows))}.items():
            self._numbers[name][rows] = values
        self._answered[rows] = columns
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            self._paths[row] = (column,)
            self._stops[row] = ROUTED_ONCE
            self._calls[self._executor.table.pairs[column]] += 1

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
