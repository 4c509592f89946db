"""What is known of each pair in each cluster: sums over outcomes, and the estimates made from them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import PoolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool import Pair

_CREDIBILITY = (0.025, 0.975)


@dataclass(frozen=True)
class ClusterStatistics:
    """Sums of outcomes by cluster and pair; every array has shape [n_clusters, n_pairs]."""

    pairs: tuple[Pair, ...]
    """The pairs, in the order of the columns."""
    count: NDArray[np.float64]
    """Number of outcomes with a score."""
    success: NDArray[np.float64]
    """Sum of their scores."""
    cost_count: NDArray[np.float64]
    """Number of outcomes with a known cost."""
    cost: NDArray[np.float64]
    """Sum of their costs, in dollars."""
    latency_count: NDArray[np.float64]
    """Number of outcomes with a known latency."""
    latency: NDArray[np.float64]
    """Sum of their latencies, in seconds."""

    @classmethod
    def of(cls, table: OutcomeTable, clusters: NDArray[np.int64], n_clusters: int) -> ClusterStatistics:
        """Add up a table's outcomes.

        Args:
            table: the outcomes.
            clusters: cluster of each of the table's queries, shape [n_queries].
            n_clusters: how many clusters there are.
        """
        sums: dict[str, NDArray[np.float64]] = {}
        for column, total, count in (
            ("score", "success", "count"),
            ("cost_usd", "cost", "cost_count"),
            ("latency_s", "latency", "latency_count"),
        ):
            values = table.matrix(column)
            known = ~np.isnan(values)
            sums[total] = _by_cluster(np.where(known, values, 0.0), clusters, n_clusters)
            sums[count] = _by_cluster(known.astype(np.float64), clusters, n_clusters)
        return cls(pairs=table.pairs, **sums)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the sums by name, for saving."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "pairs"}

    def with_pairs(self, pairs: Sequence[Pair]) -> ClusterStatistics:
        """Return the statistics of these pairs, in this order; one that has none so far starts empty."""
        numbers = {pair: number for number, pair in enumerate(self.pairs)}
        taken = np.array([numbers.get(pair, -1) for pair in pairs])
        columns = {name: np.where(taken >= 0, array[:, taken], 0.0) for name, array in self.arrays().items()}
        return ClusterStatistics(pairs=tuple(pairs), **columns)

    def __add__(self, other: ClusterStatistics) -> ClusterStatistics:
        """Add up two sets of outcomes over the same clusters; pairs of either are kept."""
        pairs = tuple(dict.fromkeys((*self.pairs, *other.pairs)))
        mine, theirs = self.with_pairs(pairs).arrays(), other.with_pairs(pairs).arrays()
        return ClusterStatistics(pairs=pairs, **{name: mine[name] + theirs[name] for name in mine})

    @cached_property
    def number(self) -> dict[Pair, int]:
        """Column of each pair."""
        return {pair: number for number, pair in enumerate(self.pairs)}

    def columns(self, pairs: Sequence[Pair]) -> NDArray[np.int64]:
        """Return the columns of some pairs.

        Raises:
            PoolError: one of them is not here.
        """
        missing = [str(pair) for pair in pairs if pair not in self.number]
        if missing:
            raise PoolError(f"The router knows no pair {missing[0]!r}. Add it with outcomes of a few probe queries.")
        return np.array([self.number[pair] for pair in pairs], dtype=np.int64)

    def overall_success(self, strength: float) -> NDArray[np.float64]:
        """Estimate each pair's success over all clusters, shape [n_pairs].

        A pair with few outcomes leans on the mean of all pairs, counted as `strength` outcomes.
        """
        count, success = self.count.sum(axis=0), self.success.sum(axis=0)
        seen = count > 0
        mean = float(np.mean(success[seen] / count[seen])) if seen.any() else 0.5
        weight = count + strength
        return np.where(weight > 0, (success + strength * mean) / np.maximum(weight, 1e-12), mean)

    def beliefs(self, strength: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the two counts of a Beta belief about each cell's success, solved and not solved.

        The pair's overall record is counted as `strength` outcomes in every cluster, so that a cluster with few
        outcomes of the pair leans on it.
        """
        prior = self.overall_success(strength)
        return self.success + strength * prior, self.count - self.success + strength * (1 - prior)

    def expected_success(self, strength: float) -> NDArray[np.float64]:
        """Estimate each cell's success, shape [n_clusters, n_pairs]."""
        solved, failed = self.beliefs(strength)
        total = solved + failed
        overall = np.broadcast_to(self.overall_success(strength), total.shape)
        return np.where(total > 0, solved / np.maximum(total, 1e-12), overall)

    def interval(self, cluster: int, column: int, strength: float) -> tuple[float, float]:
        """Return the 95% interval of one cell's success."""
        from scipy.special import betaincinv

        solved, failed = (float(part[cluster, column]) for part in self.beliefs(strength))
        low, high = betaincinv(max(solved, 1e-9), max(failed, 1e-9), _CREDIBILITY)
        return float(low), float(high)

    def expected_cost(self) -> NDArray[np.float64]:
        """Mean dollars a call in each cell; the pair's overall mean where the cell has none, NaN where unknown."""
        return _means(self.cost, self.cost_count)

    def expected_latency(self) -> NDArray[np.float64]:
        """Mean seconds a call in each cell; the pair's overall mean where the cell has none, NaN where unknown."""
        return _means(self.latency, self.latency_count)


def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale costs or latencies to [0, 1] over the pool; an unknown one counts as the pool's highest.

    Counting it as free would make unpriced pairs win; leaving them out would hide them.
    """
    highest = np.nanmax(values, initial=0.0)
    return np.where(np.isnan(values), 1.0, values / highest if highest > 0 else 0.0)


def _by_cluster(values: NDArray[np.float64], clusters: NDArray[np.int64], n_clusters: int) -> NDArray[np.float64]:
    sums = np.zeros((n_clusters, values.shape[1]))
    np.add.at(sums, clusters, values)
    return sums


def _means(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = total.sum(axis=0) / count.sum(axis=0)
        return np.where(count > 0, total / count, overall)
