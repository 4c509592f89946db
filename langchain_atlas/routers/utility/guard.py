"""The guard: one pair is the default, and a query leaves it only on evidence from queries like it.

The default pair is the most accurate one on the logged queries. Every other pair was compared with it on the same
queries (paired outcomes), cluster by cluster. A standard error measures how far such a comparison can be trusted on
one query: it is small where there are many paired outcomes nearby, larger where the router's estimates disagree, and
large far from everything logged. A router that subtracts a multiple of it from every pair but the default leaves the
default only where the evidence supports it. This is needed because the best of many uncertain estimates is mostly the
luckiest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.outcomes.pair_levels import Effects
from langchain_atlas.routers.utility import unpaired
from langchain_atlas.routers.utility.sums import by_cluster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

DEFAULT_CONFIDENCE = 0.85
"""Default one-sided confidence with which another pair must be better before the default pair is left."""
FAMILIAR_CONFIDENCE = 0.7
"""The same for a router fitted on many queries of many kinds: new queries will mostly be like some of them."""
FEW_QUERIES = 300
FEW_KINDS = 6
"""With fewer queries or kinds of query than this, what was logged does not tell what will come."""
_FEWEST_OF_A_KIND = 10

_LEAST_VARIANCE = 0.01
_UNKNOWN_VARIANCE = 0.25
_LEANING = 10.0
"""Number of outcomes that the mean of all pairs counts as in the estimate of how a pair's differences vary."""
_LEAST_RANGE = 0.05
"""Least distance between usual and unusual queries, for logs in which all queries look alike."""
_LEAST_BETWEEN = 1e-4
_FEWEST_IN_CELL = 5
_FAR = 3.0
"""How much a query varies beyond its cluster, as a multiple of how much clusters differ, when it is as far beyond the
95% quantile of the logged distances as that is beyond the median. Nearer queries add none: their clusters suffice."""
_COMPARABLE = 0.6
"""Fraction of the best-covered pair's queries that a pair must be recorded on to be compared by its level."""
_COVERED = 0.5
"""Fraction of the best-covered pair's queries that a default pair must be recorded on."""
_SURE = 1.645
_TYPICAL, _RARE = 0.5, 0.95
_PREFIX = "paired_"
_SUMS = ("count", "total", "squares")


@cache
def standard_errors(confidence: float) -> float:
    """Return by how many standard errors another pair must be better, for a one-sided confidence from 0 to below 1."""
    return max(0.0, NormalDist().inv_cdf(confidence)) if confidence > 0 else 0.0


def trusted(success: NDArray[np.float64], spread: NDArray[np.float64] | None, errors: float) -> NDArray[np.float64]:
    """Return what each pair's success counts as, shape [n_pairs]: minus a multiple of its standard error.

    Args:
        success: expected success, shape [n_pairs].
        spread: standard error of each pair's difference to the default pair, whose own is 0; None without a guard.
        errors: the multiple; see `standard_errors`.
    """
    if spread is None or not errors:
        return success
    return success - errors * spread


def confidence_for(domains: Sequence[str]) -> float:
    """Return the confidence that a guard asks for when nobody has set one.

    Args:
        domains: the domain of each logged query, shape [n_queries].
    """
    kinds = sum(count >= _FEWEST_OF_A_KIND for count in Counter(domains).values())
    familiar = len(domains) >= FEW_QUERIES and kinds >= FEW_KINDS
    return FAMILIAR_CONFIDENCE if familiar else DEFAULT_CONFIDENCE


@dataclass(frozen=True)
class PairedOutcomes:
    """How every pair did against the default pair on the same queries; sums have shape [n_rows, n_pairs]."""

    default: int
    """Column of the default pair."""
    count: NDArray[np.float64]
    """Number of a cluster's queries on which both pairs are recorded."""
    total: NDArray[np.float64]
    """Sum of the differences in score, the pair's minus the default's."""
    squares: NDArray[np.float64]
    """Sum of their squares."""
    sizes: tuple[int, ...]
    """Number of clusters of each clustering; the rows stack the clusterings."""
    distances: tuple[float, float]
    """Median and 95% quantile of the logged queries' distances to their nearest centres."""
    _beside: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        scores: NDArray[np.float64],
        rows: NDArray[np.int64],
        sizes: tuple[int, ...],
        distances: NDArray[np.float64],
        completed: NDArray[np.float64] | None = None,
    ) -> PairedOutcomes:
        """Aggregate the paired outcomes of logged queries.

        Args:
            scores: shape [n_queries, n_pairs], NaN where nothing is recorded.
            rows: cluster of each query in each clustering, numbered consecutively, shape [n_queries, n_clusterings].
            sizes: number of clusters of each clustering.
            distances: mean distance of each query to its clusters' centres, shape [n_queries].
            completed: the scores with estimates where nothing is recorded, if pairs share hardly any queries; see
                `unpaired`. Pairs are then compared by their means in each cluster.
        """
        low, high = map(float, np.quantile(distances, [_TYPICAL, _RARE]))
        if completed is None:
            default = most_accurate(scores)
            return cls(default, *_sums(scores, default, rows, sum(sizes)), sizes, (low, high))
        default = unpaired.safest(completed, (~np.isnan(scores)).sum(axis=0))
        sums = unpaired.cluster_differences(scores, default, rows, sum(sizes))
        return cls(default, *sums, sizes, (low, high))

    def plus(self, scores: NDArray[np.float64], rows: NDArray[np.int64]) -> PairedOutcomes:
        """Return it with more outcomes; their first columns are the pairs known so far; see `of`."""
        fresh = _sums(scores, self.default, rows, sum(self.sizes))
        for name, added in zip(_SUMS, fresh, strict=True):
            added[:, : self.count.shape[1]] += getattr(self, name)
        count, total, squares = fresh
        return replace(self, count=count, total=total, squares=squares)

    def with_pairs(self, columns: NDArray[np.int64]) -> PairedOutcomes:
        """Return it for other pairs; if the default pair is left out, the next best becomes the default.

        Args:
            columns: column of each pair in this one, -1 for a new pair.
        """
        known = columns >= 0
        if self.default in columns.tolist():
            default, sums = columns.tolist().index(self.default), self
        else:
            count, total = self.count.sum(axis=0)[columns], self.total.sum(axis=0)[columns]
            enough = known & (count >= _COVERED * count.max(initial=0.0))
            default = int(np.argmax(np.where(enough, total / np.maximum(count, 1.0), -np.inf)))
            sums = self._against(int(columns[default]))
        count, total, squares = (
            np.ascontiguousarray(np.where(known, getattr(sums, name)[:, columns], 0.0)) for name in _SUMS
        )
        return replace(self, default=default, count=count, total=total, squares=squares)

    def _against(self, column: int) -> PairedOutcomes:
        """Compare with another pair by way of the old default, adding the variances of both differences."""
        count = np.minimum(self.count, self.count[:, [column]])
        return replace(
            self,
            default=column,
            count=count,
            total=self.total - self.total[:, [column]],
            squares=self.squares + self.squares[:, [column]],
        )

    @cached_property
    def _variances(self) -> tuple[NDArray[np.float64], float]:
        """Return how much a query's difference varies within clusters, shape [n_pairs], and how much clusters differ.

        Pairs with few paired outcomes are shrunk towards the mean of all, so that one lucky outcome is not certainty.
        """
        n_clusterings = len(self.sizes)
        count = self.count.sum(axis=0) / n_clusterings
        others = np.arange(self.count.shape[1]) != self.default
        spread = self.squares.sum(axis=0) / n_clusterings - self.total.sum(axis=0) ** 2 / (
            n_clusterings**2 * np.maximum(count, 1.0)
        )
        usual = spread[others].sum() / count[others].sum() if count[others].sum() > 0 else _UNKNOWN_VARIANCE
        within = np.maximum((spread + _LEANING * usual) / (count + _LEANING), _LEAST_VARIANCE)
        mean = self.total.sum(axis=0) / n_clusterings / np.maximum(count, 1.0)
        there = (self.count >= _FEWEST_IN_CELL) & others
        apart = self.total / np.maximum(self.count, 1.0) - mean
        surplus = (apart**2 - within / np.maximum(self.count, 1.0)) * there * self.count
        by_pair = surplus.sum(axis=0) / np.maximum((there * self.count).sum(axis=0), 1e-9)
        between = float(by_pair[others].mean()) if others.any() else 0.0
        return within, max(between, _LEAST_BETWEEN)

    def cells(
        self, outcomes: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the uncertainty of the difference in each cluster, shape [n_rows, n_pairs], and overall, [n_pairs].

        Args:
            outcomes: number of each pair's outcomes, paired or not, by cluster and in total; an unpaired one counts
                half. None if all are paired.
        """
        within, between = self._variances
        count, everywhere = self.count, self.count.sum(axis=0) / len(self.sizes)
        if outcomes is not None:
            count, everywhere = np.maximum(count, outcomes[0] / 2), np.maximum(everywhere, outcomes[1] / 2)
        return 1 / (count / within + 1 / between), within / np.maximum(everywhere, 1.0)

    def cells_beside(
        self, count: NDArray[np.float64], total: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return `cells` for these numbers of outcomes; what was computed last is kept, as arrays never change.

        It is kept here, and not in a router, because every decision is made by a copy of the router.
        """
        known = self._beside.get("known")
        if known is None or known[0] is not count:
            known = self._beside["known"] = (count, self.cells((count, total)))
        cells: tuple[NDArray[np.float64], NDArray[np.float64]] = known[1]
        return cells

    def variance(
        self,
        rows: list[int],
        distance: float | None,
        estimates: NDArray[np.float64],
        cells: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    ) -> NDArray[np.float64]:
        """Return the variance of the differences to the default pair on a query, shape [n_pairs]; 0 for the default.

        Args:
            rows: the query's clusters.
            distance: mean distance to their centres; None if there is no query.
            estimates: success according to each of the router's estimates, shape [n_estimates, n_pairs].
            cells: the result of `cells`, if already computed.
        """
        by_cell, overall = self.cells() if cells is None else cells
        apart = estimates - estimates[:, self.default, None]
        apart -= np.add.reduce(apart) / len(apart)
        variance: NDArray[np.float64] = np.add.reduce(by_cell.take(rows, axis=0)) / (len(rows) * len(estimates))
        variance += (
            overall
            + np.add.reduce(apart**2) / len(apart)
            + _FAR * self._variances[1] * max(0.0, self.beyond(distance) - 1) ** 2
        )
        variance[self.default] = 0.0
        return variance

    def beyond(self, distance: float | None) -> float:
        """Return how far a query is beyond the usual: 0 up to the median distance, 1 at the 95% quantile."""
        low, high = self.distances
        return 0.0 if distance is None else max(0.0, (distance - low) / max(high - low, _LEAST_RANGE))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the sums by name, for saving."""
        return {_PREFIX + name: getattr(self, name) for name in _SUMS}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], default: int, sizes: tuple[int, ...], distances: tuple[float, float]
    ) -> PairedOutcomes:
        """Rebuild it from the result of `arrays`."""
        count, total, squares = (arrays[_PREFIX + name] for name in _SUMS)
        return cls(default, count, total, squares, sizes, distances)


def most_accurate(scores: NDArray[np.floating]) -> int:
    """Return the column of the most accurate pair.

    Among the pairs that are recorded on many queries, this is the one with the highest level: its mean, less how easy
    the queries were that it happened to run on (see `Effects`), less its error if it has fewer outcomes than others
    (95%, one-sided). A pair that is recorded on fewer, but at least on half as many as any, takes its place if it does
    better on the queries that both are recorded on, beyond chance: a pair that only ran on easy queries is not taken
    for a good one.
    """
    scores = scores.astype(np.float64)
    known = ~np.isnan(scores)
    count = known.sum(axis=0)
    level = Effects.of(scores).level
    usual = float(np.nanvar(scores)) if known.any() else 0.0
    least = level - _SURE * np.sqrt(usual / np.maximum(count, 1))
    best = int(np.argmax(np.where(count >= max(_COMPARABLE * count.max(), 1), least, -np.inf)))
    apart = scores - scores[:, [best]]
    both = ~np.isnan(apart)
    apart = np.where(both, apart, 0.0)
    # Over all queries that both have, so that a difference on a few queries counts for little.
    gain = apart.sum(axis=0) - _SURE * np.sqrt((apart**2).sum(axis=0))
    gain[best] = 0.0
    return int(np.argmax(np.where(count >= max(_COVERED * count.max(), 1), gain, -np.inf)))


def _sums(
    scores: NDArray[np.float64], default: int, rows: NDArray[np.int64], n_rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    apart = scores - scores[:, [default]]
    known = ~np.isnan(apart)
    apart = np.where(known, apart, 0.0)
    count, total, squares = (by_cluster(each, rows, n_rows) for each in (known, apart, apart**2))
    return count, total, squares
