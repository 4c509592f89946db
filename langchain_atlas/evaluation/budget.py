"""Which alpha makes the most of a budget: the choice of `fit --budget`."""

from __future__ import annotations

from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.bootstrap import bootstrap_means, intervals
from langchain_atlas.evaluation.crossfit import (
    N_FOLDS,
    HeldOut,
    encoded,
    grouped,
    near_duplicates,
    parts,
    scored,
)
from langchain_atlas.evaluation.metrics import known_mean
from langchain_atlas.evaluation.policies import SinglePairs
from langchain_atlas.evaluation.runs import Recorded
from langchain_atlas.progress import Progress, Steps
from langchain_atlas.records import Record
from langchain_atlas.routers.base import some

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_atlas.evaluation.crossfit import Fitter, Held
    from langchain_atlas.outcomes import OutcomeTable

_GRID = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
_HALVINGS = 4
_DECIMALS = 3
_FEWEST_GROUPS = 2 * N_FOLDS
_ROUNDING = 1e-9
"""Part by which sums of the same dollars may differ."""


class TriedAlpha(Record):
    """One alpha, on held-out queries."""

    alpha: float
    """0 for accuracy alone, 1 for cost alone."""
    accuracy: float
    """Mean score, 0 to 1."""
    cost_usd_per_1k: float
    """Dollars for 1000 queries."""


class BudgetChoice(Record):
    """The alpha that makes the most of a budget, and what to expect of it."""

    budget_usd_per_1k: float
    """Dollars that 1000 queries may cost."""
    alpha: float
    """The most accurate alpha tried that stays within it; the cheaper one among equals."""
    accuracy: float
    """Mean score on held-out queries, 0 to 1."""
    accuracy_ci95: tuple[float, float]
    """95% interval of it, from a bootstrap over queries."""
    cost_usd_per_1k: float
    """Dollars for 1000 held-out queries."""
    cost_usd_per_1k_ci95: tuple[float, float]
    """95% interval of it."""
    n_queries: int
    """Number of queries, each held out once."""
    tried: tuple[TriedAlpha, ...]
    """Every alpha that was tried, ascending."""


def choose_alpha(
    router: Fitter,
    table: OutcomeTable,
    budget: float,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> BudgetChoice:
    """Choose the alpha at which a router is most accurate on held-out queries within a budget.

    The queries are parted into five, near duplicates together, as `doctor` does. Each part is held out once, while
    copies of the router are fitted on the others.

    Args:
        router: not fitted yet; it is left as it is. Its encoder should remember all texts of the table.
        table: the outcomes.
        budget: dollars that 1000 queries may cost.
        seed: seed of the parts and of the resamples.
        progress: called with the number of fits and trials done and the number of all.

    Raises:
        SettingError: `budget` is not positive, or no alpha stays within it.
        OutcomeError: there are too few queries, or a pair has no costs.
    """
    check_budget(budget)
    part = scored(table, seed)
    if part is None:
        raise OutcomeError(f"{table.source} has no score; there is nothing to learn from. Score its responses.")
    _check_costs(Recorded.of(part), part.source, budget)
    texts = [query.text for query in part.queries]
    groups = grouped(len(texts), near_duplicates(encoded(part, router.encoder)), texts)
    if len(np.unique(groups)) < _FEWEST_GROUPS:
        raise OutcomeError(
            f"{table.source} has {len(np.unique(groups))} different queries with a score; to choose alpha for a budget "
            f"some are held out, which takes {_FEWEST_GROUPS}. Record more with 'profile', or give an alpha yourself."
        )
    step = Steps(N_FOLDS + len(_GRID) + _HALVINGS, progress)
    held_out = HeldOut.fit(router, part, parts(groups, seed=seed), step)
    tried: dict[float, Held] = {}

    def cost_at(alpha: float) -> float:
        tried[alpha] = held_out.at(alpha)
        step()
        return _cost(tried[alpha])

    _search(cost_at, budget)
    return _best(dict(sorted(tried.items())), budget, seed)


def check_budget(budget: float) -> None:
    """Make sure that a budget is one.

    Raises:
        SettingError: it is not a positive number.
    """
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not isfinite(budget) or budget <= 0:
        raise SettingError(f"budget is {budget!r}; it must be a number above 0, in dollars for 1000 queries.")


def rounded_up(value: float) -> float:
    """Round a positive number up to three significant digits, so that a budget of what is shown will do."""
    digits = 2 - floor(log10(value)) if value > 0 else 0
    return ceil(value * (1 - _ROUNDING) * 10.0**digits) / 10.0**digits


def _check_costs(recorded: Recorded, source: str, budget: float) -> None:
    unknown = [
        pair
        for pair, score, cost in zip(recorded.pairs, recorded.score.T, recorded.cost.T, strict=True)
        if np.isnan(cost).all() and not np.isnan(score).all()
    ]
    if unknown:
        which = "no costs" if len(unknown) == len(recorded.pairs) else f"no costs of {some(unknown)}"
        raise OutcomeError(
            f"{source} has {which}, so nobody can say what a router would spend. Give the models prices and record "
            "again, fill in 'cost_usd', or leave such pairs out with --pairs."
        )
    singles = SinglePairs.of(recorded)
    if singles.cheapest is None:
        return
    least = 1000 * float(singles.cost[singles.cheapest])
    if not _within(least, budget):
        raise SettingError(
            f"budget is {budget!r} dollars for 1000 queries, but the cheapest pair, "
            f"{recorded.pairs[singles.cheapest]}, costs {rounded_up(least):g}. Raise the budget to that or more, or "
            "add a cheaper model."
        )


def _search(cost_at: Callable[[float], float], budget: float) -> None:
    """Try the grid, then halve the gap in which the cost comes down to the budget."""
    costs = [cost_at(alpha) for alpha in _GRID]
    first = next((number for number, cost in enumerate(costs) if _within(cost, budget)), 0)
    if not first:
        return
    low, high = _GRID[first - 1], _GRID[first]
    for _ in range(_HALVINGS):
        middle = round((low + high) / 2, _DECIMALS)
        if _within(cost_at(middle), budget):
            high = middle
        else:
            low = middle


def _best(tried: Mapping[float, Held], budget: float, seed: int) -> BudgetChoice:
    told = {
        alpha: TriedAlpha(alpha=alpha, accuracy=float(np.nanmean(held.score)), cost_usd_per_1k=_cost(held))
        for alpha, held in tried.items()
    }
    within = [entry for entry in told.values() if _within(entry.cost_usd_per_1k, budget)]
    if not within:
        least = min(told.values(), key=lambda entry: entry.cost_usd_per_1k)
        raise SettingError(
            f"budget is {budget!r} dollars for 1000 queries, and no alpha stays within it on held-out queries: "
            f"the least is {rounded_up(least.cost_usd_per_1k):g}, at alpha {least.alpha:g}. Raise the budget to that "
            "or more."
        )
    chosen = max(within, key=lambda entry: (entry.accuracy, -entry.cost_usd_per_1k))
    held = tried[chosen.alpha]
    bounds: list[tuple[float, float]] = intervals(
        bootstrap_means(np.stack([held.score, 1000 * held.cost], axis=1), seed=seed)
    )
    return BudgetChoice(
        budget_usd_per_1k=budget,
        alpha=chosen.alpha,
        accuracy=chosen.accuracy,
        accuracy_ci95=bounds[0],
        cost_usd_per_1k=chosen.cost_usd_per_1k,
        cost_usd_per_1k_ci95=bounds[1],
        n_queries=int((~np.isnan(held.score)).sum()),
        tried=tuple(told.values()),
    )


def _within(cost: float, budget: float) -> bool:
    return cost <= budget * (1 + _ROUNDING)


def _cost(held: Held) -> float:
    """Return dollars for 1000 queries, over those whose cost is known; infinite where none is."""
    cost = known_mean(held.cost)
    return np.inf if cost is None else 1000 * cost
