"""The statistics of each pair in each cluster: sums over outcomes, and the estimates made from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.routers.utility.estimates import highest_known, scaled
from langchain_atlas.routers.utility.sums import by_cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeMatrix
    from langchain_atlas.pool.pool import Pair

SUMS = ("count", "success", "cost_count", "cost", "latency_count", "latency")
"""Names of the sums, in the order of `ClusterStatistics`."""


_STRENGTHS = (1.0, 100.0)
_EVEN = 10.0
"""Number of outcomes that a usual ease counts as in the estimate of a cluster's."""
_STEPS = 100
_CLOSE = 1e-6


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
    repeats: int = 1
    """Number of clusterings in the rows: each outcome is counted once in each of them."""
    _estimated: dict[float, Estimates] = field(default_factory=dict, init=False, repr=False, compare=False)
    _shares: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    overall: dict[float, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `overall_success` has computed, by strength."""

    @classmethod
    def of(
        cls,
        outcomes: OutcomeMatrix,
        clusters: NDArray[np.int64],
        n_clusters: int,
        weights: NDArray[np.float64] | None = None,
    ) -> ClusterStatistics:
        """Aggregate outcomes.

        Args:
            outcomes: the outcomes.
            clusters: cluster of each query, shape [n_queries]; with several clusterings, one column for each, shape
                [n_queries, n_clusterings], with clusters numbered consecutively over all clusterings.
            n_clusters: total number of clusters.
            weights: number of outcomes that each query's count as, shape [n_queries]; negative takes them away; None
                for one.
        """
        each = np.ones(len(clusters)) if weights is None else weights
        columns = clusters.reshape(len(clusters), -1)
        sums: dict[str, NDArray[np.float64]] = {}
        for values, total, count in (
            (outcomes.scores, "success", "count"),
            (outcomes.costs, "cost", "cost_count"),
            (outcomes.latencies, "latency", "latency_count"),
        ):
            known = ~np.isnan(values)
            sums[total] = by_cluster(each[:, None] * np.where(known, values, 0.0), columns, n_clusters)
            sums[count] = by_cluster(each[:, None] * known, columns, n_clusters)
        return cls(pairs=outcomes.pairs, repeats=columns.shape[1], **sums)

    @cached_property
    def outcomes(self) -> NDArray[np.float64]:
        """Number of each pair's outcomes with a score, shape [n_pairs]."""
        total: NDArray[np.float64] = self.count.sum(axis=0) / self.repeats
        return total

    @cached_property
    def recorded(self) -> frozenset[int]:
        """The clusters that have outcomes of some pair."""
        return frozenset(np.flatnonzero(self.count.any(axis=1)).tolist())

    def speaking(
        self, distances: NDArray[np.float64], parts: tuple[slice, ...], permitted: NDArray[np.bool_]
    ) -> tuple[list[int], str]:
        """Return the nearest cluster of each clustering that has outcomes of a permitted pair, and the rule.

        The paper does not say what happens where a cluster has no statistics: here the next nearest cluster is used,
        and when none has any, the overall records.

        Args:
            distances: distance of a query to each centre, shape [n_clusters].
            parts: the clusters of each clustering.
            permitted: which pairs may be called, shape [n_pairs].
        """
        rows = [part.start + int(distances[part].argmin()) for part in parts]
        if self.recorded.issuperset(rows) and permitted.all():
            return rows, "nearest-cluster"
        evidenced = np.asarray((self.count[rows] * permitted).any(axis=1))
        for number in np.flatnonzero(~evidenced):
            part = parts[number]
            speaking = self.count[part][:, permitted].any(axis=1)
            if not speaking.any():
                return rows[:1], "best-overall"
            rows[number] = part.start + int(np.where(speaking, distances[part], np.inf).argmin())
        return rows, "nearest-cluster" if evidenced[0] else "nearby-cluster"

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the sums by name, for saving."""
        return {name: getattr(self, name) for name in SUMS}

    def with_pairs(self, pairs: Sequence[Pair]) -> ClusterStatistics:
        """Return the statistics of these pairs, in this order; a pair without any starts empty."""
        numbers = {pair: number for number, pair in enumerate(self.pairs)}
        taken = np.array([numbers.get(pair, -1) for pair in pairs])
        # Selecting columns gives column-major memory, in which means round differently from those of a loaded router.
        columns = {
            name: np.ascontiguousarray(np.where(taken >= 0, array[:, taken], 0.0))
            for name, array in self.arrays().items()
        }
        return ClusterStatistics(pairs=tuple(pairs), repeats=self.repeats, **columns)

    def faded(self, share: float) -> ClusterStatistics:
        """Return the statistics with every outcome counting as a share of what it counted."""
        sums = {name: share * array for name, array in self.arrays().items()}
        return ClusterStatistics(pairs=self.pairs, repeats=self.repeats, **sums)

    def __add__(self, other: ClusterStatistics) -> ClusterStatistics:
        """Add two sets of outcomes over the same clusters; the result has the pairs of both."""
        pairs = tuple(dict.fromkeys((*self.pairs, *other.pairs)))
        mine, theirs = self.with_pairs(pairs).arrays(), other.with_pairs(pairs).arrays()
        sums = {name: mine[name] + theirs[name] for name in mine}
        return ClusterStatistics(pairs=pairs, repeats=self.repeats, **sums)

    def share_of(self, counts: NDArray[np.float64], halfway: int) -> NDArray[np.float64]:
        """Return the weight of estimates that were learned from some of these outcomes, shape [n_known_pairs].

        Args:
            counts: number of outcomes that they were learned from, by pair, for the first pairs.
            halfway: number of them at which the weight is a half.
        """
        kept = self._shares.get("kept")
        if kept is None or kept[0] is not counts:
            total = self.outcomes[: len(counts)]
            share = counts / (counts + halfway) * np.minimum(counts / np.maximum(total, 1), 1)
            kept = self._shares["kept"] = (counts, share)
        weight: NDArray[np.float64] = kept[1]
        return weight

    def estimates(self, strength: float) -> Estimates:
        """Estimate every cell, with a pair's overall record counted as `strength` outcomes in every cluster."""
        if strength not in self._estimated:
            self._estimated[strength] = Estimates.of(self, strength)
        return self._estimated[strength]


@dataclass(frozen=True)
class Estimates:
    """The estimates for each pair in each cluster; every array has shape [n_clusters, n_pairs]."""

    solved: NDArray[np.float64]
    """First parameter of the Beta distribution of the success: right outcomes, and the prior's share."""
    failed: NDArray[np.float64]
    """Second parameter of that distribution: wrong outcomes, and the prior's share."""
    success: NDArray[np.float64]
    """Mean of that distribution."""
    cost: NDArray[np.float64]
    """Mean dollars per call; the pair's overall mean where the cell has none, NaN where unknown."""
    latency: NDArray[np.float64]
    """Mean seconds per call; the pair's overall mean where the cell has none, NaN where unknown."""
    scaled_cost: NDArray[np.float64]
    """Cost scaled to [0, 1] over the pool."""
    scaled_latency: NDArray[np.float64]
    """Latency scaled to [0, 1] over the pool."""
    highest: tuple[float, float]
    """Dollars and seconds that correspond to a scaled cost and latency of 1; 0 where none is known."""

    @cached_property
    def _together(self) -> NDArray[np.float64]:
        each = (self.success, self.solved + self.failed, self.cost, self.latency, self.scaled_cost, self.scaled_latency)
        return np.stack(each, axis=1)

    def averaged(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """Average over some clusters, by pair, shape [6, n_pairs].

        Args:
            rows: the clusters.

        Returns:
            Success, number of outcomes and of the prior's outcomes, cost, latency, scaled cost and scaled latency.
        """
        total: NDArray[np.float64] = self._together[rows[0]].copy()
        for row in rows[1:]:  # of many pairs, this reads far less than it would to lay the rows side by side first
            total += self._together[row]
        total /= len(rows)
        return total

    @classmethod
    def of(cls, sums: ClusterStatistics, strength: float) -> Estimates:
        """Compute the estimates; see `ClusterStatistics.estimates`."""
        ease, size = _ease(sums), sums.count.max(axis=1, initial=0.0)
        carried = (size[:, None] - sums.count) / np.maximum(size[:, None] + strength, 1e-12)
        # What a cluster does to all pairs is in a pair's own outcomes, as far as it has some there.
        prior = np.clip(_overall(sums, strength, ease) + ease[:, None] * carried, 0.0, 1.0)
        solved = sums.success + strength * prior
        failed = sums.count - sums.success + strength * (1 - prior)
        total = solved + failed
        cost, latency = _means(sums.cost, sums.cost_count), _means(sums.latency, sums.latency_count)
        return cls(
            solved=solved,
            failed=failed,
            success=np.where(total > 0, solved / np.maximum(total, 1e-12), prior),
            cost=cost,
            latency=latency,
            scaled_cost=scaled(cost),
            scaled_latency=scaled(latency),
            highest=(highest_known(cost), highest_known(latency)),
        )


def overall_success(sums: ClusterStatistics, strength: float) -> NDArray[np.float64]:
    """Estimate each pair's success over all clusters, shape [n_pairs].

    A pair with few outcomes is shrunk towards the mean of all pairs, which counts as `strength` outcomes. A pair that
    ran more in hard clusters than others did does not look worse for it.
    """
    known = sums.overall.get(strength)
    if known is None:
        known = sums.overall[strength] = _overall(sums, strength, _ease(sums))
    return known


def _overall(sums: ClusterStatistics, strength: float, ease: NDArray[np.float64]) -> NDArray[np.float64]:
    count, success = sums.count.sum(axis=0) / sums.repeats, sums.success.sum(axis=0) / sums.repeats
    size, seen = sums.count.max(axis=1, initial=0.0), count > 0
    shares = sums.count / np.maximum(sums.count.sum(axis=0), 1e-12)
    luck = (shares - (size / max(float(size.sum()), 1e-12))[:, None]).T @ ease
    success = np.clip(success - np.where(seen, luck, 0.0) * count, 0.0, np.maximum(count, success))
    mean = float(np.mean(success[seen] / count[seen])) if seen.any() else 0.5
    weight = count + strength
    return np.where(weight > 0, (success + strength * mean) / np.maximum(weight, 1e-12), mean)


def _ease(sums: ClusterStatistics) -> NDArray[np.float64]:
    """Return how much higher than usual scores are in each cluster, whichever pair runs, shape [n_clusters].

    Zero where every pair ran on the same queries: then nothing needs to be adjusted.
    """
    size = sums.count.max(axis=1, initial=0.0)
    if (sums.count == size[:, None]).all():
        return np.zeros(len(size))
    total, ease = sums.count.sum(axis=0), np.zeros(len(size))
    share = size / max(float(size.sum()), 1e-12)
    for _ in range(_STEPS):
        level = (sums.success - sums.count * ease[:, None]).sum(axis=0) / np.maximum(total, 1e-12)
        apart = (sums.success - sums.count * level).sum(axis=1)
        moved = apart / (sums.count.sum(axis=1) + _EVEN)
        moved -= share @ moved
        if np.abs(moved - ease).max(initial=0.0) < _CLOSE:
            break
        ease = moved
    return ease


def natural_strength(sums: ClusterStatistics, sizes: Sequence[int]) -> float:
    """Estimate how many outcomes a pair's overall record is worth in a cluster, from how much its clusters differ.

    By analysis of variance, for every pair and clustering: the variance of outcomes within clusters, divided by the
    variance of the clusters' means beyond that. Where clusters hardly differ the overall record counts for much, where
    they differ widely it counts for little. The ratio is doubled, because the router takes the best of many pairs, and
    the best of many estimates is too high.

    Args:
        sums: the outcomes.
        sizes: number of clusters of each clustering, in the order of the rows.

    Returns:
        A number of outcomes, 1 to 100.
    """
    within, between, start = [], [], 0
    for size in sizes:
        count, success = sums.count[start : start + size], sums.success[start : start + size]
        start += size
        total, filled = count.sum(axis=0), (count > 0).sum(axis=0)
        usable = (filled > 1) & (total > filled)
        count, success, total, filled = count[:, usable], success[:, usable], total[usable], filled[usable]
        mean = success / np.maximum(count, 1)
        inner = (count * mean * (1 - mean)).sum(axis=0) / (total - filled)
        outer = (count * (mean - success.sum(axis=0) / total) ** 2).sum(axis=0) / (filled - 1)
        usual_count = (total - (count**2).sum(axis=0) / total) / (filled - 1)
        within.extend(inner)
        between.extend((outer - inner) / usual_count)
    if not within:
        return _STRENGTHS[1]
    return float(np.clip(2 * np.mean(within) / max(float(np.mean(between)), 1e-9), *_STRENGTHS))


def _means(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = total.sum(axis=0) / count.sum(axis=0)
        return np.where(count > 0, total / count, overall)
