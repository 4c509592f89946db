"""Logs in which most queries were answered by one pair: pairs compared although they share no queries.

Where every query was asked of several pairs, pairs are compared query by query. A log of live traffic has one answer a
query, so there is nothing to subtract. Two things take its place: a regression for each pair, which says how it would
have done on the queries of the others; and, in each cluster, the difference of the two pairs' means, with the variance
that such a difference has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.routers.utility.sums import by_cluster

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_ALONE = 0.5
"""Share of the scored queries with a single outcome above which a table is a log of one pair a query."""

_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_FEWEST_OUTCOMES = 10
_LEANING = 10.0
"""Number of outcomes that the mean of all pairs counts as in a pair's own mean."""
_SURE = 1.645
_HIGHEST_VARIANCE = 0.25


def is_unpaired(scores: NDArray[np.floating], most: float = MOST_ALONE) -> bool:
    """Return whether most of the scored queries have an outcome of one pair only.

    Args:
        scores: shape [n_queries, n_pairs]; NaN where nothing is recorded.
        most: the share of them from which on that is so.
    """
    count = (~np.isnan(scores)).sum(axis=1)
    scored = count > 0
    several = (~np.isnan(scores)).any(axis=0).sum() > 1
    return bool(several and scored.any() and (count[scored] == 1).mean() > most)


def completed(vectors: NDArray[np.floating], scores: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Fill missing outcomes with what a regression of each pair's own outcomes says, shape [n_queries, n_pairs].

    None if that is not needed, see `is_unpaired`.

    Args:
        vectors: the queries' vectors, shape [n_queries, dimension].
        scores: shape [n_queries, n_pairs]; NaN where nothing is recorded.
    """
    if not is_unpaired(scores):
        return None
    from sklearn.linear_model import RidgeCV

    known = ~np.isnan(scores)
    overall = float(np.nanmean(scores)) if known.any() else 0.5
    found = np.empty_like(scores)
    for column, there in enumerate(known.T):
        own = scores[there, column]
        mean = (own.sum() + _LEANING * overall) / (len(own) + _LEANING)
        if len(own) < _FEWEST_OUTCOMES or not own.std():
            found[:, column] = mean
        else:
            found[:, column] = RidgeCV(_PENALTIES).fit(vectors[there], own).predict(vectors)
    filled: NDArray[np.float64] = np.where(known, scores, np.clip(found, 0, 1))
    return filled


def safest(filled: NDArray[np.float64], counts: NDArray[np.int64]) -> int:
    """Return the column of the pair that is most accurate over all queries, to be on the safe side.

    Args:
        filled: the result of `completed`, shape [n_queries, n_pairs].
        counts: number of each pair's outcomes, shape [n_pairs]; the fewer, the more is subtracted from its mean.
    """
    mean = filled.mean(axis=0)
    error = np.sqrt(np.maximum(mean * (1 - mean), 0.01) / np.maximum(counts, 1))
    return int(np.argmax(np.where(counts > 0, mean - _SURE * error, -np.inf)))


def cluster_differences(
    scores: NDArray[np.float64], default: int, rows: NDArray[np.int64], n_rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compare every pair with the default pair, cluster by cluster; all arrays have shape [n_rows, n_pairs].

    The difference of two means of n and m outcomes varies as that of ``n * m / (n + m)`` paired differences, each with
    the variance of one outcome; these sums stand for so many.

    Args:
        scores: shape [n_queries, n_pairs]; NaN where nothing is recorded.
        default: column of the default pair.
        rows: cluster of each query in each clustering, numbered consecutively, shape [n_queries, n_clusterings].
        n_rows: number of clusters.

    Returns:
        Number of differences, their sum, and the sum of their squares, as in `guard.PairedOutcomes`.
    """
    known = ~np.isnan(scores)
    values = np.where(known, scores, 0.0)
    count, total, squares = (by_cluster(each, rows, n_rows) for each in (known, values, values**2))
    mean = total / np.maximum(count, 1.0)
    within = squares.sum() - (count * mean**2).sum()
    variance = within / max(float(count.sum() - (count > 0).sum()), 1.0)
    both = count * count[:, [default]] / np.maximum(count + count[:, [default]], 1.0)
    apart = np.where(both > 0, mean - mean[:, [default]], 0.0)
    both[:, default] = count[:, default]
    noise = np.full_like(both, min(variance, _HIGHEST_VARIANCE))
    noise[:, default] = 0.0
    return both, both * apart, both * (apart**2 + noise)
