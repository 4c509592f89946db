"""Where queries lie among the queries that a cluster router was fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.routers.cluster.router import ClusterRouter
    from langchain_atlas.trajectory import Query


def placed(router: ClusterRouter, queries: Sequence[Query]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the cluster of each query in the first clustering, and whether it is far from all; both shape [n_queries].

    A query is far if it lies farther from its clusters' centres than 95% of the queries that the router was fitted on.

    Args:
        router: a fitted router.
        queries: the queries.
    """
    distances = router._distances(queries)  # noqa: SLF001  # of one room
    rows = router.clusterings_.nearest(distances)
    away = np.take_along_axis(distances, rows, axis=1).mean(axis=1)
    return rows[:, 0], away > router.paired_.distances[1]
