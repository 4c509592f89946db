"""Which runs are worth their dollars: the questions and pairs whose outcomes would tell most about the choice.

A router's choice depends on which pair leads in each group of similar questions. So an outcome is worth something where
it may change who leads: where a pair has little evidence, or where two are close. Its value is the knowledge gradient
(Frazier, Powell and Dayanik 2008): how much better the best pair of a group is expected to be after some more outcomes
of one pair there, times the number of questions in the group. Divided by what the run is expected to cost, it ranks all
runs. Pairs that are clearly behind are soon worth nothing, which eliminates them group by group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.routers.cluster.statistics import ClusterStatistics, natural_strength

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool.pool import Pair

_AHEAD = 16
"""Number of outcomes whose joint effect on the choice is valued; the effect of a single one is mostly nothing."""
_BLOCK = 4
"""Number of questions of a group that a pair is asked at a time."""
_PULLS = (2.0, 20.0)
"""Least and highest number of outcomes that the mean of all pairs counts as in what is believed of one."""
_LEAST_VARIANCE = 0.02
_DRAWS = 1000
_THRIFT = 0.5
"""Power of the cost by which values are divided: 1 buys the cheapest information, 0 ignores costs. At 1, cheap pairs
are asked everything before an expensive one, which may be the best, is asked anything."""


@dataclass(frozen=True)
class Beliefs:
    """What is believed of each pair in each group of questions; arrays have shape [n_groups, n_pairs]."""

    success: NDArray[np.float64]
    """Expected success."""
    count: NDArray[np.float64]
    """Number of outcomes with a score."""
    overall: NDArray[np.float64]
    """Number of each pair's outcomes with a score in all groups, shape [n_pairs]."""
    strength: float
    """Number of outcomes that a pair's overall record counts as in a group."""
    pull: float
    """Number of outcomes that the mean of all pairs counts as in a pair's overall record."""

    def variance(self, count: NDArray[np.float64], overall: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance of the expected success given numbers of outcomes, in the shape of `count`."""
        spread = np.maximum(self.success * (1 - self.success), _LEAST_VARIANCE)
        borrowed = self.strength / (count + self.strength)
        variance: NDArray[np.float64] = spread / (count + self.strength + 1) + borrowed**2 * spread / (
            overall + self.pull
        )
        return variance

    def leading(self) -> NDArray[np.float64]:
        """Return the probability that each pair is the best of its group, from draws of the normal distribution."""
        spread = np.sqrt(self.variance(self.count, self.overall))
        draws = np.random.default_rng(0).normal(size=(_DRAWS, *self.success.shape))
        best = (self.success + spread * draws).argmax(axis=2)
        share = np.stack([(best == column).mean(axis=0) for column in range(self.success.shape[1])], axis=1)
        return np.asarray(share, dtype=np.float64)


class RunChooser:
    """Chooses the next runs, given the outcomes so far.

    Args:
        pairs: the pairs, in the order of the columns.
        groups: group of each question, numbered from 0, shape [n_questions].
        costs: expected dollars of a run of each pair, shape [n_pairs]; NaN where unknown, which counts as the most
            expensive.
        n_open: number of questions, from the first, that can be asked; outcomes of the others are only evidence. By
            default all.
        seed: seed of the order in which a group's questions are asked. All pairs are asked in the same order, so that
            they are compared on the same questions.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        groups: NDArray[np.int64],
        costs: NDArray[np.float64],
        *,
        n_open: int | None = None,
        seed: int = 0,
    ) -> None:
        self.pairs, self.groups = tuple(pairs), groups
        self.n_groups = int(groups.max(initial=0)) + 1
        n_open = len(groups) if n_open is None else n_open
        shuffled = np.random.default_rng(seed).permutation(n_open)
        self._order = [shuffled[groups[shuffled] == group] for group in range(self.n_groups)]
        self._sizes = np.array([len(rows) for rows in self._order], dtype=np.float64)
        self.set_costs(costs)

    def set_costs(self, costs: NDArray[np.float64]) -> None:
        """Replace the expected dollars of a run of each pair; see the class."""
        known = np.where(np.isnan(costs), np.nanmax(costs) if (~np.isnan(costs)).any() else 1.0, costs)
        top = float(known.max(initial=0.0))
        self._costs = costs
        self._weights = np.maximum(known / top if top > 0 else np.ones_like(known), 1e-4) ** _THRIFT

    def beliefs(self, scores: NDArray[np.float64]) -> Beliefs:
        """Return what the outcomes so far say; see `choose`."""
        unknown = np.full_like(scores, np.nan)
        matrix = OutcomeMatrix(self.pairs, ("",) * len(scores), scores, unknown, unknown)
        sums = ClusterStatistics.of(matrix, self.groups, self.n_groups)
        strength = natural_strength(sums, [self.n_groups])
        count, total = sums.count.sum(axis=0), sums.success.sum(axis=0)
        mean = float(total.sum() / max(float(count.sum()), 1.0)) if count.any() else 0.5
        pull = _pull(count, total, mean)
        overall = (total + pull * mean) / (count + pull)
        ease = (sums.success - sums.count * overall).sum(axis=1) / (sums.count.sum(axis=1) + strength)
        prior = np.clip(overall + ease[:, None], 0.0, 1.0)
        success = (sums.success + strength * prior) / (sums.count + strength)
        return Beliefs(success, sums.count, count, strength, pull)

    def choose(
        self,
        scores: NDArray[np.float64],
        recorded: NDArray[np.bool_],
        n_runs: int,
        limit_usd: float | None = None,
    ) -> list[tuple[int, int]]:
        """Return the most telling runs that are left, as rows and columns, in the order in which to run them.

        Args:
            scores: the outcomes so far, shape [n_questions, n_pairs]; NaN where there is none.
            recorded: where a run is not needed, same shape.
            n_runs: number of runs; fewer are returned if fewer are left.
            limit_usd: expected dollars of all of them together; runs of unknown cost count as free.
        """
        believed = self.beliefs(scores)
        count, overall = believed.count.copy(), believed.overall.copy()
        open_ = ~recorded
        waiting = [[list(rows[open_[rows, column]][::-1]) for column in range(len(self.pairs))] for rows in self._order]
        left = np.array([[len(rows) for rows in group] for group in waiting])
        value = self._value(believed, count, overall, left)
        money = np.inf if limit_usd is None else limit_usd
        price = np.nan_to_num(self._costs)
        chosen: list[tuple[int, int]] = []
        while len(chosen) < n_runs and left.any():
            group, column = divmod(int(np.argmax(value)), len(self.pairs))
            rows = waiting[group][column]
            taken = [rows.pop() for _ in range(min(_BLOCK, len(rows), n_runs - len(chosen)))]
            if price[column] > 0:
                taken = taken[: int(max(money, 0.0) // price[column])] if np.isfinite(money) else taken
            money -= len(taken) * price[column]
            chosen.extend((int(row), column) for row in taken)
            count[group, column] += len(taken)
            overall[column] += len(taken)
            left[group, column] -= len(taken)
            if not taken:
                left[:, column] = 0  # no money is left for this pair
            value[:, column] = self._value(believed, count, overall, left)[:, column]
        return chosen

    def _value(
        self,
        believed: Beliefs,
        count: NDArray[np.float64],
        overall: NDArray[np.float64],
        left: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return what one more outcome of each cell is worth for its cost; -1 where nothing is left to run."""
        ahead = np.clip(left, 1, _AHEAD)
        change = np.sqrt(
            np.maximum(believed.variance(count, overall) - believed.variance(count + ahead, overall + ahead), 1e-12)
        )
        gap = -np.abs(believed.success - _best_other(believed.success)) / change
        gain = self._sizes[:, None] * change * _expected_excess(gap) / ahead
        return np.where(left > 0, gain / self._weights, -1.0)


def _pull(count: NDArray[np.float64], total: NDArray[np.float64], mean: float) -> float:
    """Return how many outcomes the mean of all pairs is worth for one of them: few where pairs differ widely."""
    seen = count > 1
    if seen.sum() < 2:  # noqa: PLR2004
        return _PULLS[0]
    apart = float(np.mean((total[seen] / count[seen] - mean) ** 2))
    luck = mean * (1 - mean)
    between = apart - luck * float(np.mean(1 / count[seen]))
    return float(np.clip(luck / max(between, 1e-9), *_PULLS))


def _best_other(success: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the highest value of the other columns, same shape."""
    if success.shape[1] < 2:  # noqa: PLR2004
        return np.zeros_like(success)
    ranked = np.sort(success, axis=1)
    return np.where(success == ranked[:, -1:], ranked[:, -2:-1], ranked[:, -1:])


def _expected_excess(gap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return E[max(gap + Z, 0)] for a standard normal Z."""
    from scipy.special import ndtr

    density = np.exp(-(gap**2) / 2) / np.sqrt(2 * np.pi)
    excess: NDArray[np.float64] = gap * ndtr(gap) + density
    return excess
