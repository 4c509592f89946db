"""Fitting a cluster router on more outcomes than fit in memory."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.routers.cluster.kmeans import Cluster
from langchain_atlas.routers.cluster.statistics import ClusterStatistics, natural_strength
from langchain_atlas.routers.saved.fingerprints import fingerprints, united

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.cluster.router import ClusterRouter
    from langchain_atlas.trajectory import Query

_BATCH = 4096
"""Number of queries whose features are in memory at once."""


def fitted_on_parts(router: ClusterRouter, parts: Iterable[OutcomeTable]) -> ClusterRouter:
    """Return a router that has learned all outcomes of a table that is read in parts.

    What is learned of the looks of queries (clusters, trees, ridge regression, the guard's default pair) is learned on
    the queries that the router was fitted on: let these be a random sample of all, such as the first of `parted`. All
    counts (each pair's outcomes, costs and latencies by cluster, and beside the default pair) are sums over all parts,
    of which one is in memory at a time.

    Args:
        router: the router, fitted on a sample.
        parts: the other outcomes; all outcomes of a query are in one part.
    """
    learned = copy.copy(router)
    learned._learning = threading.Lock()  # noqa: SLF001  # as in `add_pairs`: no lock of the other router
    statistics, paired = router.statistics_, router.paired_
    prints = [router.fitted_on]
    labels = [Counter({cluster.label: cluster.queries}) for cluster in router.clusters_]
    for part in parts:
        rows = _rows(router, part.queries)
        outcomes = OutcomeMatrix.of(part)
        statistics = statistics + ClusterStatistics.of(outcomes, rows, len(statistics.count))
        paired = paired.plus(outcomes.with_pairs(statistics.pairs).scores, rows)
        prints.append(fingerprints(part.queries))
        for cluster, domain in zip(rows[:, 0], part.domains, strict=True):
            labels[cluster][domain] += 1
    learned.statistics_, learned.paired_ = statistics, paired
    learned.fitted_on = united(*prints)
    learned.natural_strength_ = natural_strength(statistics, router.clusterings_.sizes)
    learned.clusters_ = tuple(Cluster(each.total(), each.most_common(1)[0][0] if each else "") for each in labels)
    if router.forest_ is not None and router.ridge_ is not None:
        # A sample stands for all outcomes here, as it does for a fit in memory on many queries; see `Forest.learn`.
        counts = statistics.outcomes[: len(router.forest_.counts)]
        counts = np.where(router.forest_.counts > 0, counts, 0.0)
        learned.forest_ = replace(router.forest_, counts=counts)
        learned.ridge_ = replace(router.ridge_, counts=counts)
    return learned


def _rows(router: ClusterRouter, queries: Sequence[Query]) -> NDArray[np.int64]:
    """Return the cluster of each query in each clustering, shape [n_queries, n_clusterings]."""
    clusterings = router.clusterings_
    found = [
        clusterings.nearest(router._distances(queries[start : start + _BATCH]))  # noqa: SLF001  # of one room
        for start in range(0, len(queries), _BATCH)
    ]
    return np.concatenate(found)
