"""Sums over the queries of each cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def by_cluster(values: NDArray[Any], clusters: NDArray[np.int64], n_clusters: int) -> NDArray[np.float64]:
    """Add up values over the queries of each cluster.

    Args:
        values: shape [n_queries, n_pairs]; flags count as 1.
        clusters: cluster of each query in each clustering, numbered consecutively, shape [n_queries, n_clusterings].
        n_clusters: number of clusters of all clusterings.

    Returns:
        The sums, shape [n_clusters, n_pairs].
    """
    sums = np.zeros((n_clusters, values.shape[1]))
    for column in clusters.T:
        np.add.at(sums, column, values)
    return sums
