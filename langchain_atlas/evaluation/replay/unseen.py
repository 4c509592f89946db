"""Figures of queries that a router was not fitted on, in place of a replay on those that it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.evaluation.replay.bootstrap import Difference
from langchain_atlas.evaluation.settings.words import held_out_of
from langchain_atlas.routers.saved.fingerprints import fingerprints

if TYPE_CHECKING:
    from langchain_atlas.evaluation.replay.results import Result
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.held_out import HeldOutFigures

MOST = 0.9
"""Share of a table's queries that a router was fitted on, and share of those that it was fitted on that are in the
table, from which on the table is the one that it was fitted on."""


def unseen_figures(router: Router, table: OutcomeTable) -> HeldOutFigures | None:
    """Return what a router did on queries kept aside when it was fitted, if it was fitted on this very table.

    None if it was fitted on other queries, if nothing was kept aside, or if it has another setting by now.
    """
    held = held_out_of(router)
    if held is None or router.fitted_on is None:
        return None
    known = int(np.isin(fingerprints(table.queries), router.fitted_on).sum())
    return held if known >= MOST * max(len(table.query_ids), len(router.fitted_on)) else None


def as_unseen(result: Result, held: HeldOutFigures) -> Result:
    """Return a router's results with the figures of queries kept aside in place of those of a replay.

    Which pairs it asks, and how long that takes, are those of the saved router; figures that were not measured on
    queries kept aside are None.
    """
    rival = held.hindsight_single
    return result.replace(
        accuracy=held.accuracy,
        accuracy_ci95=held.accuracy_ci95,
        cost_usd_per_1k=held.cost_usd_per_1k,
        cost_usd_per_1k_least=None if held.cost_usd_per_1k is None else held.cost_usd_per_1k * held.cost_known,
        per_domain={name: held.per_domain.get(name) for name in result.per_domain},
        regret=max(result.accuracy + result.regret - held.accuracy, 0.0),
        arena_score=None,
        optimal_selection=None,
        optimal_cost=None,
        optimal_accuracy=None,
        versus_best_single=Difference(difference=rival.gain, ci95=rival.gain_ci95, n_queries=held.n_queries),
        versus_mix=None,
    )


def unseen_note(name: str, held: HeldOutFigures, replayed: float) -> str:
    """Say that a router's figures are of queries kept aside, and what a replay would have said."""
    how = "each was kept aside once" if held.how == "cross-fitted" else f"of {held.n_queries} that were kept aside"
    return (
        f"Router {name!r} was fitted on these queries, so its accuracy, cost and differences are those of queries that "
        f"it was not fitted on ({how}); a replay would flatter it: {100 * replayed:.1f}%."
    )
