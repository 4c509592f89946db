"""Nearest neighbours: the pair that did best on the logged queries most similar to this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from langchain_atlas.engines.products import product
from langchain_atlas.routers.learned.base import EmbeddingRouter, check_number
from langchain_atlas.routers.utility.estimates import PairEstimates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeMatrix
    from langchain_atlas.progress import Progress
    from langchain_atlas.trajectory import Query

_CELLS = 2**24
"""Number of distances in memory at once."""
_SET_ASIDE = 3.0
"""More than the difference between any two utilities."""


class KNNRouter(EmbeddingRouter):
    """Routes by the outcomes of the nearest logged queries, if there are enough of them, near enough.

    k nearest neighbours is a baseline of RouterBench (Hu et al. 2024, arXiv 2403.12031). Two safeguards are our own.
    Neighbours farther away than `max_distance` don't count. A pair with fewer than `min_outcomes` outcomes among those
    that count is ranked below all pairs that have enough; if no pair has enough, the pairs' records over all queries
    decide, and the decision's rule is ``best-overall: too far`` or ``best-overall: too few outcomes``.

    A pair's expected success is the mean score over the neighbours, with its record over all queries counted as
    `strength` more outcomes; its expected cost and latency are computed the same way. Ties in distance are broken by
    id.

    Args:
        encoder: text to vectors; the default encoder when left out.
        n_neighbours: number of neighbours.
        max_distance: distance between vectors of length one, 0 to 2, beyond which a neighbour does not count.
        min_outcomes: number of outcomes that a pair needs among the neighbours.
        strength: the number of outcomes that the pair's overall record counts as.
        cost_weight: 0 for accuracy alone, 1 for cost alone.
        latency_share: fraction of the price that is latency instead of cost, 0 to 1.
        failovers: how many other pairs to try when calls fail, at most; None tries all that the query allows.
        random_state: not used, because nothing is random; accepted so that all learned routers have the same signature.

    Raises:
        SettingError: a parameter is out of range.
    """

    kind: ClassVar[str] = "knn"
    _pair_axes: ClassVar[Mapping[str, int]] = {"scores": 1, "costs": 1, "latencies": 1}

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        n_neighbours: int = 100,
        max_distance: float = 1.1,
        min_outcomes: int = 5,
        strength: float = 10.0,
        random_state: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(encoder, random_state=random_state, **settings)
        self.n_neighbours = n_neighbours
        self.max_distance = max_distance
        self.min_outcomes = min_outcomes
        self.strength = strength
        self._check(self.settings)

    @staticmethod
    def _check(settings: Mapping[str, Any]) -> None:
        ranges: dict[str, dict[str, Any]] = {
            "n_neighbours": {"low": 1, "whole": True},
            "max_distance": {"low": 0, "high": 2},
            "min_outcomes": {"low": 1, "whole": True},
            "strength": {"low": 0},
        }
        for name in ranges.keys() & settings.keys():
            check_number(name, settings[name], **ranges[name])

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {
            **super().settings,
            "n_neighbours": self.n_neighbours,
            "max_distance": self.max_distance,
            "min_outcomes": self.min_outcomes,
            "strength": self.strength,
        }

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        self._check(settings)
        return super()._configured(settings)

    def _learn(self, queries: Sequence[Query], outcomes: OutcomeMatrix, progress: Progress) -> dict[str, NDArray[Any]]:
        vectors = self._vectors(queries)
        progress(1, 1)
        return {
            "vectors": vectors,
            **outcomes.arrays(),
        }

    def _prepare(self, queries: Sequence[Query]) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        vectors, known = self._vectors(queries), self.arrays_["vectors"]
        rows = max(1, _CELLS // len(known))
        found: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        for start in range(0, len(vectors), rows):
            found += [_nearest(row, self.n_neighbours) for row in product(vectors[start : start + rows], known.T)]
        return found

    def _expect(
        self, item: tuple[NDArray[np.int64], NDArray[np.float64]], permitted: NDArray[np.bool_]
    ) -> PairEstimates:
        numbers, distances = item
        near = numbers[distances <= self.max_distance]
        scores = self.arrays_["scores"][near]
        count = (~np.isnan(scores)).sum(axis=0).astype(np.float64)
        if not (count[permitted] >= self.min_outcomes).any():
            enough = (~np.isnan(self.arrays_["scores"][numbers])).sum(axis=0) >= self.min_outcomes
            why = "too far" if enough[permitted].any() else "too few outcomes"
            return self._overall(
                f"best-overall: {why}", "the overall records, as the logged queries give no evidence", self.strength
            )
        overall = self._overall("nearest-neighbours", f"the {len(near)} nearest logged queries", self.strength)
        total = np.nansum(scores, axis=0)
        solved = total + self.strength * overall.success
        failed = count - total + self.strength * (1 - overall.success)
        cost = self._mean("costs", near, overall.cost)
        latency = self._mean("latencies", near, overall.latency)
        return PairEstimates(
            success=solved / np.maximum(solved + failed, 1e-12),
            cost=cost,
            latency=latency,
            scaled_cost=_scaled_by(overall.cost, cost),
            scaled_latency=_scaled_by(overall.latency, latency),
            highest=overall.highest,
            rule=overall.rule,
            where=overall.where,
            evidence=count,
            counted=solved + failed,
            distance=float(distances[0]),
        )

    def _mean(self, name: str, near: NDArray[np.int64], overall: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average over the neighbours, with the overall mean counted as `strength` more; that mean if none is known."""
        values = self.arrays_[name][near]
        count = (~np.isnan(values)).sum(axis=0)
        weight = count + self.strength
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(count > 0, (np.nansum(values, axis=0) + self.strength * overall) / weight, overall)

    def utility(self, expected: PairEstimates, cost_weight: float | None = None) -> NDArray[np.float64]:
        """Return the utility of every pair, shape [n_pairs]; lower for pairs without enough evidence nearby.

        Otherwise their overall record would make them look good where the others' local record is of hard queries.
        """
        utility = super().utility(expected, cost_weight)
        if expected.evidence is None or expected.rule != "nearest-neighbours":
            return utility
        return np.where(expected.evidence >= self.min_outcomes, utility, utility - _SET_ASIDE)


def _nearest(similarities: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the indices of the nearest vectors and their distances, nearest first."""
    # Rounded, so that the last bit of a product, which differs between one query and a batch, does not break ties.
    distances = np.sqrt(np.maximum(2 - 2 * similarities.astype(np.float64), 0)).round(5)
    count = min(count, len(distances))
    limit = np.partition(distances, count - 1)[count - 1]
    close = np.flatnonzero(distances <= limit)
    numbers = close[np.argsort(distances[close], kind="stable")][:count]
    return numbers, distances[numbers]


def _scaled_by(overall: NDArray[np.float64], local: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale to [0, 1] by the pool's highest overall mean, so that a dollar weighs the same on every query.

    An unknown value counts as the highest, as in `scaled`.
    """
    highest = np.nanmax(overall, initial=0.0)
    return np.where(np.isnan(local), 1.0, np.minimum(local / highest, 1.0) if highest > 0 else 0.0)
