"""The record of every pair near a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.routers.arrays import sigmoid
from langchain_atlas.routers.policy.experience.memory import Places
from langchain_atlas.routers.policy.experience.pair_statistics import clipped_logits, eased, settled_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.routers.policy.experience.memory import Memory
    from langchain_atlas.routers.policy.experience.pair_statistics import PairStatistics

FEW, MANY = 16, 64
"""Number of neighbours in the two nearby records."""

_FEW_STRENGTH, _MANY_STRENGTH = 4.0, 10.0


@dataclass(frozen=True)
class NearbyStatistics:
    """A memory's statistics of its pairs near some queries; arrays are queries by pairs unless noted otherwise."""

    success_near: NDArray[np.float32]
    """Success among the few nearest neighbours, as logits."""
    success_around: NDArray[np.float32]
    """Success among the many nearest neighbours, as logits."""
    count: NDArray[np.float32]
    """Number of outcomes among the many nearest neighbours."""
    cost: NDArray[np.float32]
    """Expected dollars of a call; NaN where unknown."""
    latency: NDArray[np.float32]
    """Expected seconds of a call; NaN where unknown."""
    nearest: NDArray[np.float32]
    """Distance to the nearest remembered query, shape [n_queries]."""
    near: NDArray[np.float32]
    """Mean distance to the few nearest neighbours, shape [n_queries]."""
    ease: NDArray[np.float32]
    """How much better the settled pairs do near the query than overall, as logits, shape [n_queries]."""

    @classmethod
    def of(
        cls, vectors: NDArray[np.float32], memory: Memory, record: PairStatistics, kept: NDArray[np.bool_] | None
    ) -> NearbyStatistics:
        """Compute the statistics near some queries.

        Args:
            vectors: vectors of the queries, shape [n_queries, dimension].
            memory: the outcomes.
            record: statistics of the same outcomes.
            kept: which outcomes count, shape [n, n_pairs]; None for all.
        """
        outcomes, there = memory.outcomes, memory.places if kept is None else Places.of(memory.vectors, kept)
        kept, rows = there.kept, there.rows
        many = min(MANY, len(rows))
        away = there.distances(vectors)
        order = np.argpartition(away, many - 1, axis=1)[:, :many]
        away = np.take_along_axis(away, order, axis=1)
        inner = np.argsort(away, axis=1, kind="stable")
        away, order = np.take_along_axis(away, inner, axis=1), rows[np.take_along_axis(order, inner, axis=1)]
        recorded = outcomes.scores[order]
        known = kept[order] & ~np.isnan(recorded)  # [n_queries, many, n_pairs]
        scores = np.where(known, recorded, 0.0)
        overall = sigmoid(record.success)
        # Neighbours that are nearer than the usual one have more weight.
        scale = np.maximum(away.mean(axis=1, keepdims=True), 1e-6)
        weights = (np.exp(-2.0 * away / scale) / np.exp(-2.0))[:, :, None] * known

        def among(number: int, strength: float) -> NDArray[np.float32]:
            part = weights[:, :number]
            total = part.sum(axis=1)
            return clipped_logits(((part * scores[:, :number]).sum(axis=1) + strength * overall) / (total + strength))

        near, around = among(FEW, _FEW_STRENGTH), among(MANY, _MANY_STRENGTH)
        few = min(FEW, many)
        settled = settled_pairs(record.count)
        ease = (around - record.success)[:, settled].mean(axis=1)
        return cls(
            success_near=eased(near, ease, record.count, settled),
            success_around=eased(around, ease, record.count, settled),
            count=known.sum(axis=1).astype(np.float32),
            cost=_near_mean(outcomes.costs[order], known, record.cost),
            latency=_near_mean(outcomes.latencies[order], known, record.latency),
            nearest=away[:, 0].astype(np.float32),
            near=away[:, :few].mean(axis=1).astype(np.float32),
            ease=ease.astype(np.float32),
        )


def _near_mean(
    values: NDArray[np.float32], known: NDArray[np.bool_], overall: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the neighbours' mean, with the overall mean counted as four more; the overall mean if none is known."""
    there = known & ~np.isnan(values)
    total = np.where(there, values, 0.0).sum(axis=1)
    return np.asarray((total + 4.0 * overall) / (there.sum(axis=1) + 4.0), dtype=np.float32)
