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
from langchain_atlas.evaluation.logged.words import estimate_facts
from langchain_atlas.evaluation.replay.benchmark import estimated_from, evaluate
from langchain_atlas.evaluation.replay.frontier import hull_quality
from langchain_atlas.evaluation.replay.overlap import learned_from, warnings
from langchain_atlas.evaluation.replay.unseen import unseen_figures
from langchain_atlas.evaluation.report.basis import basis_of, held_out_sweep, led_by, unseen_part
from langchain_atlas.evaluation.report.judged import judged, note
from langchain_atlas.evaluation.report.router import N_BOOTSTRAP, Bar, described, domain_rates, label_of
from langchain_atlas.evaluation.settings.sweeps import settings_of, sweep
from langchain_atlas.progress import Progress, Steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_atlas.evaluation.replay.comparison import Evaluation
    from langchain_atlas.evaluation.replay.results import Result
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.evaluation.report.volume import Volume
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router

_HULL_POINTS = 160


def report(
    routers: Mapping[str, Router],
    table: OutcomeTable,
    *,
    show_queries: bool = False,
    volume: Volume | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> str:
    """Render routers on a table of outcomes.

    Args:
        routers: the routers, by name; at least one.
        table: the outcomes; where a router was fitted on some of the queries, figures of others lead, see `basis`.
        show_queries: whether to include the texts of some queries in the file.
        volume: how many queries come, for dollars of that time; by default, dollars per 1000 queries.
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
    return page(figures(routers, table, show_queries=show_queries, volume=volume, seed=seed, progress=progress))


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
    volume: Volume | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compute everything that the page shows, as plain JSON values; takes and raises what `report` does."""
    if not routers:
        raise InvalidInputError("A report needs a router; name at least one.")
    table, left_out = unseen_part(routers, table)
    estimate = estimated_from(routers, table) is not None
    evaluation = evaluate({}, table, seed=seed, n_bootstrap=N_BOOTSTRAP, estimate=estimate)
    name_of_bar = "best_single_filled" if "best_single_filled" in evaluation.baselines else "best_single"
    runs = evaluation.baseline_runs[name_of_bar]
    bar = Bar(_baseline(evaluation.baselines[name_of_bar], runs, table), runs)
    forced = _forced(table)
    told: dict[str, Any] = {"volume": volume, "forced": forced, "seed": seed, "show_queries": show_queries}
    told["logged"] = logged = evaluation.logged
    drawn = _routers(routers, table, bar, left_out=left_out, told=told, progress=progress)
    domains = list(dict.fromkeys(table.domains))
    scores = judged(table)
    return {
        "source": Path(table.source).name,
        "n_queries": len(table.query_ids),
        "n_outcomes": len(table),
        "left_out": left_out,
        "forced": forced,
        "estimated": None if logged is None else estimate_facts(logged, {}),
        "volume": None if volume is None else volume.to_json(),
        "domains": domains,
        "domain_sizes": [table.domains.count(name) for name in domains],
        "pairs": _pairs(evaluation),
        "hull": _hull(evaluation),
        "baselines": {
            name: _baseline(result, evaluation.baseline_runs[name], table)
            for name, result in evaluation.baselines.items()
        },
        "bar": name_of_bar,
        "routers": drawn,
        "scores": scores,
        "notes": [
            *(line["setting"] for line in drawn if line["setting"]),
            *dict.fromkeys(entry["warning"] for entry in drawn if entry["warning"]),
            *filter(None, [note(scores)]),
            *evaluation.notes,
        ],
    }


def _routers(
    routers: Mapping[str, Router],
    table: OutcomeTable,
    bar: Bar,
    *,
    left_out: int,
    told: dict[str, Any],
    progress: Progress | None,
) -> list[dict[str, Any]]:
    """Replay and describe every router; where it was fitted on these queries, routers like it are replayed too."""
    bases = {name: basis_of(router, table, left_out) for name, router in routers.items()}
    again = {name: basis.kind == "crossfit" for name, basis in bases.items()}
    kept = {name: unseen_figures(router, table) for name, router in routers.items()}
    replays = sum((1 + again[name]) * len(settings_of(router)[1]) for name, router in routers.items())
    step = Steps(replays * len(table.query_ids), progress)
    known = learned_from(routers, table)
    drawn, logged = [], told["logged"]
    for name, router in routers.items():
        swept = sweep(router, table, step, logged, replay=logged is None)
        fair = held_out_sweep(router, table, logged=logged, seed=told["seed"], step=step) if again[name] else swept
        held = kept[name]
        basis = bases[name] if held is None else led_by(bases[name], held)
        entry = described(name, swept, fair, table, bar, basis=basis, kept=held, **told)
        said = (
            [] if again[name] or held is not None else warnings([(label_of(name), known[name])], len(table.query_ids))
        )
        drawn.append({**entry, "n_fitted_on": known[name], "warning": next(iter(said), None)})
    return drawn


def _pairs(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Describe every single pair, with the number of outcomes behind its rate."""
    counts = (~np.isnan(evaluation.recorded.scores)).sum(axis=0)
    return [
        {"name": name, "count": int(count), **result.to_json()}
        for (name, result), count in zip(evaluation.pairs.items(), counts, strict=True)
    ]


def _forced(table: OutcomeTable) -> float:
    """Return the share of the queries on which one pair is recorded, if there are several; 0 to 1."""
    there = (~np.isnan(table.matrix("score"))).sum(axis=1)
    return 0.0 if len(table.pairs) == 1 else round(float((there[there > 0] == 1).mean()), 4)


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
        "DRAWINGS": (folder / "drawings.js").read_text(encoding="utf-8"),
        "WORDS": (folder / "words.js").read_text(encoding="utf-8"),
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


def _baseline(result: Result, runs: Runs, table: OutcomeTable) -> dict[str, Any]:
    return {
        "accuracy": result.accuracy,
        "interval": list(result.accuracy_ci95),
        "count": result.n_measured,
        "cost": result.cost_usd_per_1k,
        "cost_known": result.cost_known,
        "pairs": list(result.pair_share)[:2],
        "domains": domain_rates(runs, table),
    }
