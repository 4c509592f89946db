"""A new model begins with its predecessor's record, counted as a few outcomes."""

from __future__ import annotations

import copy
import re
import threading
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import PoolError, SettingError, suggest
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.routers.cluster.statistics import ClusterStatistics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_atlas.routers.cluster.router import ClusterRouter

_PART = re.compile(r"[^a-z0-9]+")
_VERSION = re.compile(r"v?\d+")
_LABELS = {"latest", "preview", "exp", "experimental"}


def predecessor_of(model: str, known: Iterable[str]) -> str | None:
    """Return the model of which another is a later version, by name; None if there is none.

    Names are compared without their versions and dates, in any order of their words: ``claude-sonnet-4-5`` comes after
    ``claude-3-5-sonnet``. The latest earlier version is taken. ``70b`` and ``4o`` are no versions.

    Args:
        model: name of the new model.
        known: names of the models that it may come after.
    """
    family, version = _parsed(model)
    earlier = [(number, name) for name in known for words, number in [_parsed(name)] if words == family]
    before = [(number, name) for number, name in earlier if number < version and name != model]
    return max(before)[1] if before else None


def _parsed(name: str) -> tuple[frozenset[str], tuple[int, ...]]:
    words = [word for word in _PART.split(name.lower().rpartition("/")[2]) if word and word not in _LABELS]
    versions = tuple(int(word.lstrip("v")) for word in words if _VERSION.fullmatch(word))
    return frozenset(word for word in words if not _VERSION.fullmatch(word)), versions


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
        predecessors: model by new model, where names don't tell; see `predecessor_of`.
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
    new = [Pair.parse(pair) if isinstance(pair, str) else pair for pair in pairs]
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
        old = told.get(pair.model) or predecessor_of(pair.model, models)
        earlier = None if old is None else Pair(old, pair.tool)
        if earlier in router.pairs and earlier is not None:
            before[pair] = earlier
    return _joined(router, new, before, outcomes, cost_ratio)


def _joined(
    router: ClusterRouter, new: list[Pair], before: Mapping[Pair, Pair], outcomes: float, cost_ratio: float | None
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
