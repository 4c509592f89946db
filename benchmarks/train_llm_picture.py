"""Draw the picture of docs/language_model.md: the curves that `train_llm_gpu.py` left, one line a variation."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from common import ROOT

from langchain_atlas.files import write_text

WIDTH, HEIGHT, LEFT, TOP, PANEL = 760, 300, 44, 34, 210
INK, FAINT = "#1f2937", "#d1d5db"
COLOURS = ("#2563eb", "#0d9488", "#b45309", "#9333ea")
PANELS = {
    "score": "right answers",
    "optimal_first": "first call is the cheapest right pair",
    "usd_per_1000": "dollars for 1000",
}


def curves_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the updates of each variation in the folder."""
    found = {}
    for path in sorted(folder.glob("*/curves.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found[path.parent.name] = [line for line in lines if "reward" in line]
    return found


def picture(curves: dict[str, list[dict[str, Any]]]) -> str:
    """Return the picture as SVG: a panel for each figure, smoothed over three updates."""
    shapes = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for number, (field, title) in enumerate(PANELS.items()):
        left, floor = LEFT + number * (PANEL + 32), HEIGHT - 64
        top = 1.0 if field != "usd_per_1000" else max(line[field] for lines in curves.values() for line in lines)
        shapes.append(_text(left, TOP - 14, title))
        shapes.append(f'<path d="M{left} {TOP}V{floor}H{left + PANEL}" fill="none" stroke="{FAINT}"/>')
        for share in (0.0, 0.5, 1.0):
            told = f"${share * top:.0f}" if field == "usd_per_1000" else f"{share:.0%}"
            shapes.append(_text(left - 5, floor - share * (floor - TOP) + 4, told, "end"))
        for colour, lines in zip(COLOURS, curves.values(), strict=False):
            values = [line[field] for line in lines]
            smooth = [
                sum(values[max(0, i - 1) : i + 2]) / len(values[max(0, i - 1) : i + 2]) for i in range(len(values))
            ]
            at = [
                f"{left + i / max(1, len(values) - 1) * PANEL:.1f},{floor - value / top * (floor - TOP):.1f}"
                for i, value in enumerate(smooth)
            ]
            shapes.append(f'<polyline points="{" ".join(at)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        shapes.append(_text(left + PANEL / 2, floor + 18, "updates of 128 episodes", "middle"))
    for number, (colour, name) in enumerate(zip(COLOURS, curves, strict=False)):
        x = LEFT + number * 180
        shapes.append(f'<path d="M{x} {HEIGHT - 16}h18" stroke="{colour}" stroke-width="3"/>')
        shapes.append(_text(x + 24, HEIGHT - 12, name.replace("-", " ")))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">'
    )
    return "\n".join([head, *shapes, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{text}</text>'


def main() -> None:
    """Draw what a folder of runs holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder `work/of` that train_llm_gpu.py wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "train_llm.svg")
    asked = parser.parse_args()
    write_text(asked.out, picture(curves_of(asked.folder)))


if __name__ == "__main__":
    main()
