"""Choosing a router's setting: measured on held-out queries, and on held-out kinds of queries.

The rule: among a single pair and the settings that are not worse than it on kinds of query that the router was not
fitted on, the cheapest one within half a point of the best of them. A setting may be worse on new kinds where what it
wins on the known ones surely outweighs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.evaluation.replay.bootstrap import bootstrap_means, intervals
from langchain_atlas.evaluation.replay.metrics import known_mean
from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint
from langchain_atlas.routers.operating import comparable_cost as _dollars
from langchain_atlas.routers.utility.guard import FEW_KINDS, FEW_QUERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WITHIN = 0.005
"""Accuracy that may be given up against the best, 0 to 1."""

UNSEEN = 0.001
"""Accuracy that may be lost on unseen kinds of query, per seen kind, and one more.

By the rule of succession, one query in k + 1 is of a new kind after k kinds were seen; so this is the loss allowed over
all queries."""

_SAME = 1e-3
"""Relative difference up to which costs count as equal."""

_SURE_FEW_KINDS = NormalDist().inv_cdf(0.8)
"""Standard errors by which a setting must hold up on unseen kinds, where there are few kinds to tell from."""

_SURE = NormalDist().inv_cdf(0.99)
_MANY = 700
"""Standard errors by which a setting must be as good: `_SURE` up to `FEW_QUERIES`, none from so many on, and in between
ever less. Of many settings measured on a hundred queries, the best is the best by luck."""


_OUTWEIGHS = 0.05
"""Accuracy that must surely be won over all queries, where a setting may lose on kinds of query that were not seen."""


@dataclass(frozen=True)
class HeldQueries:
    """The queries behind `Trials`, in the same order."""

    domains: tuple[str, ...]
    """Domain of each query."""
    groups: NDArray[np.int64]
    """Near duplicates have the same number, shape [n_queries]."""
    hindsight: NDArray[np.float64]
    """Score of the best single pair over all of these queries, shape [n_queries]; NaN where it is not recorded."""
    hindsight_cost: NDArray[np.float64]
    """Its dollars, shape [n_queries]; NaN where unknown."""


@dataclass(frozen=True)
class Trials:
    """The result of each setting on each held-out query; the last row is the held-out best single pair."""

    values: NDArray[np.float64]
    """Dollars that a right answer is worth at each setting, descending, shape [n_settings]."""
    single: str
    """The best single pair over all queries."""
    score: NDArray[np.float64]
    """Score of the answers, 0 to 1, shape [n_settings + 1, n_queries]."""
    cost: NDArray[np.float64]
    """Dollars, shape [n_settings + 1, n_queries]; NaN where unknown."""
    latency: NDArray[np.float64]
    """Seconds, shape [n_settings + 1, n_queries]; NaN where unknown."""
    calls: NDArray[np.float64]
    """Number of calls, shape [n_settings + 1, n_queries]."""
    unseen: NDArray[np.float64] | None
    """Score minus the single pair's, with the whole kind of query held out, shape [n_settings + 1, n_queries]; None if
    that can't be measured."""
    n_kinds: int
    """Number of kinds of query."""
    n_effective: float | None = None
    """Effective number of queries, where results are estimated; None where they are replayed."""
    queries: HeldQueries | None = field(default=None, compare=False)
    """What is known of the queries, by which they can be split; None where that is not needed."""


def some_queries(trials: Trials, rows: NDArray[np.int64]) -> Trials:
    """Return the measurements on some of the queries, by index."""
    return replace(
        trials,
        score=trials.score[:, rows],
        cost=trials.cost[:, rows],
        latency=trials.latency[:, rows],
        calls=trials.calls[:, rows],
        unseen=None if trials.unseen is None else trials.unseen[:, rows],
        queries=None,
    )


def choose(trials: Trials, *, doubt: float = 0.5, least_value: float = 0.0, seed: int = 0) -> OperatingCurve:
    """Choose a setting by the rule of this module.

    Args:
        trials: the measurements.
        doubt: confidence with which a setting must be shown to be worse to be ruled out; 0.5 decides by the mean, a
            higher value gives the setting the benefit of the doubt.
        least_value: settings at which a right answer is worth less, in dollars, are measured but not chosen.
        seed: seed of the resampling behind the intervals.
    """
    points = _points(trials, seed)
    single = len(points) - 1
    # With few queries or few kinds of them, the single pair is preferred: a setting must then likely be as good.
    n_queries = trials.score.shape[1] if trials.n_effective is None else trials.n_effective
    no_doubt = doubt <= 0.5  # noqa: PLR2004
    sure, few = _sureness(n_queries, doubt), n_queries < FEW_QUERIES
    seen_enough = np.zeros(len(points), dtype=bool)
    if trials.unseen is not None:
        few_kinds = no_doubt and trials.n_kinds < FEW_KINDS
        few = few or few_kinds
        bar = -UNSEEN * (trials.n_kinds + 1)
        seen_enough = _at_least(trials.unseen, bar, min(sure, -_SURE_FEW_KINDS) if few_kinds else sure)
        seen_enough |= _outweighs(trials.score - trials.score[single], trials.unseen, trials.n_kinds)
    # A setting that would not be chosen is no standard for the others, because some of many settings look good by
    # luck. With little evidence the standard is to be high, so there every setting counts.
    dear = np.array([_dollars(point) > _dollars(points[single]) * (1 + 1e-9) for point in points])
    worthy = np.append(trials.values >= least_value * (1 - 1e-9), True)
    candidates = [n for n in range(len(points)) if n == single or (seen_enough[n] and worthy[n] and not dear[n])]
    rivals = np.flatnonzero(~dear).tolist() if few else candidates
    best = max(rivals, key=lambda n: (points[n].accuracy, -_dollars(points[n])))
    fine = _at_least(trials.score - trials.score[best], -WITHIN, sure)
    if sure < 0:  # the best may be so by luck, and is no standard for itself
        fine &= _at_least(trials.score - trials.score[single], -WITHIN, sure)
    able = [n for n in candidates if fine[n] and seen_enough[n]] or [single]
    chosen = min(able, key=lambda n: (_dollars(points[n]), points[n].calls_per_query, -points[n].accuracy))
    saved = _dollars(points[chosen]) < _dollars(points[single]) * (1 - _SAME) or not isfinite(_dollars(points[chosen]))
    if points[chosen].accuracy <= points[single].accuracy and (not saved or chosen == single):
        chosen = single  # routing gains nothing
    return OperatingCurve(
        points=tuple(points),
        chosen=chosen,
        best=int(np.argmax([point.accuracy for point in points])),
        n_queries=trials.score.shape[1],
        reason=_reason(
            points, chosen, best, trials, doubt if sure > 0 else 0.5, kinds_hold=bool(seen_enough[:-1].any())
        ),
    )


def _sureness(n_queries: float, doubt: float) -> float:
    """Return the standard errors that are given to a setting before it is compared; below 0, it must surely be as good.

    Many queries give it the benefit of the doubt, if that is wanted; few give the single pair that benefit.
    """
    fewness = min(max((_MANY - n_queries) / (_MANY - FEW_QUERIES), 0.0), 1.0)
    return (1 - fewness) * NormalDist().inv_cdf(doubt) - fewness * _SURE


def _outweighs(gain: NDArray[np.float64], unseen: NDArray[np.float64], n_kinds: int) -> NDArray[np.bool_]:
    """Return the settings whose gain on seen kinds surely outweighs what they may lose on unseen ones.

    By the rule of succession one query in k + 1 is of a new kind after k were seen. Both means count by their lower
    bounds, so that few queries, or a small gain, outweigh nothing.

    Args:
        gain: score minus the single pair's, shape [n_settings + 1, n_queries].
        unseen: the same with the whole kind of query held out, of that shape.
        n_kinds: number of kinds of query, k.
    """
    surely = n_kinds * _lower(gain) + _lower(unseen)
    found: NDArray[np.bool_] = surely / (n_kinds + 1) >= _OUTWEIGHS
    return found


def _lower(apart: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lower bound of the mean of each row, at the confidence of `_SURE`, shape [n_rows]."""
    n_queries = max(apart.shape[1], 1)
    variance = apart.var(axis=1) + np.where((apart != 0).any(axis=1), 2 / n_queries, 0.0)
    bound: NDArray[np.float64] = apart.mean(axis=1) - _SURE * np.sqrt(variance / n_queries)
    return bound


def _at_least(apart: NDArray[np.float64], bar: float, z: float) -> NDArray[np.bool_]:
    """Return the rows whose mean, plus `z` standard errors, is at least `bar`, shape [n_rows].

    Where a row must be sure to be as good and queries are few, one more that was won and one that was lost count for
    its variance: none that was lost among few does not mean that none will be.
    """
    n_queries = max(apart.shape[1], 1)
    mean, variance = apart.mean(axis=1), apart.var(axis=1)
    if z < 0 and n_queries < _MANY:
        variance = variance + np.where((apart != 0).any(axis=1), 2 / n_queries, 0.0)
    found: NDArray[np.bool_] = mean + z * np.sqrt(variance / n_queries) >= bar - 1e-12
    return found


def _points(trials: Trials, seed: int) -> list[OperatingPoint]:
    found = intervals(bootstrap_means(trials.score.T, seed=seed))
    bounds: Sequence[tuple[float, float]] = [(_share(low), _share(high)) for low, high in found]
    points = []
    for number, (score, cost, latency) in enumerate(zip(trials.score, trials.cost, trials.latency, strict=True)):
        last = number == len(trials.values)
        value = None if last or np.isinf(trials.values[number]) else float(trials.values[number])
        dollars = known_mean(cost)
        points.append(
            OperatingPoint(
                value_usd=value,
                always=trials.single if last else None,
                accuracy=_share(float(score.mean())),
                accuracy_ci95=bounds[number],
                versus_single=float((score - trials.score[-1]).mean()),
                cost_usd_per_1k=None if dollars is None else 1000 * dollars,
                cost_known=float((~np.isnan(cost)).mean()),
                latency_s_mean=known_mean(latency),
                calls_per_query=float(trials.calls[number].mean()),
            )
        )
    return points


def _share(value: float) -> float:
    """Return an accuracy; an estimated one may lie slightly outside 0 to 1."""
    return min(max(value, 0.0), 1.0)


def _reason(
    points: Sequence[OperatingPoint], chosen: int, best: int, trials: Trials, doubt: float, *, kinds_hold: bool
) -> str:
    point = points[chosen]
    gap = 100 * (points[best].accuracy - point.accuracy)
    if point.always is None:
        sure = "" if doubt <= 0.5 else f" (it is not shown to be worse with {doubt:.0%} confidence)"  # noqa: PLR2004
        return f"The cheapest setting within {100 * WITHIN:g} points of the best, {gap:.1f} below it here{sure}."
    if trials.unseen is None:
        return f"One pair, {point.always}: there are too few queries, or too few kinds, to tell whether routing holds."
    if not kinds_hold:
        return f"One pair, {point.always}: no setting holds up on kinds of query that were left out."
    return f"One pair, {point.always}: no setting is as good for less."
