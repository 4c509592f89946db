"""A new model begins with its predecessor's record, counted as a few outcomes."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import PoolError, SettingError, suggest
from langchain_atlas.pool.pairs import Pair, as_pairs
from langchain_atlas.pool.succession import inherits_from
from langchain_atlas.routers.cluster.statistics import ClusterStatistics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_atlas.routers.cluster.router import ClusterRouter


def with_successors(
    router: ClusterRouter,
    pairs: Iterable[Pair | str],
    *,
    predecessors: Mapping[str, str] | None = None,
    outcomes: float = 20.0,
    cost_ratio: float | None = None,
) -> ClusterRouter:
    """Return a router that knows new pairs too, by the record of their predecessors: the same tool, an earlier model.

    Nothing is learned of a pair without a predecessor; it starts empty. What is recorded of a new pair later counts
    beside the inherited record, and soon outweighs it.

    Args:
        router: a fitted router.
        pairs: the new pairs.
        predecessors: model by new model, where names don't tell; see `inherits_from`.
        outcomes: as how many outcomes an inherited record counts.
        cost_ratio: price of the new model, divided by that of its predecessor. Without it, the cost of a new pair is
            unknown until it was called.

    Raises:
        PoolError: a pair is known already, a predecessor is not, or one is given of a model that is not new.
        SettingError: `outcomes` or `cost_ratio` is not above 0.
    """
    for name, value in (("outcomes", outcomes), ("cost_ratio", cost_ratio)):
        if value is not None and not value > 0:
            raise SettingError(f"{name} is {value!r}; it must be a number above 0.")
    new = as_pairs(pairs)
    models = list(dict.fromkeys(pair.model for pair in router.pairs))
    told = dict(predecessors or {})
    names = sorted({pair.model for pair in new})
    for model in told:
        if model not in names:
            raise PoolError(f"predecessors has {model!r}, which is no model of the new pairs. {suggest(model, names)}")
    for model in told.values():
        if model not in models:
            raise PoolError(f"Predecessor {model!r} is not a model of this router. {suggest(model, models)}")
    before: dict[Pair, Pair] = {}
    for pair in new:
        if pair in router.pairs:
            raise PoolError(f"Pair {str(pair)!r} is known to this router; only a new pair inherits a record.")
        old = told.get(pair.model) or inherits_from(pair.model, models)
        earlier = None if old is None else Pair(old, pair.tool)
        if earlier in router.pairs and earlier is not None:
            before[pair] = earlier
    return _joined(router, new, before, outcomes, cost_ratio)


def _joined(
    router: ClusterRouter, new: Sequence[Pair], before: Mapping[Pair, Pair], outcomes: float, cost_ratio: float | None
) -> ClusterRouter:
    known = router.statistics_
    sums = {name: np.zeros((len(known.count), len(new))) for name in known.arrays()}
    for column, pair in enumerate(new):
        if pair not in before:
            continue
        old = known.pairs.index(before[pair])
        share = min(1.0, outcomes / max(float(known.outcomes[old]), 1e-12))
        sums["count"][:, column] = share * known.count[:, old]
        sums["success"][:, column] = share * known.success[:, old]
        if cost_ratio is not None:
            sums["cost_count"][:, column] = share * known.cost_count[:, old]
            sums["cost"][:, column] = share * cost_ratio * known.cost[:, old]
    learned = copy.copy(router)
    learned._learning = threading.Lock()  # noqa: SLF001  # as in `add_pairs`: no lock of the other router
    learned.statistics_ = known + ClusterStatistics(pairs=tuple(new), repeats=known.repeats, **sums)
    none = np.empty((0, len(learned.statistics_.pairs)))
    learned.paired_ = router.paired_.plus(none, np.empty((0, len(router.clusterings_.sizes)), dtype=np.int64))
    return learned
