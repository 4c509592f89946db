"""An executor that stands for a log of one pair a query: any pair can be called, and its score is an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import OutcomeError
from langchain_atlas.evaluation.replay.runs import run_router
from langchain_atlas.execution.replay import ReplayExecutor, figures_of
from langchain_atlas.trajectory import Observation
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Query

_SHOWN = 3
_MOST_UNDRAWN = 0.05
"""Share of queries on which a router may choose what the log's router never would: their scores are expected ones."""


class LoggedExecutor(ReplayExecutor):
    """Returns an empty answer for any pair, at its usual cost; `score` is the doubly robust score.

    So routers that ask one pair can be judged, and only these: one that reads answers has nothing to read.

    Args:
        table: the log.
        logged: the same, completed.
        free: whether a router may choose a pair that was never recorded on the query's domain; its score is then NaN.
    """

    def __init__(self, table: OutcomeTable, logged: LoggedOutcomes, *, free: bool = False) -> None:
        super().__init__(table)
        self._completed = logged.completed
        known = logged.recorded.recorded
        anywhere = np.any(known, axis=1, keepdims=True) & np.any(known, axis=0)
        self._able: NDArray[np.bool_] = anywhere if free else ~np.isnan(self._completed.scores)

    def run(self, pair: Pair, query: Query) -> Observation:
        """Return an empty answer of `pair` with what it would have cost."""
        row, column = self._row(query), self.table.pair_number(pair)
        cost, latency = self._completed.costs[row, column], self._completed.latencies[row, column]
        return Observation.model_construct(
            pair=pair,
            answer="",
            usage=Usage(),
            cost_usd=None if np.isnan(cost) else float(cost),
            latency_s=None if np.isnan(latency) else float(latency),
        )

    def score(self, pair: Pair, query: Query) -> float:
        """Return the doubly robust score; NaN where nothing is known."""
        return float(self._completed.scores[self._row(query), self.table.pair_number(pair)])

    @property
    def callable(self) -> NDArray[np.bool_]:
        """Which pairs a router may choose from on which query, shape [n_queries, n_pairs]."""
        return self._able

    def figures(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Return score, cost and latency of many runs; see `ReplayExecutor.figures`."""
        return figures_of(self._completed, rows, columns)


def judge(
    name: str, router: Router, table: OutcomeTable, logged: LoggedOutcomes, on_query: Callable[[], None] | None = None
) -> Runs:
    """Estimate a router's results on a log of one pair a query.

    Raises:
        PoolError: the router knows none of the log's pairs.
        OutcomeError: it can't be judged: it reads answers, or sends queries to a pair that was never recorded on their
            domain; the message names pair and domain.
    """
    check_kind(name, router)
    runs = run_router(router, LoggedExecutor(table, logged, free=True), on_query=on_query)
    check_support(name, runs, logged)
    check_overlap(name, runs, logged)
    return runs


def check_overlap(name: str, runs: Runs, logged: LoggedOutcomes) -> None:
    """Check that the log's router could have chosen what a router chooses, on nearly all queries.

    Raises:
        OutcomeError: it could not; such as a log of a router that never draws, on which this one decides otherwise.
    """
    undrawn, asked = logged.undrawn(runs.answered), int((runs.answered >= 0).sum())
    if undrawn <= _MOST_UNDRAWN * asked:
        return
    raise OutcomeError(
        f"Router {name!r} can't be judged on this log: on {undrawn} of {asked} queries it chooses a pair that the "
        "log's router would never have chosen there (recorded propensity 1), so nothing recorded says how that would "
        "have gone. Let the live router explore (ExploringRouter) and judge on what is recorded then, or watch this "
        "one beside it (ShadowRouter)."
    )


def check_support(name: str, runs: Runs, logged: LoggedOutcomes) -> None:
    """Check that a router sends no query to a pair that was never recorded on the query's domain.

    Raises:
        OutcomeError: it does.
    """
    never = logged.never_logged(runs.answered)
    if not never:
        return
    told = [f"{pair} on {domain!r} ({count} queries)" for (pair, domain), count in list(never.items())[:_SHOWN]]
    more = f" and {len(never) - _SHOWN} more" if len(never) > _SHOWN else ""
    pair, domain = next(iter(never))
    raise OutcomeError(
        f"Router {name!r} can't be judged on this log: it sends queries to pairs that were never logged on their "
        f"domain: {', '.join(told)}{more}. Nothing recorded says how {pair} does there. Run it on some queries of "
        f"{domain!r} with 'langchain-atlas profile', or judge the router on other domains with --domains."
    )


def reads_no_answers(router: Router) -> bool:
    """Return whether a router decides before it sees an answer, so that it can be judged by estimates."""
    return router.takes_first_answer or bool(router.settings.get("always"))


def check_kind(name: str, router: Router) -> None:
    """Check that a router can be judged on a log of one pair a query.

    Raises:
        OutcomeError: it reads answers before it decides, and the answers of other pairs were not recorded.
    """
    if not reads_no_answers(router):
        raise OutcomeError(
            f"Router {name!r} can't be judged on this log: it compares answers of several pairs on a query, and most "
            "queries here are recorded for one pair only. Record several pairs on some queries with 'langchain-atlas "
            "profile', and evaluate on those; a router that asks one pair ('fit') can be judged here."
        )
