"""Metrics of routers; pure functions over arrays. ``docs/metrics.md`` lists them all.

Arrays have one number per query, NaN where a value is unknown; scores run from 0 to 1, costs are dollars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.replay.frontier import trapezoid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

COLLAPSE_SHARE = 0.95
"""Share of the answers from one pair at which a router that had a choice counts as collapsed."""

_SAME_COST = 1e-9


def known_mean(values: ArrayLike) -> float | None:
    """Return the mean of the known values; None when there are none. An unknown number is never read as 0."""
    column = np.asarray(values, dtype=np.float64)
    known = column[~np.isnan(column)]
    return float(known.mean()) if known.size else None


def regret(scores: ArrayLike, best: ArrayLike) -> float | None:
    """Return how much higher the oracle's score is.

    Args:
        scores: score of the answers given, shape [n].
        best: the oracle's scores, shape [n].

    Returns:
        Mean of ``best - score`` over measured queries, 0 (as good as the oracle) to 1; None when there are none.
    """
    return known_mean(np.asarray(best, dtype=np.float64) - np.asarray(scores, dtype=np.float64))


def normalized_entropy(shares: ArrayLike, choices: int | None = None) -> float:
    """Return how evenly the pairs were used (Shannon's entropy over its highest value).

    Args:
        shares: share of each pair; they need not add up to 1.
        choices: number of pairs to choose from; by default, all of `shares`.

    Returns:
        ``-sum(p * ln p) / ln(choices)``: 0 for one pair alone, 1 for equal shares. 0 if there was no choice.
    """
    share = np.asarray(shares, dtype=np.float64)
    n = len(share) if choices is None else choices
    used = share[share > 0]
    if n <= 1 or not used.size:
        return 0.0
    p = used / used.sum()
    return float(max(0.0, -(p * np.log(p)).sum() / math.log(n)))


def is_collapsed(shares: ArrayLike, choices: int | None = None, *, at: float = COLLAPSE_SHARE) -> bool:
    """Return whether a router that had a choice used one pair for nearly everything.

    That may be right: if one pair is best everywhere, there is nothing to route. It is a warning, not a verdict.

    Args:
        shares: share of each pair; they need not add up to 1.
        choices: number of pairs to choose from; by default, all of `shares`.
        at: share of one pair from which the router counts as collapsed, above 0 and up to 1.
    """
    share = np.asarray(shares, dtype=np.float64)
    n = len(share) if choices is None else choices
    return bool(n > 1 and share.sum() > 0 and share.max() / share.sum() >= at)


def performance_gap_recovered(qualities: ArrayLike, *, weak: float, strong: float) -> NDArray[np.float64]:
    """Return the PGR (RouteLLM, section 2): the fraction of the gap between the weak and the strong model recovered.

    Args:
        qualities: quality of a router, any shape.
        weak: quality of the weak model alone.
        strong: quality of the strong model alone, same unit.

    Returns:
        ``(quality - weak) / (strong - weak)``: 0 like the weak model, 1 like the strong one; it may be outside.

    Raises:
        SettingError: the strong model is not better than the weak one.
    """
    if not strong > weak:
        raise SettingError(f"The strong model's quality is {strong!r} and the weak one's {weak!r}; it must be above.")
    return (np.asarray(qualities, dtype=np.float64) - weak) / (strong - weak)


def average_gap_recovered(strong_shares: ArrayLike, qualities: ArrayLike, *, weak: float, strong: float) -> float:
    """Return the APGR (RouteLLM, section 2): the PGR, averaged over the share of calls to the strong model.

    The curve is linear between the measured points, from (0, weak) to (1, strong). RouteLLM's paper takes ten steps of
    the share; this is the exact area.

    Args:
        strong_shares: share of queries that went to the strong model at each threshold, shape [n], 0 to 1.
        qualities: quality of the router at each threshold, shape [n].
        weak: quality of the weak model alone.
        strong: quality of the strong model alone, same unit.

    Returns:
        0.5 for a coin toss between the two, towards 1 for a good router; it may be outside 0 to 1.

    Raises:
        SettingError: a share is outside 0 to 1, or the strong model is not better.
    """
    share, gap = _gap_curve(strong_shares, qualities, weak, strong)
    return trapezoid(gap, share)


def call_performance_threshold(
    target: float, strong_shares: ArrayLike, qualities: ArrayLike, *, weak: float, strong: float
) -> float:
    """Return the CPT (RouteLLM, section 2): the least share of strong calls that recovers a fraction of the gap.

    Args:
        target: the fraction of the gap to recover, 0 to 1; 0.5 gives CPT(50%).
        strong_shares: share of queries that went to the strong model at each threshold, shape [n], 0 to 1.
        qualities: quality of the router at each threshold, shape [n].
        weak: quality of the weak model alone.
        strong: quality of the strong model alone, same unit.

    Returns:
        The first share, 0 to 1, at which the curve of `average_gap_recovered` reaches `target`; lower is better.

    Raises:
        SettingError: `target` or a share is outside 0 to 1, or the strong model is not better.
    """
    if not 0 <= target <= 1:
        raise SettingError(f"target is {target!r}; it is a part of the gap, from 0 to 1.")
    share, gap = _gap_curve(strong_shares, qualities, weak, strong)
    first = int(np.argmax(gap >= target))  # the curve ends at 1, so there is one
    if first == 0:
        return float(share[0])
    rise = (target - gap[first - 1]) / (gap[first] - gap[first - 1])
    return float(share[first - 1] + rise * (share[first] - share[first - 1]))


def _gap_curve(
    strong_shares: ArrayLike, qualities: ArrayLike, weak: float, strong: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    share = np.asarray(strong_shares, dtype=np.float64)
    if not ((share >= 0) & (share <= 1)).all():
        raise SettingError(f"The shares of strong calls are {share.tolist()!r}; each must be from 0 to 1.")
    gap = performance_gap_recovered(qualities, weak=weak, strong=strong)
    inner = (share > 0) & (share < 1)  # at the ends the router is the weak or the strong model
    order = np.argsort(share[inner], kind="stable")
    return (
        np.concatenate(([0.0], share[inner][order], [1.0])),
        np.concatenate(([0.0], gap[inner][order], [1.0])),
    )


def arena_score(
    accuracy: float, cost_usd_per_1k: float, *, cost_max: float = 200.0, cost_min: float = 0.0044, beta: float = 0.1
) -> float:
    """Return RouterArena's score: accuracy and cheapness in one number (Lu et al. 2025, arXiv 2510.00202).

    ``C = (log2 cost_max - log2 cost) / (log2 cost_max - log2 cost_min)``, and the score is the harmonic mean of
    accuracy (weight 1) and C (weight `beta`): ``S = (1 + beta) * A * C / (beta * A + C)``.

    Args:
        accuracy: mean score, 0 to 1.
        cost_usd_per_1k: dollars per 1000 queries; clipped to `cost_min` and `cost_max`.
        cost_max: dollars at which cheapness is 0; RouterArena's leaderboard has 200.
        cost_min: dollars at which cheapness is 1; RouterArena's leaderboard has 0.0044.
        beta: weight of cheapness; accuracy has 1.

    Returns:
        0 to 1, higher is better.

    Raises:
        SettingError: a number is out of range.
    """
    if not (0 <= accuracy <= 1 and cost_usd_per_1k >= 0):
        raise SettingError(
            f"accuracy is {accuracy!r} and cost {cost_usd_per_1k!r}; accuracy is 0 to 1, cost 0 or more."
        )
    if not (0 < cost_min < cost_max and beta > 0):
        raise SettingError(
            f"cost_min is {cost_min!r}, cost_max {cost_max!r}, beta {beta!r}; "
            "cost_min must be above 0, cost_max above cost_min, and beta above 0."
        )
    cost = min(max(cost_usd_per_1k, cost_min), cost_max)
    cheapness = math.log2(cost_max / cost) / math.log2(cost_max / cost_min)
    weight = beta * accuracy + cheapness
    return (1 + beta) * accuracy * cheapness / weight if weight > 0 else 0.0


@dataclass(frozen=True)
class Optimality:
    """How close choices came to the best possible on each query (RouterArena)."""

    selection: float | None
    """Share of queries answered correctly by the cheapest right pair, 0 to 1; None when no cost is known."""
    cost: float | None
    """Dollars of the cheapest right pairs over dollars spent, on correctly answered queries, 0 to 1; None as above."""
    accuracy: float | None
    """Accuracy divided by the oracle's, 0 to 1; None when the oracle solves nothing."""


def optimality(
    scores: ArrayLike, costs: ArrayLike, answered: ArrayLike, all_scores: ArrayLike, all_costs: ArrayLike
) -> Optimality:
    """Compare choices with the cheapest right pair of each query (RouterArena, arXiv 2510.00202).

    A pair is right if its score is 1. Queries that no pair with a known cost gets right have no cheapest right pair;
    selection and cost leave them out. As on RouterArena's leaderboard, cost considers only correctly answered queries,
    so that being cheap and wrong gains nothing.

    Args:
        scores: score of each answer given, shape [n]; NaN where not measured.
        costs: dollars spent on each query, shape [n].
        answered: column of the pair whose answer was given, shape [n]; -1 for none.
        all_scores: score of every pair, shape [n, n_pairs].
        all_costs: dollars of every pair, shape [n, n_pairs].
    """
    score, cost, column = np.asarray(scores), np.asarray(costs), np.asarray(answered, dtype=np.int64)
    every, price = np.asarray(all_scores), np.asarray(all_costs)
    measured = ~np.isnan(score)
    right_price = np.where((every >= 1) & ~np.isnan(price), price, np.inf)
    least = right_price.min(axis=1)
    solvable = measured & np.isfinite(least)
    own_price = np.where(column >= 0, np.take_along_axis(right_price, np.maximum(column, 0)[:, None], 1)[:, 0], np.inf)
    chosen = own_price[solvable] <= least[solvable] * (1 + _SAME_COST)
    solved = solvable & (score >= 1) & ~np.isnan(cost)
    best = np.where(np.isnan(every), -np.inf, every).max(axis=1)[measured].sum()
    spent = cost[solved].sum()
    return Optimality(
        selection=float(chosen.mean()) if chosen.size else None,
        cost=float(least[solved].sum() / spent) if spent > 0 else None,
        accuracy=float(score[measured].sum() / best) if best > 0 else None,
    )
