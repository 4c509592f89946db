"""The rules for the verdict of `doctor`; ``docs/doctor.md`` gives the reasons."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field

from langchain_atlas.evaluation.doctor.trials import GOALS, SAVING, WORTH, Case, Trial, points, ratio_of
from langchain_atlas.evaluation.replay import reference_policies
from langchain_atlas.evaluation.settings.crossfit import N_FOLDS, single_orders
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.evaluation.settings.crossfit import Crossfit
    from langchain_atlas.outcomes import OutcomeMatrix

FEWEST_QUERIES = 50
"""With fewer, a single query is more than `WORTH`."""
LITTLE_HEADROOM = 0.01
"""If even the oracle gains less than this, routing can gain nothing."""

_POWER = 1.96 + 0.84
"""Normal quantiles: a two-sided 95% interval that excludes 0 with a chance of 80%."""


class Advice(Record):
    """What to use."""

    router: str | None = None
    """Kind of router, for `fit --router`; None to use one pair."""
    settings: dict[str, float] = Field(default_factory=dict)
    """Its settings."""
    pair: str | None = None
    """The single pair; None to use a router, or when nothing is known."""


class Headroom(Record):
    """What a perfect choice would gain, in hindsight."""

    pair: str
    """The best single pair."""
    accuracy: float
    """Its accuracy (another pair's where it is not recorded), 0 to 1."""
    gain: float
    """The oracle's accuracy minus that of the best single pair, 0 to 1."""
    cost_ratio: float | None
    """The oracle's cost (the cheapest right pair for each query) divided by that pair's; None when unknown."""
    cheapest_and_best: bool
    """Whether in every domain no pair is more accurate than that one, and all others cost more."""

    @classmethod
    def of(cls, recorded: OutcomeMatrix, margin: float, best: Runs | None = None) -> Self:
        """Compare the oracle, or another policy that is as good as can be, with the best single pair."""
        order, _ = single_orders(recorded, margin)
        there = ~np.isnan(recorded.scores[:, order])
        columns = np.asarray(order)[np.argmax(there, axis=1)]
        rows = np.arange(len(columns))
        best = reference_policies.oracle(recorded) if best is None else best
        score = recorded.scores[rows, columns]
        return cls(
            pair=str(recorded.pairs[order[0]]),
            accuracy=min(max(float(np.nanmean(score)), 0.0), 1.0),
            gain=max(float(np.nanmean(best.score - score)), 0.0),
            cost_ratio=ratio_of(best.cost, recorded.costs[rows, columns]),
            cheapest_and_best=_dominates(recorded, order[0]),
        )

    @property
    def nothing(self) -> bool:
        """Whether not even the oracle gains accuracy or saves much."""
        return self.gain < LITTLE_HEADROOM and (self.cost_ratio is None or self.cost_ratio > SAVING)


class Need(Record):
    """How much more data would give a clear result."""

    more_queries: int
    """Number of additional queries to record, each with every pair."""
    where: dict[str, int]
    """How to distribute them over the domains with the least certainty."""


def nothing_scored() -> dict[str, Any]:
    """Return the verdict on a table without a score."""
    return _verdict("too little data", "No outcome has a score. Score the responses first.", Advice()) | {
        "best_single": None,
        "headroom": None,
        "need": Need(more_queries=FEWEST_QUERIES, where={}),
    }


def before_trying(recorded: OutcomeMatrix, headroom: Headroom, *, n_groups: int) -> dict[str, Any] | None:
    """Return the verdict if evaluating routers would be uninformative; otherwise None."""
    single, n_queries = Advice(pair=headroom.pair), len(recorded.domains)
    if len(recorded.pairs) == 1:
        return _verdict("do not route", f"There is one pair, {headroom.pair}; nothing to choose from.", single)
    if n_queries < FEWEST_QUERIES or n_groups < 2 * N_FOLDS:
        more = max(FEWEST_QUERIES - min(n_queries, n_groups), 1)
        reason = (
            f"There are {n_queries} scored queries, {n_groups} of them different. Among fewer than {FEWEST_QUERIES} "
            f"one query is more than {points(WORTH)}, so no smaller gain can be seen. Until there are more use "
            f"{headroom.pair}, the best so far."
        )
        need = Need(more_queries=more, where=_shared(Counter(recorded.domains), more))
        return _verdict("too little data", reason, single, need=need)
    return None


def without_overlap(domains: Sequence[str]) -> dict[str, Any]:
    """Return the verdict on a log in which no domain has outcomes of two pairs, so that nothing can be compared."""
    reason = (
        "On no domain were two pairs logged: each pair's outcomes are of questions that no other pair was asked, so "
        "nothing says how another would have done. Run several pairs on some questions with 'langchain-atlas profile'."
    )
    need = Need(more_queries=FEWEST_QUERIES, where=_shared(Counter(domains), FEWEST_QUERIES))
    return _verdict("too little data", reason, Advice(), need=need)


def after_trying(
    crossed: Crossfit, recorded: OutcomeMatrix, headroom: Headroom, *, margin: float, seed: int
) -> dict[str, Any]:
    """Return the verdict on held-out results.

    Args:
        crossed: the held-out results.
        recorded: the outcomes.
        headroom: what the oracle would gain.
        margin: accuracy that may be given up to save cost, 0 to 1.
        seed: seed of the resamples.
    """
    case = Case.of(crossed, recorded, margin=margin, seed=seed)
    for goal in GOALS:
        trial = case.trial(goal)
        if trial is not None and trial.passed(margin) and not headroom.nothing:
            advice = Advice(router=trial.setting.router, settings={"value": trial.setting.value_usd})
            return _verdict("route", case.why(trial), advice, trial) | {"tried": case.tried}
    trial = case.trial("accuracy") or case.trial("premium")
    advice, told = Advice(pair=case.single), case.told(trial)
    if headroom.nothing or headroom.cheapest_and_best:
        return _verdict("do not route", f"{_why_not(headroom)} {told}", advice, trial) | {"tried": case.tried}
    need = None if trial is None else needed(trial.apart, recorded.domains)
    if trial is not None and need is not None and trial.gain.ci95[1] >= WORTH:
        told += (
            f" That neither shows nor rules out a gain of {points(WORTH)}; about {need.more_queries} more queries "
            f"would. Until then use {case.single}."
        )
        return _verdict("too little data", told, advice, trial, need=need) | {"tried": case.tried}
    return _verdict("do not route", f"{told} {case.instead()}", advice, trial) | {"tried": case.tried}


def needed(apart: NDArray[np.float64], domains: Sequence[str]) -> Need | None:
    """Estimate how many more queries would show a gain of `WORTH`, and in which domains.

    ``n = ((1.96 + 0.84) * sd / WORTH) ** 2``, where sd is the standard deviation of the differences: the number at
    which a 95% interval around a true gain of `WORTH` excludes 0 with a probability of 80%. They are distributed in
    proportion to each domain's number of queries times its own standard deviation (Neyman's allocation).

    Args:
        apart: the router's score minus the single pair's on each query; NaN where not measured.
        domains: domain of each query.

    Returns:
        None when there are enough.
    """
    there = ~np.isnan(apart)
    more = ceil((_POWER * float(apart[there].std()) / WORTH) ** 2) - int(there.sum())
    if more <= 0:
        return None
    names = np.asarray(domains)[there]
    weight = {name: float((names == name).sum() * apart[there][names == name].std()) for name in dict.fromkeys(names)}
    return Need(more_queries=more, where=_shared(weight, more))


def _shared(weight: Mapping[str, float], number: int) -> dict[str, int]:
    """Distribute a number over domains by weight, the largest first."""
    total = sum(weight.values())
    shares = {str(name): round(number * value / total) for name, value in weight.items()} if total > 0 else {}
    return {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share}


def _verdict(
    verdict: str, reason: str, use: Advice, trial: Trial | None = None, need: Need | None = None
) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "reason": reason,
        "use": use,
        "gain": None if trial is None else trial.gain.difference,
        "gain_ci95": None if trial is None else trial.gain.ci95,
        "cost_ratio": None if trial is None else trial.ratio,
        "need": need,
    }


def _why_not(headroom: Headroom) -> str:
    if headroom.nothing:
        return (
            f"Even an oracle would gain only {points(headroom.gain)} over {headroom.pair}, and save little: hardly any "
            "query is answered better, or as well for less, by another pair. Use that pair for everything."
        )
    return f"{headroom.pair} is the most accurate pair and the cheapest in every domain. Use it for everything."


def _dominates(recorded: OutcomeMatrix, column: int) -> bool:
    """Whether in every domain no pair is more accurate than this one, and all others cost more."""
    domains = np.asarray(recorded.domains)
    for domain in dict.fromkeys(recorded.domains):
        rows = domains == domain
        score, cost = _means(recorded.scores[rows]), _means(recorded.costs[rows])
        others = ~np.isnan(score) & (np.arange(len(score)) != column)
        # A comparison with NaN is False: an unknown cost is never known to be higher.
        if not score[column] >= np.nanmax(score) or not (cost[column] < cost[others]).all():
            return False
    return True


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average each column over what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    means: NDArray[np.float64] = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(count > 0, means, np.nan)
