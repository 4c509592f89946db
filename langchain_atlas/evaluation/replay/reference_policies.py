"""Policies that need no router: single pairs, random choice, and the oracle, computed from the recorded outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.evaluation.replay.frontier import Mix, mix_at
from langchain_atlas.evaluation.replay.runs import Runs, shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeMatrix

COVERAGE = 0.9
"""Fraction of the best-covered pair's queries that a pair must be recorded on to be compared as a single pair."""


FILL_COVERAGE = 0.5
"""Fraction of the queries that a pair must be recorded on to be filled in by another: see `filled_pair`."""


@dataclass(frozen=True)
class SinglePairs:
    """Every pair, answering every query; arrays have shape [n_pairs]."""

    accuracy: NDArray[np.float64]
    """Mean score over the queries that the pair is recorded on; NaN when there are none."""
    cost: NDArray[np.float64]
    """Mean dollars over the calls with a known cost; NaN when none is known."""
    latency: NDArray[np.float64]
    """Mean seconds over the calls with a known latency; NaN when none is known."""
    coverage: NDArray[np.float64]
    """Share of the queries that the pair is recorded on, 0 to 1."""
    comparable: NDArray[np.bool_]
    """Whether the pair is recorded on enough queries to be compared with others: see `COVERAGE`."""
    priced: NDArray[np.bool_]
    """Whether it is comparable, and the cost of enough of its calls is known."""

    @classmethod
    def of(cls, recorded: OutcomeMatrix) -> SinglePairs:
        """Aggregate the outcomes of each pair.

        A pair that was run on a few easy queries would win by luck. So only pairs count whose coverage is at least
        `COVERAGE` of the highest coverage: 90% of the queries if one pair was run on all of them.
        """
        coverage = (~np.isnan(recorded.scores)).mean(axis=0)
        comparable = (coverage > 0) & (coverage >= COVERAGE * coverage.max())
        with np.errstate(invalid="ignore", divide="ignore"):
            known_cost = (~np.isnan(recorded.costs)).mean(axis=0) / coverage
        return cls(
            accuracy=_column_means(recorded.scores),
            cost=_column_means(recorded.costs),
            latency=_column_means(recorded.latencies),
            coverage=coverage,
            comparable=comparable,
            priced=comparable & (known_cost >= COVERAGE),
        )

    @property
    def best(self) -> int:
        """Column of the comparable pair with the highest accuracy, the cheapest among equals."""
        accuracy = np.where(self.comparable, self.accuracy, -np.inf)
        return int(np.lexsort((_last_if_unknown(self.cost), -accuracy))[0])

    @property
    def cheapest(self) -> int | None:
        """Column of the priced pair with the lowest mean cost, the most accurate among equals; None if none is."""
        if not self.priced.any():
            return None
        cost = np.where(self.priced, self.cost, np.inf)
        return int(np.lexsort((-np.nan_to_num(self.accuracy), cost))[0])

    @property
    def priced_cost(self) -> NDArray[np.float64]:
        """Mean dollars of the priced pairs, NaN for the others, shape [n_pairs]."""
        return np.where(self.priced, self.cost, np.nan)

    def mix(self, cost: float) -> Mix:
        """Return the random mix of two pairs with this cost and the highest accuracy.

        Raises:
            SettingError: no pair is priced.
        """
        return mix_at(self.priced_cost, self.accuracy, cost)


def single_pair(recorded: OutcomeMatrix, column: int) -> Runs:
    """Give every query to one pair; a query on which it is not recorded is left out."""
    score = recorded.scores[:, column]
    there = ~np.isnan(score)
    answered = np.where(there, column, -1)
    return Runs(
        score=score,
        cost=recorded.costs[:, column],
        latency=recorded.latencies[:, column],
        calls=np.where(there, 1.0, np.nan),
        answered=answered,
        answer_share=shares(answered, len(recorded.pairs)),
        call_share=shares(answered, len(recorded.pairs)),
        choices=1,
    )


def filled_pair(recorded: OutcomeMatrix, singles: SinglePairs) -> Runs | None:
    """Give every query to an incomplete pair or, where it is not recorded, to the best single pair.

    The stricter baseline on incomplete records: of the pairs recorded on at least `FILL_COVERAGE` of the queries, the
    one with the highest accuracy when filled in that way; None if none is better than the best single pair alone.
    """
    column, stand_in = singles.best, singles.best
    score = _filled(recorded.scores, column, stand_in)
    for other in np.flatnonzero((singles.coverage >= FILL_COVERAGE) & ~singles.comparable):
        candidate = _filled(recorded.scores, int(other), stand_in)
        if np.nanmean(candidate) > np.nanmean(score):
            column, score = int(other), candidate
    if column == stand_in:
        return None
    there = ~np.isnan(recorded.scores[:, column])
    answered = np.where(there, column, np.where(np.isnan(score), -1, stand_in))
    share = shares(answered, len(recorded.pairs))
    return Runs(
        score=score,
        cost=np.where(there, recorded.costs[:, column], recorded.costs[:, stand_in]),
        latency=np.where(there, recorded.latencies[:, column], recorded.latencies[:, stand_in]),
        calls=np.where(np.isnan(score), np.nan, 1.0),
        answered=answered,
        answer_share=share,
        call_share=share,
        choices=1,
    )


def random_pair(recorded: OutcomeMatrix) -> Runs:
    """Give every query to a pair drawn uniformly from those recorded on it: the exact expectation, nothing is drawn.

    Cost and latency are expectations over the pairs for which they are known.
    """
    there = ~np.isnan(recorded.scores)
    measured = np.asarray(there.any(axis=1))
    odds = there[measured] / there[measured].sum(axis=1, keepdims=True)
    share = odds.mean(axis=0) if measured.any() else np.zeros(len(recorded.pairs))
    return Runs(
        score=_column_means(recorded.scores.T),
        cost=_column_means(recorded.costs.T),
        latency=_column_means(recorded.latencies.T),
        calls=np.where(measured, 1.0, np.nan),
        answered=np.full(len(measured), -1, dtype=np.int64),
        answer_share=share,
        call_share=share,
        choices=len(recorded.pairs),
        drawn=True,
    )


def oracle(recorded: OutcomeMatrix) -> Runs:
    """Give each query to its best pair, the cheapest among equals; a pair of unknown cost comes last among them."""
    score = np.where(np.isnan(recorded.scores), -np.inf, recorded.scores)
    best = score.max(axis=1, keepdims=True)
    column = np.argmin(np.where(score == best, _last_if_unknown(recorded.costs), np.inf), axis=1)
    # if all of the best have an unknown cost, each of them is infinite, and so are the others
    column = np.where(np.take_along_axis(score, column[:, None], 1)[:, 0] < best[:, 0], score.argmax(axis=1), column)
    rows = np.arange(len(column))
    measured = np.isfinite(best[:, 0])
    answered = np.where(measured, column, -1)
    return Runs(
        score=recorded.scores[rows, column],
        cost=recorded.costs[rows, column],
        latency=recorded.latencies[rows, column],
        calls=np.where(measured, 1.0, np.nan),
        answered=answered,
        answer_share=shares(answered, len(recorded.pairs)),
        call_share=shares(answered, len(recorded.pairs)),
        choices=len(recorded.pairs),
    )


def mixed_scores(recorded: OutcomeMatrix, mix: Mix) -> NDArray[np.float64]:
    """Return the expected score of a mix of two pairs on each query, shape [n]; NaN where one is not recorded."""
    if mix.cheap == mix.dear:
        return recorded.scores[:, mix.cheap]
    mixed: NDArray[np.float64] = (
        mix.dear_share * recorded.scores[:, mix.dear] + (1 - mix.dear_share) * recorded.scores[:, mix.cheap]
    )
    return mixed


def _filled(values: NDArray[np.float64], column: int, stand_in: int) -> NDArray[np.float64]:
    return np.where(np.isnan(values[:, column]), values[:, stand_in], values[:, column])


def _column_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return means


def _last_if_unknown(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(values), np.inf, values)
