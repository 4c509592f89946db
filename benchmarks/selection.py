"""How the one fixed setting of a router is chosen: by cross-validation inside the training part alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from common import folds

from langchain_atlas.evaluation.replay.reference_policies import SinglePairs
from langchain_atlas.outcomes import OutcomeMatrix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common import Make
    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.utility.router import UtilityRouter

    Rule = Callable[["Curve", "Bar"], float]
    """Chooses an `alpha`, given the cross-validated curve and the bar."""

DEFAULT_ALPHA = 0.5
"""The setting of a router whose user chose none, and of the paper."""

_NEAR_ZERO = (round(float(value), 4) for value in np.geomspace(0.003, 0.6, 107))
ALPHAS = tuple(sorted((0.0, *_NEAR_ZERO, DEFAULT_ALPHA, 0.65, 0.7, 0.8, 0.9, 1.0)))
"""The settings tried, of every router alike; close together near 0, where most of the accuracy is decided."""

FOLDS = 4
MARGIN = 0.005
"""Accuracy that the frugal setting may give up, as a part of 1; it aims at being as good as the best single pair."""


@dataclass(frozen=True)
class Curve:
    """Accuracy and cost of one router at each of `ALPHAS`."""

    accuracy: NDArray[np.float64]
    """Mean score, shape [n_alphas], 0 to 1."""
    cost: NDArray[np.float64]
    """Dollars for 1000 queries, shape [n_alphas]; NaN where no cost is known."""


@dataclass(frozen=True)
class Bar:
    """The best single pair of a table, in hindsight."""

    pair: str
    """The pair, in its written form."""
    accuracy: float
    """Mean score, 0 to 1."""
    cost: float
    """Dollars for 1000 queries."""

    @classmethod
    def of(cls, table: OutcomeTable) -> Bar:
        """Find it."""
        singles = SinglePairs.of(OutcomeMatrix.of(table).scored())
        best = singles.best
        return cls(str(table.pairs[best]), float(singles.accuracy[best]), 1000 * float(singles.cost[best]))


def replay(router: UtilityRouter, table: OutcomeTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Look up what the router's choices score and cost at each of `ALPHAS`; both of shape [n_alphas, n_queries].

    What a router expects does not depend on `alpha`, so it is asked once a query, and not once for each. `evaluate`, in
    the loop that serves users, gives the same, many times more slowly; every row that is reported comes from there.
    """
    score, cost = table.matrix("score"), 1000 * table.matrix("cost_usd")
    router = router.restrict(table.pairs)
    columns = np.array([table.pair_number(pair) for pair in router.pairs])
    score, cost = score[:, columns], cost[:, columns]
    alphas = np.array(ALPHAS)[:, None]
    chosen = np.zeros((len(ALPHAS), len(score)), dtype=np.int64)
    for row, item in enumerate(router._prepare(table.queries)):  # noqa: SLF001  # the halves of `decide_batch`
        recorded = ~np.isnan(score[row])  # a pair that was not recorded on a query can't be called there
        expected = router._expect(item, recorded)  # noqa: SLF001
        chosen[:, row] = np.where(recorded, router.utility(expected, alphas), -np.inf).argmax(axis=1)  # type: ignore[arg-type]
    rows = np.arange(len(score))
    return score[rows, chosen], cost[rows, chosen]


def curve(router: UtilityRouter, table: OutcomeTable) -> Curve:
    """Measure a fitted router at each of `ALPHAS`."""
    scores, costs = replay(router, table)
    return Curve(scores.mean(axis=1), costs.mean(axis=1))


def cross_validated(make: Make, table: OutcomeTable, seed: int) -> Curve:
    """Measure a router at each of `ALPHAS` on queries of the training part that it was not fitted on."""
    parts = [replay(make(seed).fit(kept), held) for kept, held in folds(table, FOLDS, seed)]
    scores, costs = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    return Curve(scores.mean(axis=1), costs.mean(axis=1))


def near(margin: float) -> Rule:
    """Choose the cheapest setting within a margin of the best single pair, or of its own best where that is less."""

    def choose(measured: Curve, bar: Bar) -> float:
        enough = measured.accuracy >= min(bar.accuracy, measured.accuracy.max()) - margin
        return ALPHAS[int(np.argmin(np.where(enough, measured.cost, np.inf)))]

    return choose


def accurate(measured: Curve, bar: Bar) -> float:
    """Choose the most accurate setting; the cheapest of equals."""
    del bar
    return ALPHAS[int(np.lexsort((measured.cost, -measured.accuracy))[0])]


def within(share: float) -> Rule:
    """Choose the most accurate setting that costs at most a share of what the best single pair does."""

    def choose(measured: Curve, bar: Bar) -> float:
        affordable = measured.cost <= share * bar.cost
        if not affordable.any():
            return ALPHAS[int(np.argmin(measured.cost))]
        return ALPHAS[int(np.argmax(np.where(affordable, measured.accuracy, -np.inf)))]

    return choose


def default(measured: Curve, bar: Bar) -> float:
    """Choose nothing: the setting that a user has who chose none."""
    del measured, bar
    return DEFAULT_ALPHA


STANDARD: Mapping[str, Rule] = {"default": default, "frugal": near(MARGIN), "accurate": accurate}
"""The rules that hold on every data set."""
