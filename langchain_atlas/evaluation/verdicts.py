"""The rules by which `doctor` comes to its verdict; ``docs/doctor.md`` gives the reasons."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from langchain_atlas.evaluation import policies
from langchain_atlas.evaluation.bootstrap import Difference, paired_difference
from langchain_atlas.evaluation.crossfit import N_FOLDS, single_orders
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.evaluation.crossfit import Crossfit, Held, Setting
    from langchain_atlas.evaluation.runs import Recorded

SAVING = 0.7
"""A router that is only as accurate must cost at most this part of the single pair's dollars."""
WORTH = 0.02
"""A gain in accuracy that must not be missed for want of data, 0 to 1."""
FEWEST_QUERIES = 50
"""With fewer, a single query is more than `WORTH`."""
LITTLE_HEADROOM = 0.01
"""When even the oracle gains less than this, there is nothing to gain."""

_N_BOOTSTRAP = 2000
_POWER = 1.96 + 0.84
"""Normal quantiles: a two-sided 95% interval that excludes 0 with a chance of 80%."""
_Z = 1.96
_PLACES = 3


class Advice(Record):
    """What to use."""

    router: str | None = None
    """Kind of router, for `fit --router`; None to use one pair."""
    settings: dict[str, float] = {}
    """Its settings."""
    pair: str | None = None
    """The single pair; None to use a router, or when nothing is known."""


class Tried(Record):
    """A router on held-out queries, beside the best single pair chosen on the other parts."""

    router: str
    """Kind of router."""
    alpha: float
    """0 for accuracy alone, 1 for cost alone."""
    accuracy: float
    """Mean score, 0 to 1."""
    cost_usd_per_1k: float | None
    """Dollars for 1000 queries; None when unknown."""
    gain: float
    """Accuracy less that of the best single pair, -1 to 1."""
    cost_ratio: float | None
    """Dollars over those of the best single pair; None when unknown."""


class Headroom(Record):
    """What perfect choice would bring, in hindsight."""

    pair: str
    """The best single pair."""
    accuracy: float
    """Its accuracy (another pair's where it is not recorded), 0 to 1."""
    gain: float
    """The oracle's accuracy less that, 0 to 1."""
    cost_ratio: float | None
    """The oracle's dollars, the cheapest right pair on each query, over that pair's; None when unknown."""
    cheapest_and_best: bool
    """Whether that pair is the most accurate and the cheapest in every domain."""

    @classmethod
    def of(cls, recorded: Recorded, margin: float) -> Self:
        """Compare the oracle with the best single pair."""
        order, _ = single_orders(recorded, margin)
        there = ~np.isnan(recorded.score[:, order])
        columns = np.asarray(order)[np.argmax(there, axis=1)]
        rows = np.arange(len(columns))
        best = policies.oracle(recorded)
        score = recorded.score[rows, columns]
        return cls(
            pair=str(recorded.pairs[order[0]]),
            accuracy=float(np.nanmean(score)),
            gain=max(float(np.nanmean(best.score - score)), 0.0),
            cost_ratio=_ratio(best.cost, recorded.cost[rows, columns]),
            cheapest_and_best=_dominates(recorded, order[0]),
        )

    @property
    def nothing(self) -> bool:
        """Whether not even the oracle gains accuracy or saves much."""
        return self.gain < LITTLE_HEADROOM and (self.cost_ratio is None or self.cost_ratio > SAVING)


class Need(Record):
    """How much more data would settle the question."""

    more_queries: int
    """Number of queries to record on top, each with every pair."""
    where: dict[str, int]
    """How to share them out over the domains that are least certain."""


def nothing_scored() -> dict[str, Any]:
    """Return the verdict on a table without a score."""
    return _verdict("too little data", "No outcome has a score. Score the responses first.", Advice()) | {
        "best_single": None,
        "headroom": None,
        "need": Need(more_queries=FEWEST_QUERIES, where={}),
    }


def before_trying(recorded: Recorded, headroom: Headroom, *, n_groups: int) -> dict[str, Any] | None:
    """Return the verdict where trying routers would tell nothing; else None."""
    single, n_queries = Advice(pair=headroom.pair), len(recorded.domains)
    if len(recorded.pairs) == 1:
        return _verdict("do not route", f"There is one pair, {headroom.pair}; nothing to choose from.", single)
    distinct = min(n_queries, n_groups)
    if n_queries < FEWEST_QUERIES or n_groups < 2 * N_FOLDS:
        need = Need(more_queries=max(FEWEST_QUERIES - distinct, 1), where=_shared(recorded.domains, None))
        return _verdict(
            "too little data",
            f"There are {n_queries} scored queries, {n_groups} of them different. With fewer than {FEWEST_QUERIES} "
            f"one query is more than {_points(WORTH)}, and nothing smaller can be seen. Until then use "
            f"{headroom.pair}, the best so far.",
            single,
            need=need.replace(where=_scaled_to(need.where, need.more_queries)),
        )
    return None


def after_trying(
    crossed: Crossfit, recorded: Recorded, headroom: Headroom, *, margin: float, seed: int
) -> dict[str, Any]:
    """Return the verdict on held-out results."""
    tried = _tried(crossed)
    thrifty = _compare(crossed.thrifty, crossed.best, seed)
    frugal = thrifty.difference.ci95[0] >= -margin and thrifty.ratio is not None and thrifty.ratio < 1
    rival = crossed.thrifty if frugal else crossed.best
    single = _single(recorded, headroom, margin, frugal=frugal)
    for goal in (_more_accurate, _as_accurate, _more_for_more):
        held, setting = _pick(crossed, rival, goal, margin)
        if held is None or setting is None:
            continue
        against = _compare(held, rival if goal is _as_accurate else crossed.best, seed)
        gain = _compare(held, crossed.best, seed).difference
        if not headroom.nothing and _passes(goal, gain, against.ratio, margin):
            advice = Advice(router=setting.router, settings={"alpha": setting.alpha})
            reason = _because(goal, setting, gain, against.ratio, single, margin, frugal=frugal)
            return _verdict("route", reason, advice, gain, against.ratio, tried=tried)
    held, setting = _pick(crossed, rival, _more_accurate, margin)
    if held is None or setting is None:  # every router costs more than the single pair
        held, setting = _pick(crossed, rival, _more_for_more, margin)
    best = _compare(held or crossed.best, crossed.best, seed)
    advice = Advice(pair=single)
    need = _need(held or crossed.best, crossed.best, recorded.domains)
    told = f"The best router tried ({setting}) gains {_interval(best.difference)} on held-out queries"
    told += "." if best.ratio is None else f" at {best.ratio:.0%} of the cost."
    if headroom.nothing or headroom.cheapest_and_best:
        return _verdict(
            "do not route",
            f"{_why_not(headroom)} {told}",
            advice,
            best.difference,
            best.ratio,
            tried=tried,
        )
    if best.difference.ci95[1] >= WORTH and need is not None:
        return _verdict(
            "too little data",
            f"{told} That neither shows nor rules out a gain of {_points(WORTH)}; about {need.more_queries} more "
            f"queries would. Until then use {single}.",
            advice,
            best.difference,
            best.ratio,
            tried=tried,
            need=need,
        )
    return _verdict("do not route", f"{told} {_instead(single, frugal)}", advice, best.difference, best.ratio, tried=tried)
