"""Routers on held-out queries, for three goals: the basis of the verdict of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from langchain_atlas.evaluation.replay.bootstrap import Difference, paired_difference
from langchain_atlas.evaluation.settings.crossfit import N_FOLDS, HeldOutResults, single_orders
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.evaluation.settings.crossfit import Crossfit, TriedRouter
    from langchain_atlas.outcomes import OutcomeMatrix

Goal = Literal["accuracy", "thrift", "premium"]

GOALS: tuple[Goal, ...] = ("accuracy", "thrift", "premium")
"""What a router may gain: more accurate at no more cost; as accurate for less; more accurate for more."""

SAVING = 0.7
"""A router that is only as accurate must cost at most this fraction of the single pair's cost."""
WORTH = 0.02
"""A gain in accuracy that is worth more cost, and that too little data must not hide, 0 to 1."""

_N_BOOTSTRAP = 2000
_NORMAL = 1.96


class Tried(Record):
    """A router on held-out queries, compared with the best single pair chosen on the other parts."""

    router: str
    """Kind of router."""
    value_usd: float
    """Dollars that a right answer is worth, at its setting."""
    accuracy: float
    """Mean score, 0 to 1."""
    cost_usd_per_1k: float | None
    """Dollars per 1000 queries; None when unknown."""
    gain: float
    """Accuracy minus that of the best single pair, -1 to 1."""
    cost_ratio: float | None
    """Cost divided by that of the best single pair; None when unknown."""


@dataclass(frozen=True)
class Trial:
    """The router that is best for one goal, on held-out queries."""

    goal: Goal
    """The goal that it was chosen for."""
    setting: TriedRouter
    """The setting chosen on all queries."""
    gain: Difference
    """Accuracy minus that of the best single pair. On each part, the router is the one chosen on the other parts."""
    ratio: float | None
    """Cost divided by that of the single pair that it must undercut; None when unknown."""
    apart: NDArray[np.float64]
    """Score minus that of the best single pair, shape [n_queries]."""

    def passed(self, margin: float) -> bool:
        """Whether it reaches its goal with statistical confidence."""
        low = self.gain.ci95[0]
        if self.goal == "accuracy":
            return low > 0 and (self.ratio is None or self.ratio <= 1)
        if self.goal == "thrift":
            return low >= -margin and self.ratio is not None and self.ratio <= SAVING
        return low > 0 and self.gain.difference >= WORTH


@dataclass(frozen=True)
class Case:
    """The evidence for and against routing."""

    crossed: Crossfit
    """The held-out results."""
    single: str
    """The single pair to use instead of a router."""
    frugal: bool
    """Whether a cheaper pair is as accurate as the best within the margin, and is therefore the one to undercut."""
    margin: float
    """Accuracy that may be given up to save cost, 0 to 1."""
    seed: int
    """Seed of the resampling."""

    @classmethod
    def of(cls, crossed: Crossfit, recorded: OutcomeMatrix, *, margin: float, seed: int) -> Self:
        """Choose the single pair that a router must beat."""
        apart = paired_difference(crossed.thrifty.score, crossed.best.score, n_bootstrap=_N_BOOTSTRAP, seed=seed)
        ratio = ratio_of(crossed.thrifty.cost, crossed.best.cost)
        frugal = apart.ci95[0] >= -margin and ratio is not None and ratio < 1
        order, thrifty = single_orders(recorded, margin)
        single = str(recorded.pairs[thrifty if frugal else order[0]])
        return cls(crossed=crossed, single=single, frugal=frugal, margin=margin, seed=seed)

    def trial(self, goal: Goal) -> Trial | None:
        """Return the result of the best router for a goal where it was not chosen; None if none is eligible."""
        setting = self._pick(goal, np.ones(len(self.crossed.fold), dtype=bool))
        if setting is None:
            return None
        score, cost = np.full((2, len(self.crossed.fold)), np.nan)
        for part in range(N_FOLDS):
            held = self.crossed.fold == part
            chosen = self._pick(goal, ~held)
            if chosen is None:
                return None
            score[held] = self.crossed.routers[chosen].score[held]
            cost[held] = self.crossed.routers[chosen].cost[held]
        return Trial(
            goal=goal,
            setting=setting,
            gain=paired_difference(score, self.crossed.best.score, n_bootstrap=_N_BOOTSTRAP, seed=self.seed),
            ratio=ratio_of(cost, self._rival(goal).cost),
            apart=score - self.crossed.best.score,
        )

    def _rival(self, goal: Goal) -> HeldOutResults:
        return self.crossed.thrifty if goal == "thrift" and self.frugal else self.crossed.best

    def _pick(self, goal: Goal, rows: NDArray[np.bool_]) -> TriedRouter | None:
        """Choose a router for a goal by its results on some queries."""
        known: dict[TriedRouter, tuple[float, float, float | None]] = {}
        for setting, held in self.crossed.routers.items():
            apart = held.score[rows] - self.crossed.best.score[rows]
            apart = apart[~np.isnan(apart)]
            low = apart.mean() - _NORMAL * apart.std() / np.sqrt(len(apart))
            known[setting] = float(apart.mean()), float(low), ratio_of(held.cost[rows], self._rival(goal).cost[rows])
        most = {"accuracy": 1.0, "thrift": SAVING, "premium": np.inf}[goal]
        eligible = [
            setting
            for setting, (_, _, ratio) in known.items()
            if (ratio is None and goal != "thrift") or (ratio is not None and ratio <= most)
        ]
        sure = [setting for setting in eligible if known[setting][1] >= -self.margin] if goal == "thrift" else []
        if sure:
            return min(sure, key=lambda setting: (known[setting][2], -known[setting][0]))
        return max(eligible, key=lambda setting: known[setting][0], default=None)

    @property
    def tried(self) -> tuple[Tried, ...]:
        """Every router that was tried, most accurate first."""
        best = self.crossed.best
        found = []
        for setting, held in self.crossed.routers.items():
            cost = held.cost[~np.isnan(held.cost)]
            found.append(
                Tried(
                    router=setting.router,
                    value_usd=setting.value_usd,
                    accuracy=float(np.nanmean(held.score)),
                    cost_usd_per_1k=1000 * float(cost.mean()) if cost.size else None,
                    gain=float(np.nanmean(held.score - best.score)),
                    cost_ratio=ratio_of(held.cost, best.cost),
                )
            )
        return tuple(sorted(found, key=lambda entry: -entry.accuracy))

    def why(self, trial: Trial) -> str:
        """Explain why to route."""
        told = f"A {trial.setting.router} router that takes a right answer to be worth ${trial.setting.value_usd:.3g}"
        paid = "" if trial.ratio is None else f" at {_share(trial.ratio)} of the cost"
        beaten = "the best single pair, chosen without the queries it is judged on"
        if trial.goal == "accuracy":
            unknown = "" if trial.ratio is not None else " What that costs is unknown."
            return f"{told} is {_change(trial.gain)} more accurate than {beaten},{paid}.{unknown}"
        if trial.goal == "thrift":
            than = f"{self.single}, the cheaper pair that is as accurate" if self.frugal else self.single
            return (
                f"{told} costs {_share(trial.ratio or 0)} of {than}, and is as accurate as {beaten}: the difference is "
                f"{_change(trial.gain)}, so it gives up no more than {points(self.margin)}."
            )
        return (
            f"{told} is {_change(trial.gain)} more accurate than {beaten}. It costs more: "
            f"{_share(trial.ratio or 0)} of that pair's cost. No single pair is as accurate at any price."
        )

    def told(self, trial: Trial | None) -> str:
        """Describe the result of the best router that did not pay."""
        if trial is None:
            return "No router could be tried."
        paid = "." if trial.ratio is None else f", at {_share(trial.ratio)} of the cost."
        text = f"On held-out queries the best router tried ({trial.setting}) differs by {_change(trial.gain)} from the "
        text += f"best single pair{paid}"
        cheap = self.trial("thrift")
        if cheap is not None and cheap.gain.ci95[0] < -self.margin <= cheap.gain.ci95[1] and cheap.ratio is not None:
            text += (
                f" One at {_share(cheap.ratio)} of the cost ({cheap.setting}) differs by {_change(cheap.gain)}: "
                f"whether that is within {points(self.margin)} is open. If you would give up "
                f"{points(-cheap.gain.ci95[0])} for the money, say so with --margin."
            )
        return text

    def instead(self) -> str:
        """Return what to use instead."""
        kind = "It is as accurate as the best and cheaper." if self.frugal else "It is the best single pair."
        return f"Use {self.single} for everything. {kind}"


def ratio_of(cost: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Return the ratio of two costs, where both are known; None if they never are, or if the other is free."""
    both = ~np.isnan(cost) & ~np.isnan(other)
    total = float(other[both].sum())
    return float(cost[both].sum()) / total if total > 0 else None


def points(value: float) -> str:
    """Format a difference of accuracies in points."""
    number = f"{100 * value:.1f}".removesuffix(".0")
    return f"{number} point" if number == "1" else f"{number} points"


def _change(gain: Difference) -> str:
    low, high = gain.ci95
    return f"{100 * gain.difference:+.1f} points (95% interval {100 * low:+.1f} to {100 * high:+.1f})"


def _share(ratio: float) -> str:
    return f"{ratio:.0%}" if ratio < 10 else f"{ratio:.0f} times"  # noqa: PLR2004  # for the eye
