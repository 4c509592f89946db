"""The replay executor: looks up calls in recorded outcomes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import OutcomeError
from langchain_atlas.execution.base import Executor
from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.trajectory import Observation, Verdict
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.trajectory import Query


class ReplayExecutor(Executor):
    """Returns a pair's recorded answer, with the recorded cost and latency.

    Observations hold what a live run would have returned, never whether it was right; evaluations use `score` for that.
    What a benchmark counts as an error is an ordinary answer here, because the live run returned one.

    Args:
        table: the recorded outcomes.
    """

    def __init__(self, table: OutcomeTable) -> None:
        self.table = table
        self._rows = {name: number for number, name in enumerate(table.query_ids)}
        self._outcomes = OutcomeMatrix.of(table)
        self._numbers = {
            "cost_usd": self._outcomes.costs,
            "latency_s": self._outcomes.latencies,
            **{column: table.matrix(column) for column in ("input_tokens", "output_tokens")},
        }
        self._responses = table.texts("response")
        self._verdicts = table.verdicts

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs with recorded outcomes."""
        return self.table.pairs

    def run(self, pair: Pair, query: Query) -> Observation:
        """Look up the answer of `pair` to `query`, by the query's id.

        Raises:
            OutcomeError: the query is not recorded, or this pair was not recorded on it.
            PoolError: the table has no outcome of the pair at all.
        """
        row, column = self._cell(pair, query)
        number = {name: _or_none(values[row, column]) for name, values in self._numbers.items()}
        tokens_in, tokens_out = number["input_tokens"], number["output_tokens"]
        return Observation.model_construct(
            pair=pair,
            answer=self._responses[row][column] or "",
            usage=Usage(
                input_tokens=None if tokens_in is None else round(tokens_in),
                output_tokens=None if tokens_out is None else round(tokens_out),
            ),
            cost_usd=number["cost_usd"],
            latency_s=number["latency_s"],
            verdict=self._verdict(row, column),
        )

    def stays_here(self, pair: Pair) -> bool:
        """Return whether a pair's tool shows a query to nobody: nothing is called."""
        del pair
        return True

    def score(self, pair: Pair, query: Query) -> float:
        """Return the score of the recorded answer, from 0 to 1.

        Raises:
            OutcomeError: the query is not recorded, or this pair was not recorded on it.
        """
        return float(self._outcomes.scores[self._cell(pair, query)])

    def recorded(self, query: Query) -> frozenset[Pair]:
        """Return the pairs that were recorded on a query, and can therefore be run on it.

        Raises:
            OutcomeError: the query is not recorded.
        """
        known = self.callable[self._row(query)]
        return frozenset(pair for pair, there in zip(self.table.pairs, known, strict=True) if there)

    @cached_property
    def callable(self) -> NDArray[np.bool_]:
        """Which pairs can be run on which query, shape [n_queries, n_pairs]; see `recorded`."""
        return self._outcomes.recorded

    def figures(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Return score, cost and latency of many runs, by name; each has shape [n_runs], NaN where unknown.

        Args:
            rows: row of each run's query.
            columns: column of its pair.
        """
        return figures_of(self._outcomes, rows, columns)

    def _verdict(self, row: int, column: int) -> Verdict | None:
        if self._verdicts is None or self._verdicts[row, column] < 0:
            return None
        return Verdict(status="passed" if self._verdicts[row, column] else "failed", verifier="recorded")

    def _row(self, query: Query) -> int:
        if query.id is None or query.id not in self._rows:
            raise OutcomeError(
                f"Query {query.id!r} is not recorded in {self.table.source}; only its own queries can be replayed."
            )
        return self._rows[query.id]

    def _cell(self, pair: Pair, query: Query) -> tuple[int, int]:
        row = self._row(query)
        column = self.table.pair_number(pair)
        if np.isnan(self._outcomes.scores[row, column]):
            raise OutcomeError(f"Pair {str(pair)!r} was not recorded on query {query.id!r} in {self.table.source}.")
        return row, column


def figures_of(
    outcomes: OutcomeMatrix, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return score, cost and latency of some cells; see `ReplayExecutor.figures`."""
    named = {"score": outcomes.scores, "cost": outcomes.costs, "latency": outcomes.latencies}
    return {name: values[rows, columns].astype(np.float64) for name, values in named.items()}


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
