"""Rates with what they rest on: a mean score, its 95% interval, and the number of outcomes behind it."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Z = 1.959964


def wilson(mean: float, count: int) -> tuple[float, float]:
    """Return the 95% interval of a mean score (Wilson, 1927).

    Args:
        mean: the mean, 0 to 1. Of scores between 0 and 1 the interval is too wide rather than too narrow.
        count: number of scores, 1 or more.
    """
    middle = (mean + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * sqrt(mean * (1 - mean) / count + _Z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def rate(scores: NDArray[np.float64]) -> dict[str, Any] | None:
    """Describe the mean of some scores, any shape, NaN where not measured; None if none was measured.

    Returns:
        ``value`` and ``interval``, 0 to 1, and ``count``, the number of scores.
    """
    known = scores[~np.isnan(scores)]
    if not known.size:
        return None
    mean = min(max(float(known.mean()), 0.0), 1.0)
    low, high = wilson(mean, known.size)
    if known.min() < 0 or known.max() > 1:  # estimates from a log, which vary more than marks of right and wrong
        half = _Z * float(known.std()) / sqrt(known.size)
        low, high = min(low, max(0.0, mean - half)), max(high, min(1.0, mean + half))
    return {"value": round(mean, 4), "interval": [round(low, 4), round(high, 4)], "count": int(known.size)}


def rates_by(scores: NDArray[np.float64], place: NDArray[np.int64], n_groups: int) -> list[dict[str, Any] | None]:
    """Describe the mean score of each group.

    Args:
        scores: shape [n_queries], NaN where not measured.
        place: the group of each query, shape [n_queries].
        n_groups: number of groups.
    """
    return [rate(scores[place == number]) for number in range(n_groups)]
