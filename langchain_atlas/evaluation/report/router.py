"""One router in the report: its figures at every setting, whom it asks, and what that rests on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.evaluation.replay.bootstrap import bootstrap_means, intervals
from langchain_atlas.evaluation.replay.metrics import known_mean
from langchain_atlas.evaluation.report.clusters import asked, clusters_of
from langchain_atlas.evaluation.report.flow import flow
from langchain_atlas.evaluation.report.lead import in_place, of_held_out, when_fitted
from langchain_atlas.evaluation.report.rates import rates_by
from langchain_atlas.evaluation.report.sentences import FORCED, sentence
from langchain_atlas.evaluation.settings.words import told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.evaluation.report.basis import Basis
    from langchain_atlas.evaluation.report.volume import Volume
    from langchain_atlas.evaluation.settings.sweeps import Sweep
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.held_out import HeldOutFigures

N_BOOTSTRAP = 1000
"""Number of resamples behind every interval of a router."""


@dataclass(frozen=True)
class Bar:
    """The best single pair, which a router must beat."""

    figures: dict[str, Any]
    """Its figures."""
    runs: Runs
    """Its results on each query."""


def described(
    name: str,
    swept: Sweep,
    held_out: Sweep,
    table: OutcomeTable,
    bar: Bar,
    *,
    basis: Basis,
    kept: HeldOutFigures | None,
    logged: LoggedOutcomes | None,
    volume: Volume | None,
    forced: float,
    seed: int,
    show_queries: bool,
) -> dict[str, Any]:
    """Describe a router at every setting.

    Args:
        name: the router's name.
        swept: the router itself: whom it asks.
        held_out: the same settings on queries that were not seen, or the same again: accuracy and costs.
        table: the outcomes.
        bar: the best single pair.
        basis: what the figures rest on.
        kept: what the router did on queries that were kept aside when it was fitted on this table; these figures lead.
        logged: the log of one pair a query from which results are estimated; None where they are replayed.
        volume: how many queries come.
        forced: share of the queries on which one pair is recorded.
        seed: seed of the resampling and of the choice of queries.
        show_queries: whether to give the texts of some queries.
    """
    steps = _steps(swept, held_out, table, bar, seed)
    label = label_of(name)
    able = forced <= FORCED or logged is not None
    for number, (step, setting) in enumerate(zip(steps, swept.settings, strict=True)):
        if logged is not None:
            _estimate(step, logged.effective_sample_size(held_out.runs[number].answered))
        version = swept.router.configure(**setting.settings) if setting.settings else swept.router
        step["lead"] = when_fitted(version) if basis.kind == "fitted" and able else None
        if kept is not None and number == swept.start:
            step["lead"] = of_held_out(kept, step, bar.figures)
            step.update(in_place(step, kept))
        step["sentence"] = sentence(label, step, bar.figures, basis, volume=volume, forced=forced)
    fair = basis.kind != "fitted" and able
    return {
        "name": name,
        "label": label,
        "kind": swept.router.kind or type(swept.router).__name__,
        "knob": swept.knob,
        "start": swept.start,
        "setting": next(iter(told(label, swept.router)), None),
        "basis": basis.kind,
        "basis_sentence": basis.sentence,
        "fair": fair,
        "steps": steps,
        "clusters": clusters_of(swept, held_out, bar.runs, table, show_queries=show_queries, seed=seed),
    }


def _estimate(step: dict[str, Any], effective: float) -> None:
    """Mark figures as an estimate; a mean of estimated scores may lie a little outside 0 to 1."""
    step["effective"] = round(effective, 1)
    step["accuracy"] = min(max(step["accuracy"], 0.0), 1.0)
    step["interval"] = [min(max(bound, 0.0), 1.0) for bound in step["interval"]]


def label_of(name: str) -> str:
    """Shorten a router's name to its folder's name and settings; the page does not reveal where the folder is."""
    folder, mark, settings = name.partition("?")
    return (Path(folder).name or folder) + mark + settings


def domain_rates(runs: Runs, table: OutcomeTable) -> list[dict[str, Any] | None]:
    """Describe the rate of right answers of each domain, in order of first appearance."""
    return rates_by(runs.score, _domain_codes(table), len(set(table.domains)))


def _domain_codes(table: OutcomeTable) -> NDArray[np.int64]:
    names = list(dict.fromkeys(table.domains))
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[domain] for domain in table.domains], dtype=np.int64)


def _steps(swept: Sweep, held_out: Sweep, table: OutcomeTable, bar: Bar, seed: int) -> list[dict[str, Any]]:
    score = np.stack([runs.score for runs in held_out.runs], axis=1)
    cost = 1000 * np.stack([runs.cost for runs in held_out.runs], axis=1)
    apart = 1000 * bar.runs.cost[:, None] - cost
    columns = np.hstack([score, score - bar.runs.score[:, None], cost, apart])
    bounds = _bounds(columns, seed)
    n = len(held_out.settings)
    domain = _domain_codes(table)
    return [
        {
            "value": setting.value,
            "label": setting.label,
            "settled": bool(setting.settings.get("always")),
            "interval": bounds[number],
            "gain": known_mean(runs.score - bar.runs.score),
            "gain_interval": bounds[n + number],
            "cost_interval": bounds[2 * n + number],
            "saved": known_mean(apart[:, number]),
            "saved_interval": bounds[3 * n + number],
            "cost_ratio": _ratio(runs, bar.runs),
            **_step(runs),
            "domains": rates_by(runs.score, domain, len(set(table.domains))),
            "asked": asked(itself, domain, len(set(table.domains))),
            "flow": flow(itself),
            "held_out": False,
            "effective": None,
        }
        for number, (setting, runs, itself) in enumerate(zip(held_out.settings, held_out.runs, swept.runs, strict=True))
    ]


def _bounds(columns: NDArray[np.float64], seed: int) -> list[list[float] | None]:
    """Return the interval of each column's mean; None where nothing was measured."""
    known: NDArray[np.bool_] = ~np.all(np.isnan(columns), axis=0)
    found = intervals(bootstrap_means(columns[:, known], n_bootstrap=N_BOOTSTRAP, seed=seed))
    each = iter(found)
    return [list(next(each)) if there else None for there in known.tolist()]


def _step(runs: Runs) -> dict[str, Any]:
    cost = known_mean(runs.cost)
    calls = runs.calls[~np.isnan(runs.calls)].astype(np.int64)
    return {
        "accuracy": known_mean(runs.score),
        "count": int(runs.measured.sum()),
        "cost": None if cost is None else 1000 * cost,
        "cost_known": round(float((~np.isnan(runs.cost)).mean()), 4),
        "latency": known_mean(runs.latency),
        "calls": known_mean(runs.calls),
        "calls_share": (np.bincount(calls) / max(len(calls), 1)).round(4).tolist(),
        "shares": [
            [int(column), round(float(runs.answer_share[column]), 4)] for column in np.flatnonzero(runs.answer_share)
        ],
    }


def _ratio(runs: Runs, bar: Runs) -> float | None:
    both = ~np.isnan(runs.cost) & ~np.isnan(bar.cost)
    total = float(bar.cost[both].sum())
    return float(runs.cost[both].sum()) / total if total > 0 else None
