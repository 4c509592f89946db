"""Pictures of measured outcomes: BFCL's function calls, answered by 71 pairs, from the shared data folder."""

from __future__ import annotations

from functools import cache
from math import log10
from pathlib import Path

import numpy as np
from svg import BLUE, FAINT, RED, Axes, Canvas

from langchain_atlas import ClusterRouter, OutcomeTable, ReplayExecutor, Router
from langchain_atlas.encoders import SentenceTransformerEncoder
from langchain_atlas.evaluation.replay.runs import run_router

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared/data/bfcl_pairs.parquet"
TRAINING = 0.7
VALUES = (0.00005, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 2.0)
"""Dollars that a right answer is worth, of the points of the frontier."""
TICKS = {-1.0: "$0.1", 0.0: "$1", 1.0: "$10"}


@cache
def parts() -> tuple[OutcomeTable, OutcomeTable]:
    """Return the outcomes to fit on, and those to test on.

    Raises:
        FileNotFoundError: the shared data folder is not there.
    """
    if not DATA.is_file():
        raise FileNotFoundError(f"{DATA} is not there")
    table = OutcomeTable.load(DATA)
    names = np.array(table.query_ids)[np.random.default_rng(0).permutation(len(table.query_ids))]
    cut = round(TRAINING * len(names))
    return table.select(query_ids=names[:cut].tolist()), table.select(query_ids=names[cut:].tolist())


@cache
def encoder() -> SentenceTransformerEncoder:
    """Return one encoder for all, which remembers what it sees."""
    return SentenceTransformerEncoder(cache_size=10**6)


def measured(router: Router, test: OutcomeTable) -> tuple[float, float]:
    """Return dollars for 1000 queries, and the share of right answers, of a router on recorded outcomes."""
    runs = run_router(router, ReplayExecutor(test))
    return 1000 * float(np.nanmean(runs.cost)), float(np.nanmean(runs.score))


def frontier() -> str:
    """Draw accuracy against cost: every pair alone, and the cluster router at several settings."""
    training, test = parts()
    canvas = Canvas(760, 420, "Right answers against dollars for 1000 queries")
    axes = Axes(canvas, (-1.3, 1.45), (0.70, 0.94), 60, 34, 676, 318)
    percents = {step / 100: f"{step}%" for step in range(70, 95, 5)}
    axes.draw(
        {log10(0.1): "$0.1", log10(0.5): "$0.5", **TICKS, log10(5): "$5"},
        percents,
        "dollars for 1000 queries",
        "right answers",
    )
    scores, costs = test.matrix(), test.matrix("cost_usd")
    for pair in range(len(test.pairs)):
        dollars, right = 1000 * np.nanmean(costs[:, pair]), np.nanmean(scores[:, pair])
        if right >= axes.y[0] and axes.x[0] < log10(dollars) < axes.x[1]:
            canvas.dot(*axes.at(log10(dollars), right), FAINT, 3.5, hollow=True)
    router = ClusterRouter(encoder(), random_state=0).fit(training)
    _curve(axes, [measured(router.configure(value_usd=value), test) for value in VALUES], BLUE)
    best = int(np.nanargmax(training.matrix().mean(axis=0)))
    at = axes.at(log10(1000 * np.nanmean(costs[:, best])), np.nanmean(scores[:, best]))
    canvas.dot(*at, RED, 5)
    canvas.text(at[0] + 9, at[1] - 10, "the best single pair", RED)
    for x, name, colour in ((330, "one pair for everything", FAINT), (540, "a router, by its setting", BLUE)):
        canvas.dot(x, 16, colour, 4, hollow=colour == FAINT)
        canvas.text(x + 12, 20, name)
    return canvas.svg()


def _curve(axes: Axes, points: list[tuple[float, float]], colour: str) -> None:
    places = [axes.at(log10(dollars), right) for dollars, right in sorted(points) if right >= axes.y[0]]
    axes.canvas.line(places, colour, 2)
    for place in places:
        axes.canvas.dot(*place, colour, 3.5)
