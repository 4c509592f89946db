"""Evidence of a cluster router that is added with weights, and fades."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.routers.cluster.statistics import ClusterStatistics
from langchain_atlas.routers.saved.fingerprints import fingerprints, united

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.outcomes.table import OutcomeTable
    from langchain_atlas.routers.cluster.router import ClusterRouter


def with_evidence(
    router: ClusterRouter, table: OutcomeTable | None, weights: NDArray[np.float64], *, keep: float = 1.0
) -> ClusterRouter:
    """Return a router that knows more outcomes; the clusters, the trees and the guard's paired outcomes stay.

    Args:
        router: a fitted router.
        table: the outcomes, each of a query of its own; also of pairs that are new; None for none.
        weights: number of outcomes that each counts as, shape [n_outcomes]; negative takes an outcome away.
        keep: share of what it counted that each earlier outcome counts from now on.
    """
    learned = copy.copy(router)
    learned._learning = threading.Lock()  # noqa: SLF001  # as in `add_pairs`: no lock of the other router
    statistics = router.statistics_ if keep == 1 else router.statistics_.faded(keep)
    if table is not None:
        clusters = router.clusterings_.nearest(router._distances(table.queries))  # noqa: SLF001  # of one room
        outcomes = OutcomeMatrix.of(table)
        statistics = statistics + ClusterStatistics.of(outcomes, clusters, len(statistics.count), weights)
        learned.fitted_on = united(router.fitted_on, fingerprints(table.queries))
    learned.statistics_ = statistics
    if statistics.pairs != router.pairs:
        none = np.empty((0, len(statistics.pairs)))
        learned.paired_ = router.paired_.plus(none, np.empty((0, len(router.clusterings_.sizes)), dtype=np.int64))
    return learned
