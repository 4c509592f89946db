"""The tables that several benchmarks print, and the one file on how routers do away from home."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from common import money, points, show

from langchain_atlas.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from study import Sheet

OUTSIDE = "out_of_distribution.json"
"""Where, beside their own figures, the benchmarks leave every router's drop, in one table."""


def show_sheet(title: str, sheet: Sheet, note: str = "") -> None:
    """Print one row a router, and AIQ by family."""
    headings = ("", "right %", "95% interval", "to best single", "95% interval", "$ / 1000", "% of its cost", "alpha")
    rows = []
    for name, row in sheet.figures().items():
        low, high = row["versus_best_single_ci95"]
        share = row["share_of_best_single_cost"]
        rows.append(
            (
                name,
                points(row["accuracy"]),
                f"{points(row['accuracy_ci95'][0])}-{points(row['accuracy_ci95'][1])}",
                f"{100 * row['versus_best_single']:+.1f}",
                f"{100 * low:+.1f}, {100 * high:+.1f}",
                money(row["cost_usd_per_1k"]),
                "" if share is None else f"{100 * share:.0f}",
                _span(row["alpha_per_seed"]),
            )
        )
    show(title, headings, rows, note)
    if sheet.aiq:
        aiq = sorted(sheet.to_json()["aiq"].items(), key=lambda entry: -entry[1]["mean"])
        show(
            "AIQ x 100, from the cheapest pair's cost to the best single pair's",
            ("", "mean", "each seed"),
            [
                (name, f"{100 * it['mean']:.2f}", "  ".join(f"{100 * v:.2f}" for v in it["per_seed"]))
                for name, it in aiq
            ],
        )
    for sentence in sheet.notes:
        print(f"Note: {sentence}")


def _span(alphas: Sequence[float] | None) -> str:
    """Write the settings that were chosen, from the lowest to the highest."""
    if alphas is None:
        return ""
    low, high = min(alphas), max(alphas)
    return f"{low:.2g}" if low == high else f"{low:.2g}-{high:.2g}"


def show_drops(title: str, drops: Mapping[str, Mapping[str, Any]]) -> None:
    """Print every router's drop out of distribution."""
    parts = list(next(iter(drops.values()))["out_of_distribution"])
    headings = ("right %", "in dist.", *parts, "mean", "drop", "to best single: in", "out", "drop ")
    rows = []
    for name, row in drops.items():
        outside = row["versus_best_single_in_distribution"] - row["drop_versus_best_single"]
        rows.append(
            (
                name,
                points(row["in_distribution"]),
                *(points(row["out_of_distribution"][part]) for part in parts),
                points(row["out_of_distribution_mean"]),
                points(row["drop"]),
                f"{100 * row['versus_best_single_in_distribution']:+.1f}",
                f"{100 * outside:+.1f}",
                points(row["drop_versus_best_single"]),
            )
        )
    note = "The drop in accuracy also holds how hard the domains are; the drop against the best single pair does not."
    show(title, headings, rows, note)


def keep_drops(figures: Path, benchmark: str, drops: Mapping[str, Mapping[str, Any]]) -> None:
    """Put a benchmark's drops into the file, beside its figures, that holds those of all benchmarks."""
    file = figures.with_name(OUTSIDE)
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    write_text(file, json.dumps({**known, benchmark: drops}, indent=1, ensure_ascii=False) + "\n")
