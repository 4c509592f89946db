"""The outcome matrix: recorded outcomes as arrays of queries by pairs, for everything that learns or measures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.errors import OutcomeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import DTypeLike, NDArray

    from langchain_atlas.outcomes.table import OutcomeTable
    from langchain_atlas.pool.pool import Pair

ARRAYS = ("scores", "costs", "latencies")
"""Names of the arrays of an `OutcomeMatrix`."""

UNKNOWN_DOMAIN = ""
"""Domain of a query that was joined from another matrix."""


@dataclass(frozen=True)
class OutcomeMatrix:
    """Outcomes as arrays of shape [n_queries, n_pairs], 64 or 32 bits; NaN where nothing is recorded."""

    pairs: tuple[Pair, ...]
    """The pairs, in the order of the columns."""
    domains: tuple[str, ...]
    """Domain of each query, in the order of the rows."""
    scores: NDArray[Any]
    """Score of each answer, 0 to 1."""
    costs: NDArray[Any]
    """Dollars of each call; also NaN where unknown."""
    latencies: NDArray[Any]
    """Seconds of each call; also NaN where unknown."""

    @classmethod
    def of(cls, table: OutcomeTable, pairs: Sequence[Pair] | None = None) -> OutcomeMatrix:
        """Convert a table, in the order of its queries.

        Args:
            table: the outcomes.
            pairs: the pairs, in this order; by default, all pairs of the table.

        Raises:
            PoolError: the table has no outcome of a pair in `pairs`.
        """
        columns = (table.matrix(column, pairs) for column in ("score", "cost_usd", "latency_s"))
        return cls(table.pairs if pairs is None else tuple(pairs), table.domains, *columns)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def recorded(self) -> NDArray[np.bool_]:
        """Where a score is recorded, shape [n_queries, n_pairs]."""
        known: NDArray[np.bool_] = ~np.isnan(self.scores)
        return known

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of queries with a score, for each pair, shape [n_pairs]."""
        count: NDArray[np.int64] = self.recorded.sum(axis=0)
        return count

    def checked(self, source: str) -> OutcomeMatrix:
        """Return the matrix, if it contains any score.

        Raises:
            OutcomeError: there are no scores in `source`, the name of the table.
        """
        if not self.recorded.any():
            raise OutcomeError(f"{source} has no score; there is nothing to learn from. Score its responses.")
        return self

    def scored(self) -> OutcomeMatrix:
        """Return the matrix without the costs and latencies of runs without a score, as if they were not recorded."""
        costs, latencies = (np.where(self.recorded, values, np.nan) for values in (self.costs, self.latencies))
        return replace(self, costs=costs, latencies=latencies)

    def astype(self, kind: DTypeLike) -> OutcomeMatrix:
        """Return the matrix with another floating-point type."""
        arrays: dict[str, Any] = {name: array.astype(kind) for name, array in self.arrays().items()}
        return replace(self, **arrays)

    def rows(self, rows: Sequence[int] | NDArray[Any]) -> OutcomeMatrix:
        """Return the outcomes of some queries, by index."""
        taken = np.asarray(rows)
        arrays: dict[str, Any] = {name: array[taken] for name, array in self.arrays().items()}
        return replace(self, domains=tuple(self.domains[row] for row in taken), **arrays)

    def columns(self, columns: Sequence[int]) -> OutcomeMatrix:
        """Return the outcomes of some pairs, by index."""
        taken = list(columns)
        arrays: dict[str, Any] = {name: array[:, taken] for name, array in self.arrays().items()}
        return replace(self, pairs=tuple(self.pairs[column] for column in taken), **arrays)

    def with_pairs(self, pairs: Sequence[Pair]) -> OutcomeMatrix:
        """Return the outcomes of these pairs, in this order; a pair that is missing here has nothing recorded."""
        numbers = {pair: number for number, pair in enumerate(self.pairs)}
        taken = np.array([numbers.get(pair, -1) for pair in pairs], dtype=np.int64)
        arrays: dict[str, Any] = {
            name: np.where(taken >= 0, array[:, taken], np.nan).astype(array.dtype)
            for name, array in self.arrays().items()
        }
        return replace(self, pairs=tuple(pairs), **arrays)

    def joined(self, other: OutcomeMatrix, rows: Sequence[int] | NDArray[np.int64]) -> OutcomeMatrix:
        """Return the matrix with the outcomes of those pairs of another one that this one lacks.

        Args:
            other: the other matrix; its outcomes of pairs that are already here are ignored.
            rows: row of each of its queries here; ``len(self)`` and above for queries that are not here.
        """
        fresh = [column for column, pair in enumerate(other.pairs) if pair not in set(self.pairs)]
        target = np.asarray(rows, dtype=np.int64)
        n_rows = max(len(self), int(target.max(initial=-1)) + 1)
        arrays = {
            name: join_columns(array, getattr(other, name)[:, fresh], target, n_rows, np.nan)
            for name, array in self.arrays().items()
        }
        return OutcomeMatrix(
            pairs=(*self.pairs, *(other.pairs[column] for column in fresh)),
            domains=(*self.domains, *[UNKNOWN_DOMAIN] * (n_rows - len(self))),
            **arrays,
        )

    @property
    def domain_numbers(self) -> NDArray[np.int64]:
        """Index of each query's domain, in alphabetical order, shape [n_queries]."""
        order = {name: number for number, name in enumerate(self.domain_names)}
        return np.array([order[name] for name in self.domains], dtype=np.int64)

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The domains, in alphabetical order."""
        return tuple(sorted(set(self.domains)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in ARRAYS}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], pairs: Sequence[Pair], domains: Sequence[str]
    ) -> OutcomeMatrix:
        """Rebuild a matrix from the result of `arrays`; other arrays are ignored."""
        return cls(tuple(pairs), tuple(domains), **{name: arrays[name] for name in ARRAYS})


def join_columns(
    mine: NDArray[Any], theirs: NDArray[Any], rows: NDArray[np.int64], n_rows: int, empty: float
) -> NDArray[Any]:
    """Append columns to those of a matrix, each row at its index; `empty` where neither has a value.

    Args:
        mine: shape [n, n_columns], the first rows and columns of the result.
        theirs: shape [m, n_new].
        rows: index of each row of `theirs`, shape [m].
        n_rows: total number of rows.
        empty: the value of all other cells.

    Returns:
        Shape [n_rows, n_columns + n_new], with the type of `mine`.
    """
    full = np.full((n_rows, mine.shape[1] + theirs.shape[1]), empty, dtype=mine.dtype)
    full[: len(mine), : mine.shape[1]] = mine
    full[rows, mine.shape[1] :] = theirs
    return full
