"""Evidence of a cluster router that is added with weights, and fades."""

from __future__ import annotations

import copy
import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.outcomes.table import OutcomeTable
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.routers.cluster.statistics import ClusterStatistics
from langchain_atlas.routers.saved.fingerprints import fingerprints, united

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

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


def with_change(
    router: ClusterRouter, pairs: Collection[Pair], cluster: int | None, *, outcomes: float
) -> ClusterRouter:
    """Return a router to which some pairs are as good as new: what it knew of them counts as a few outcomes.

    The trees and the guard's paired outcomes know them no more. If the guard's default pair is among them, the next
    best becomes the default.

    Args:
        router: a fitted router.
        pairs: the pairs that have changed; pairs that the router does not know are left out.
        cluster: the cluster of the first clustering in which they have changed, with the finer ones within it; None for
            all.
        outcomes: as how many outcomes each pair's record counts from now on, there.
    """
    known = router.statistics_
    has_changed = np.array([pair in pairs for pair in known.pairs])
    rows = np.ones(len(known.count), dtype=bool)
    if cluster is not None:
        rows = router.clusterings_.nearest(router.clusterings_.distances(router.clusterings_.centres))[:, 0] == cluster
    there = known.count[rows].sum(axis=0) / known.repeats
    share = np.where(has_changed, np.minimum(1.0, outcomes / np.maximum(there, 1e-12)), 1.0)
    sums = {name: np.where(rows[:, None], share * array, array) for name, array in known.arrays().items()}
    changed = copy.copy(router)
    changed._learning = threading.Lock()  # noqa: SLF001  # as in `add_pairs`: no lock of the other router
    changed.statistics_ = ClusterStatistics(pairs=known.pairs, repeats=known.repeats, **sums)
    columns = np.where(has_changed, -1, np.arange(len(has_changed)))
    if not has_changed.all():
        changed.paired_ = router.paired_.with_pairs(columns)
    if router.forest_ is not None and router.ridge_ is not None:
        learned = np.where(columns < len(router.forest_.counts), columns, -1)
        changed.forest_, changed.ridge_ = router.forest_.with_pairs(learned), router.ridge_.with_pairs(learned)
    return changed


def refitted(
    router: ClusterRouter,
    rows: Sequence[tuple[dict[str, Any], float]],
    changed: Mapping[Pair, float],
    outcomes: float,
) -> ClusterRouter:
    """Return the router fitted anew, with the same settings.

    Args:
        router: the router.
        rows: rows of an outcome table, each with its time in seconds since 1970.
        changed: time since when a pair is another one; what is older counts as a few outcomes.
        outcomes: as how many.
    """
    new: list[dict[str, Any]] = []
    old: list[dict[str, Any]] = []
    for row, at in rows:
        (old if at < changed.get(Pair(row["model"], row["tool"]), -math.inf) else new).append(row)
    fitted = copy.copy(router)
    fitted._learning = threading.Lock()  # noqa: SLF001  # as in `add_pairs`: no lock of the other router
    fitted.fit(OutcomeTable.from_rows(new))
    if not old:
        return fitted
    numbers = Counter((row["model"], row["tool"]) for row in old)
    apart = [{**row, "query_id": str(number)} for number, row in enumerate(old)]
    weights = np.array([min(1.0, outcomes / numbers[row["model"], row["tool"]]) for row in old])
    return with_evidence(fitted, OutcomeTable.from_rows(apart), weights)
