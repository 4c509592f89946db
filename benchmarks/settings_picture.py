"""Draw the picture of docs/settings.md: a measured frontier, and what each knob picks on it."""

from __future__ import annotations

import argparse
import sys
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING

from common import ROOT, encoder_for, load, split

from langchain_atlas.evaluation.settings.crossvalidation import measure_router
from langchain_atlas.files import write_text
from langchain_atlas.routers.cluster.router import ClusterRouter

if TYPE_CHECKING:
    from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 380, 60, 24, 24, 56
INK, LINE, MARK = "#1f2937", "#2563eb", "#b45309"
TICKS = (0.1, 0.2, 0.5, 1.0, 2.0)


def picture(curve: OperatingCurve) -> str:
    """Return the picture as SVG."""
    points = [point for point in curve.points[:-1] if point.cost_usd_per_1k]
    costs = [point.cost_usd_per_1k or 1.0 for point in curve.points]
    low, high = log10(min(costs)) - 0.05, log10(max(costs)) + 0.1
    least, most = (100 * pick(point.accuracy for point in curve.points) for pick in (min, max))

    def place(point: OperatingPoint) -> tuple[float, float]:
        across = (log10(point.cost_usd_per_1k or 1.0) - low) / (high - low)
        up = (100 * point.accuracy - least + 0.5) / (most - least + 1.5)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    shapes = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    floor = HEIGHT - BOTTOM
    shapes.append(f'<path d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}" fill="none" stroke="{INK}"/>')
    for tick in TICKS:
        at = LEFT + (log10(tick) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        if LEFT <= at <= WIDTH - RIGHT:
            shapes += [f'<path d="M{at:.1f} {floor}v5" stroke="{INK}"/>', _text(at, floor + 20, f"${tick:g}", "middle")]
    for percent in range(int(least), int(most) + 1):
        at = floor - (percent - least + 0.5) / (most - least + 1.5) * (HEIGHT - TOP - BOTTOM)
        if TOP <= at <= floor:
            shapes += [f'<path d="M{LEFT} {at:.1f}h-5" stroke="{INK}"/>', _text(LEFT - 9, at + 4, f"{percent}%", "end")]
    shapes.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "dollars for 1000 queries", "middle"))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, points))
    shapes.append(f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    named = [
        ("chosen by fit", curve.choice, -14),
        ("one pair always", curve.single, 22),
        ("target=1.0", curve.within(1.0), 22),
        ("budget=0.2", curve.affordable(0.2), 22),
    ]
    for name, point, shift in named:
        x, y = place(point)
        shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{MARK}"/>')
        anchor = "end" if x > WIDTH - 130 else "middle"
        shapes.append(_text(x, y + shift, name, anchor, MARK))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    return "\n".join([head, *shapes, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str, colour: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


def main() -> None:
    """Measure BFCL's first split, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "settings.svg")
    asked = parser.parse_args()
    training, _ = split(load("bfcl_pairs.parquet"), 0)
    curve = measure_router(ClusterRouter(encoder_for(training)), training, seed=0)
    if curve is None:
        sys.exit("There are too few queries to measure anything.")
    write_text(asked.out, picture(curve))


if __name__ == "__main__":
    main()
