"""Confidence intervals by resampling the queries; paired, because every column is resampled the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_PERCENTILES = (2.5, 97.5)
_BLOCK = 4_000_000
"""Maximum number of draws in memory, which bounds the memory on large tables."""


class Difference(Record):
    """The difference between two scores on the same queries."""

    difference: float
    """Mean score of the first minus mean score of the second, -1 to 1."""
    ci95: tuple[float, float]
    """95% confidence interval of the difference, from a paired bootstrap over queries."""
    n_queries: int
    """Number of queries on which both were measured."""


def bootstrap_means(values: ArrayLike, *, n_bootstrap: int = 1000, seed: int = 0) -> NDArray[np.float64]:
    """Resample queries with replacement and take the mean of every column.

    The same queries are drawn for all columns, so that differences between columns are paired differences
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).

    Args:
        values: shape [n_queries, n_columns]; NaN where a column was not measured, which its mean ignores.
        n_bootstrap: number of resamples.
        seed: seed of the draws.

    Returns:
        Shape [n_bootstrap, n_columns]; NaN where a resample drew no measured query of the column.

    Raises:
        SettingError: `n_bootstrap` is below 1.
        OutcomeError: there are no queries.
    """
    columns = np.asarray(values, dtype=np.float64)
    if n_bootstrap < 1:
        raise SettingError(f"n_bootstrap is {n_bootstrap!r}; it must be a whole number from 1.")
    n = len(columns)
    if n == 0:
        raise OutcomeError("There is no query to resample; an interval needs at least one.")
    known = ~np.isnan(columns)
    filled = np.where(known, columns, 0.0)
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // n)
    means = []
    for start in range(0, n_bootstrap, block):
        size = min(block, n_bootstrap - start)
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        with np.errstate(invalid="ignore"):
            means.append(counts @ filled / (counts @ known))
    return np.concatenate(means)


def intervals(means: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return the 95% percentile interval of each column of resampled means, lowest and highest."""
    lows, highs = np.nanpercentile(means, _PERCENTILES, axis=0)
    return [(float(low), float(high)) for low, high in zip(lows, highs, strict=True)]


def accuracy_interval(scores: ArrayLike, *, n_bootstrap: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Return the 95% interval of a mean score.

    Args:
        scores: shape [n_queries], each 0 to 1; NaN where not measured.
        n_bootstrap: number of resamples.
        seed: seed of the draws.

    Returns:
        Lowest and highest, each 0 to 1: the 2.5th and 97.5th percentile of the resampled means.

    Raises:
        OutcomeError: no query was measured.
    """
    column = np.asarray(scores, dtype=np.float64)
    measured = column[~np.isnan(column)]
    return intervals(bootstrap_means(measured[:, None], n_bootstrap=n_bootstrap, seed=seed))[0]


def paired_difference(first: ArrayLike, second: ArrayLike, *, n_bootstrap: int = 1000, seed: int = 0) -> Difference:
    """Compare two lists of scores on the same queries.

    Args:
        first: shape [n_queries], each 0 to 1; NaN where not measured.
        second: shape [n_queries], each 0 to 1, in the same order of queries; NaN where not measured.
        n_bootstrap: number of resamples.
        seed: seed of the draws.

    Returns:
        The mean of ``first - second`` over the queries on which both were measured, with its 95% interval.

    Raises:
        OutcomeError: no query was measured on both.
    """
    apart = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    common = apart[~np.isnan(apart)]
    interval = accuracy_interval(common, n_bootstrap=n_bootstrap, seed=seed)
    return Difference(difference=float(common.mean()), ci95=interval, n_queries=len(common))
