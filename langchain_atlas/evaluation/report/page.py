"""The report: one HTML file that opens without a network. Described in ``docs/report.md``."""

from __future__ import annotations

import html
import importlib.util
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.errors import InvalidInputError, MissingExtraError
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.replay.bootstrap import bootstrap_means, intervals
from langchain_atlas.evaluation.replay.frontier import hull_quality
from langchain_atlas.evaluation.replay.metrics import known_mean
from langchain_atlas.evaluation.replay.overlap import learned_from, warnings
from langchain_atlas.evaluation.replay.results import by_domain
from langchain_atlas.evaluation.report.clusters import clusters_of
from langchain_atlas.evaluation.settings.sweeps import settings_of, sweep
from langchain_atlas.evaluation.settings.words import told
from langchain_atlas.progress import Progress, Steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_atlas.evaluation.replay.comparison import Evaluation
    from langchain_atlas.evaluation.replay.results import Result
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.evaluation.settings.sweeps import Sweep
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router

_HULL_POINTS = 160
_N_BOOTSTRAP = 1000


def report(
    routers: Mapping[str, Router],
    table: OutcomeTable,
    *,
    show_queries: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> str:
    """Render routers on a table of outcomes.

    Args:
        routers: the routers, by name; at least one.
        table: the outcomes; if a router was fitted on some of the queries, the page says so.
        show_queries: whether to include the texts of some queries in the file.
        seed: seed of the resampling and of the choice of queries.
        progress: called with how much is done and how much there is.

    Returns:
        A self-contained HTML page.

    Raises:
        InvalidInputError: there is no router.
        MissingExtraError: plotly is not installed.
        PoolError: a router knows none of the table's pairs.
        OutcomeError: no outcome has a score, or no query can be replayed.
    """
    require_plotly()
    return page(figures(routers, table, show_queries=show_queries, seed=seed, progress=progress))


def require_plotly() -> None:
    """Check that the page can be drawn, before anything is computed.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    if importlib.util.find_spec("plotly") is None:
        raise MissingExtraError("The report", "report")


def figures(
    routers: Mapping[str, Router],
    table: OutcomeTable,
    *,
    show_queries: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compute everything that the page shows, as plain JSON values; takes and raises what `report` does."""
    if not routers:
        raise InvalidInputError("A report needs a router; name at least one.")
    step = Steps(sum(len(settings_of(router)[1]) for router in routers.values()) * len(table.query_ids), progress)
    evaluation = evaluate({}, table, seed=seed, n_bootstrap=_N_BOOTSTRAP)
    bar = "best_single_filled" if "best_single_filled" in evaluation.baselines else "best_single"
    domains = list(dict.fromkeys(table.domains))
    drawn = [
        _router(
            name,
            sweep(router, table, step),
            table,
            evaluation.baseline_runs[bar],
            seed=seed,
            show_queries=show_queries,
        )
        for name, router in routers.items()
    ]
    known = [(_label(name), count) for name, count in learned_from(routers, table).items()]
    for entry, each in zip(drawn, known, strict=True):
        entry["n_fitted_on"], entry["warning"] = each[1], next(iter(warnings([each], len(table.query_ids))), None)
    return {
        "source": Path(table.source).name,
        "n_queries": len(table.query_ids),
        "n_outcomes": len(table),
        "domains": domains,
        "domain_sizes": [table.domains.count(name) for name in domains],
        "pairs": [{"name": name, **result.to_json()} for name, result in evaluation.pairs.items()],
        "hull": _hull(evaluation),
        "baselines": {name: _baseline(result) for name, result in evaluation.baselines.items()},
        "bar": bar,
        "routers": drawn,
        "notes": [
            *(line["setting"] for line in drawn if line["setting"]),
            *warnings(known, len(table.query_ids)),
            *evaluation.notes,
        ],
    }


def page(content: dict[str, Any]) -> str:
    """Put the result of `figures` on a page.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    require_plotly()
    from plotly.offline import get_plotlyjs

    folder = files("langchain_atlas.evaluation.report")
    values = {
        "TITLE": html.escape(f"Routing on {content['source']}"),
        "STYLE": (folder / "page.css").read_text(encoding="utf-8"),
        "CONTENT": embedded(content),
        "LIBRARY": get_plotlyjs(),
        "CHARTS": (folder / "charts.js").read_text(encoding="utf-8"),
        "SCRIPT": (folder / "page.js").read_text(encoding="utf-8"),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    # In one pass, so that a value that looks like a placeholder is not replaced.
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: values[match[1]], template)


def embedded(content: Any) -> str:
    """Write JSON that can't close the script element that contains it, whatever its texts are."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hull(evaluation: Evaluation) -> dict[str, list[float]]:
    """Return the line that random mixes of single pairs reach, smooth enough for a logarithmic axis."""
    cost, quality = 1000 * evaluation.singles.priced_cost, evaluation.singles.accuracy
    known = cost[~np.isnan(cost)]
    if not known.size or known.min() <= 0:
        return {"cost": [], "accuracy": []}
    at = np.geomspace(known.min(), known.max(), _HULL_POINTS)
    return {"cost": at.tolist(), "accuracy": hull_quality(cost, quality, at).round(5).tolist()}


def _baseline(result: Result) -> dict[str, Any]:
    return {
        "accuracy": result.accuracy,
        "interval": list(result.accuracy_ci95),
        "cost": result.cost_usd_per_1k,
        "cost_known": result.cost_known,
        "pairs": list(result.pair_share)[:2],
        "domains": list(result.per_domain.values()),
    }


def _router(
    name: str, swept: Sweep, table: OutcomeTable, bar: Runs, *, seed: int, show_queries: bool
) -> dict[str, Any]:
    scores = np.stack([runs.score for runs in swept.runs], axis=1)
    columns = np.hstack([scores, scores - bar.score[:, None]])
    bounds = intervals(bootstrap_means(columns, n_bootstrap=_N_BOOTSTRAP, seed=seed))
    n_steps = len(swept.settings)
    return {
        "name": name,
        "label": _label(name),
        "kind": swept.router.kind or type(swept.router).__name__,
        "knob": swept.knob,
        "start": swept.start,
        "setting": next(iter(told(_label(name), swept.router)), None),
        "steps": [
            {
                "value": setting.value,
                "label": setting.label,
                "interval": list(bounds[number]),
                "gain": known_mean(runs.score - bar.score),
                "gain_interval": list(bounds[n_steps + number]),
                "cost_ratio": _ratio(runs, bar),
                **_step(runs, table),
            }
            for number, (setting, runs) in enumerate(zip(swept.settings, swept.runs, strict=True))
        ],
        "clusters": clusters_of(swept, table, show_queries=show_queries, seed=seed),
    }


def _label(name: str) -> str:
    """Shorten a router's name to its folder's name and settings; the page does not reveal where the folder is."""
    folder, mark, settings = name.partition("?")
    return (Path(folder).name or folder) + mark + settings


def _step(runs: Runs, table: OutcomeTable) -> dict[str, Any]:
    cost = known_mean(runs.cost)
    calls = runs.calls[~np.isnan(runs.calls)].astype(np.int64)
    return {
        "accuracy": known_mean(runs.score),
        "cost": None if cost is None else 1000 * cost,
        "cost_known": round(float((~np.isnan(runs.cost)).mean()), 4),
        "latency": known_mean(runs.latency),
        "calls": known_mean(runs.calls),
        "calls_share": (np.bincount(calls) / max(len(calls), 1)).round(4).tolist(),
        "shares": [
            [int(column), round(float(runs.answer_share[column]), 4)] for column in np.flatnonzero(runs.answer_share)
        ],
        "domains": list(by_domain(runs.score, table.domains).values()),
    }


def _ratio(runs: Runs, bar: Runs) -> float | None:
    both = ~np.isnan(runs.cost) & ~np.isnan(bar.cost)
    total = float(bar.cost[both].sum())
    return float(runs.cost[both].sum()) / total if total > 0 else None
