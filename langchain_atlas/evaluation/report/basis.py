"""On which queries a report's figures rest: on those that a router has not seen, wherever that is possible."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from langchain_atlas.evaluation.replay.overlap import learned_from
from langchain_atlas.evaluation.settings.crossfit import N_FOLDS, encoded, grouped, near_duplicates, parts
from langchain_atlas.evaluation.settings.crossvalidation import FEWEST_QUERIES
from langchain_atlas.evaluation.settings.sweeps import Sweep, settings_of, sweep
from langchain_atlas.routers.kinds import KINDS
from langchain_atlas.routers.saved.fingerprints import fingerprints
from langchain_atlas.routers.utility.guard import most_accurate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.held_out import HeldOutFigures

Kind = Literal["unseen", "crossfit", "fitted", "unknown"]

_FEW = 0.02
"""Fraction of the queries below which those that a router has seen do not change the figures."""


@dataclass(frozen=True)
class Basis:
    """What a router's figures rest on."""

    kind: Kind
    """``unseen``: queries that it was not fitted on. ``crossfit``: routers fitted like it, each replayed on queries
    that it was not fitted on. ``fitted``: queries that it was fitted on, so that the figures flatter it. ``unknown``:
    it does not say what it was fitted on."""
    sentence: str
    """The same for a reader."""

    @property
    def fair(self) -> bool:
        """Whether the figures are those of queries that were not seen."""
        return self.kind in {"unseen", "crossfit"}


def unseen_part(routers: Mapping[str, Router], table: OutcomeTable) -> tuple[OutcomeTable, int]:
    """Leave out the queries that a router was fitted on, if at least a hundred others are left.

    Returns:
        The table, or a part of it, and the number of queries that were left out.
    """
    marks = fingerprints(table.queries)
    seen = np.zeros(len(marks), dtype=bool)
    for router in routers.values():
        if router.fitted_on is not None:
            seen |= np.isin(marks, router.fitted_on)
    rest = int((~seen).sum())
    if not seen.any() or seen.mean() <= _FEW or rest < FEWEST_QUERIES:
        return table, 0
    kept = [name for name, known in zip(table.query_ids, seen, strict=True) if not known]
    return table.select(query_ids=kept), len(marks) - rest


def basis_of(router: Router, table: OutcomeTable, left_out: int = 0) -> Basis:
    """Say on what a router's figures on a table rest; `left_out` queries were left out before."""
    known = learned_from({"": router}, table)[""]
    n = len(table.query_ids)
    queries = f"{n:,} quer{'ies' if n != 1 else 'y'}"
    if known is None:
        return Basis("unknown", f"Measured on {queries}. The router does not say which queries it was fitted on.")
    if known <= _FEW * n:
        less = f" {left_out:,} others, which a router was fitted on, are left out." if left_out else ""
        return Basis("unseen", f"Measured on {queries} that the router was not fitted on.{less}")
    if _can_be_fitted_again(router) and n >= FEWEST_QUERIES:
        return Basis(
            "crossfit",
            f"Measured on {queries}, none of which the replayed router had seen: {N_FOLDS} routers like this one were "
            f"fitted, each without a part of the queries, and each was replayed on its part (cross-fitting).",
        )
    which = "all of them" if known == n else f"{known:,} of them"
    return Basis(
        "fitted", f"What follows is measured on {queries}. The router was fitted on {which}, so that flatters it."
    )


def led_by(basis: Basis, held: HeldOutFigures) -> Basis:
    """Say that the figures of queries that were kept aside when the router was fitted lead."""
    how = "each of them was kept aside once" if held.how == "cross-fitted" else "a part that was kept aside"
    return replace(
        basis,
        sentence=f"What leads are figures of {held.n_queries:,} queries when the router was fitted on others ({how}). "
        f"Other settings, clusters and domains: {basis.sentence[0].lower()}{basis.sentence[1:]}",
    )


def _can_be_fitted_again(router: Router) -> bool:
    return bool(router.kind in KINDS and KINDS[router.kind].measured)


def held_out_sweep(
    router: Router,
    table: OutcomeTable,
    *,
    logged: LoggedOutcomes | None = None,
    seed: int = 0,
    step: Callable[[int], None] | None = None,
) -> Sweep:
    """Replay routers like this one at every setting, each on the queries that it was not fitted on.

    Near duplicates are kept together. Where the setting is one pair always, each part has the pair that is best on the
    other parts.

    Args:
        router: a fitted router of a kind that `fit` measures; it is not changed.
        table: the outcomes, of at least a hundred queries.
        logged: the log of one pair a query from which results are estimated; None where they are replayed.
        seed: seed of the parts.
        step: called with the number of queries replayed since the last call.
    """
    made: Any = router
    texts = [query.text for query in table.queries]
    groups = grouped(len(texts), near_duplicates(encoded(table, made.encoder)), texts)
    fold, names = parts(groups, seed=seed), np.array(table.query_ids)
    pairs = [pair for pair in table.pairs if pair in set(router.pairs)]
    knob, settings, start = settings_of(router)
    swept, rows = [], []
    for part in np.unique(fold):
        held = np.flatnonzero(fold == part)
        test = table.select(query_ids=names[held].tolist())
        version = _like(made, table.select(query_ids=names[fold != part].tolist(), pairs=pairs))
        log = None if logged is None else logged.part(held, test.pairs)
        swept.append((test, sweep(version, test, step, log, replay=log is None)))
        rows.append(held)
    order = np.argsort(np.concatenate(rows), kind="stable")
    runs = tuple(
        _merged([(test, each.runs[number]) for test, each in swept], order, table) for number in range(len(settings))
    )
    return Sweep(router, knob, tuple(settings), runs, start)


def _like(router: Any, training: OutcomeTable) -> Any:
    """Fit a router with the parameters and settings of another."""
    version = copy.copy(router).fit(training)
    if router.settings.get("always") is None and router.curve is None:
        return version
    single = str(training.pairs[most_accurate(training.matrix("score"))])
    if router.curve is not None:
        points = tuple(point.replace(always=single) if point.always else point for point in router.curve.points)
        version.curve = router.curve.replace(points=points)
    if router.settings.get("always"):
        version.always = single
    return version


def _merged(found: list[tuple[OutcomeTable, Runs]], order: NDArray[np.int64], table: OutcomeTable) -> Runs:
    """Join the runs of the parts, in the order of the table's queries and with its columns."""
    n_pairs = len(table.pairs)
    answered, paths, calls, n_calls = [], [], np.zeros(n_pairs), 0.0
    for part, runs in found:
        number = np.array([*(table.pair_number(pair) for pair in part.pairs), -1])
        answered.append(number[runs.answered])
        paths += [tuple(int(number[column]) for column in path) for path in runs.paths]
        made = float(np.nansum(runs.calls))
        calls[number[:-1]] += runs.call_share * made
        n_calls += made
    columns = np.concatenate(answered)[order]
    stops = [stop for _, runs in found for stop in runs.stops]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(runs, name) for _, runs in found])[order]
        for name in ("score", "cost", "latency", "calls")
    }
    given = np.bincount(columns[columns >= 0], minlength=n_pairs).astype(np.float64)
    return replace(
        found[0][1],
        **joined,
        answered=columns,
        answer_share=given / max(float(given.sum()), 1.0),
        call_share=calls / max(n_calls, 1.0),
        refused=sum(runs.refused for _, runs in found),
        paths=tuple(paths[row] for row in order),
        stops=tuple(stops[row] for row in order),
    )
