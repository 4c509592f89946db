"""What an outcome owes to its pair, and what to its query: for tables in which not every pair ran on every query.

A pair that only ran on hard queries has a low mean and may be the best of all. So each score is taken as the sum of the
pair's level, the query's ease, and luck; both are estimated together (a mixed model with random queries: Henderson
1953). A query's ease is shrunk to 0, more so where few pairs ran on it. In a complete table the levels are the means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS = 100
_CLOSE = 1e-5
_RATIOS = (0.25, 1000.0)
"""Least and highest number of outcomes that the ease of 0 counts as."""


@dataclass(frozen=True)
class Effects:
    """Levels of pairs and ease of queries."""

    level: NDArray[np.float64]
    """Expected score of each pair on all the table's queries, shape [n_pairs]; 0 for a pair without outcomes."""
    ease: NDArray[np.float64]
    """How much higher than usual scores on each query are expected to be, shape [n_queries]."""

    @classmethod
    def of(cls, scores: NDArray[np.floating]) -> Effects:
        """Estimate both.

        Args:
            scores: shape [n_queries, n_pairs]; NaN where nothing is recorded.
        """
        known = ~np.isnan(scores)
        values = np.where(known, scores, 0.0).astype(np.float64)
        count, asked = known.sum(axis=0), known.sum(axis=1)
        level, ease = values.sum(axis=0) / np.maximum(count, 1), np.zeros(len(scores))
        for _ in range(_STEPS):
            apart = np.where(known, values - level, 0.0)
            ease = apart.sum(axis=1) / (asked + _ratio(apart, asked))
            ease -= ease[asked > 0].mean() if asked.any() else 0.0
            if known.all():
                break  # the means are the levels
            before, level = level, np.where(known, values - ease[:, None], 0.0).sum(axis=0) / np.maximum(count, 1)
            if np.abs(level - before).max(initial=0.0) < _CLOSE:
                break
        return cls(level, np.where(asked > 0, ease, 0.0))


def _ratio(apart: NDArray[np.float64], asked: NDArray[np.int64]) -> float:
    """Return the variance of luck divided by that of the queries' ease, from how far scores of one query agree."""
    both = float((asked * (asked - 1)).sum())
    if not both:
        return _RATIOS[1]
    squares = float((apart**2).sum())
    shared = (float((apart.sum(axis=1) ** 2).sum()) - squares) / both
    luck = squares / float(asked.sum()) - shared
    return float(np.clip(luck / max(shared, 1e-9), *_RATIOS))
