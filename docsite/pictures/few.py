"""How a router as it comes does with few logged queries; from the figures that `make bench-as-it-comes` wrote."""

from __future__ import annotations

import json
from math import log10
from pathlib import Path

import numpy as np
from svg import BLUE, FAINT, RED, Axes, Canvas

FIGURES = Path(__file__).parents[2] / "benchmarks/results/as_it_comes.json"
COLOURS = {"BFCL": BLUE, "reasoning": RED}


def few_queries() -> str:
    """Draw the points to the best single pair against the number of logged queries: mean, and the worst of all draws.

    Raises:
        FileNotFoundError: the benchmark's figures are not there.
    """
    if not FIGURES.is_file():
        raise FileNotFoundError(f"{FIGURES} is not there")
    canvas = Canvas(760, 340, "Points to the best single pair against the number of logged queries")
    axes = Axes(canvas, (1.55, 2.55), (-3.0, 1.0), 60, 34, 676, 238)
    points = {float(step): f"{step:+d}" if step else "0" for step in range(-3, 2)}
    sizes = {log10(size): str(size) for size in (40, 100, 300)}
    axes.draw(sizes, points, "logged queries", "points to their best single pair")
    canvas.line([axes.at(axes.x[0], 0.0), axes.at(axes.x[1], 0.0)], FAINT, 1)
    drawn: dict[str, list[tuple[float, float, float]]] = {}
    for key, rows in json.loads(FIGURES.read_text(encoding="utf-8"))["logs"].items():
        table, size = key.rsplit(" ", 1)
        losses = [row["versus_trained"] for row in rows]
        if table in COLOURS and log10(int(size)) in sizes:
            drawn.setdefault(table, []).append((log10(int(size)), float(np.mean(losses)), min(losses)))
    for number, (table, found) in enumerate(drawn.items()):
        canvas.line([axes.at(x, mean) for x, mean, _ in sorted(found)], COLOURS[table], 2)
        for x, mean, worst in found:
            canvas.dot(*axes.at(x, mean), COLOURS[table], 4)
            canvas.dot(*axes.at(x, worst), COLOURS[table], 4, hollow=True)
        canvas.dot(330 + 200 * number, 16, COLOURS[table], 4)
        canvas.text(342 + 200 * number, 20, f"{table}: mean, worst hollow")
    return canvas.svg()
