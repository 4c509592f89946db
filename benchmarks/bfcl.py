"""Function calling (BFCL): 38 pairs of 17 models, in distribution and on domains that no router was fitted on.

Run with: make bench-bfcl
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import reporting
from common import Clock, check, encoder_for, families, listed, load, options, show_checks, write
from selection import STANDARD, near, within
from study import TRAINED, Sheet, Study, drops

if TYPE_CHECKING:
    from langchain_atlas.outcomes import OutcomeTable

MAIN_POOL = (
    "gpt-",
    "claude-3",
    "mistral-large-2407",
    "mistral-small-2402",
    "open-mistral-nemo-2407",
    "open-mixtral-8x22b",
    "command-r-plus",
)
"""What the names of the main pool's models begin with."""

TRIOS = {
    "A": ("simple", "relevance", "parallel_function"),
    "B": ("multiple_function", "java", "executable_parallel_function"),
    "C": ("parallel_multiple_function", "executable_simple", "relevance"),
}
CONSTANTS = {"gpt-4o-mini, prompt, always": "gpt-4o-mini-2024-07-18@@prompt"}
SHARE = 0.25
LOSS = 0.01
"""Share of the best single pair's cost, and accuracy that may be lost to it, in what the project set itself."""
AFFORDABLE = f"{SHARE:.0%} of its cost"
CLOSE = "within a point"
SEEDS = 8
"""Splits in distribution: one test part has 306 queries, and an interval of three points either way."""
SEEDS_ELSEWHERE = 3
_BASELINES = ("cluster (paper)", "knn", "linear", "mlp", "mf", "routerdc", "bert")


def main_pool(table: OutcomeTable) -> OutcomeTable:
    """Keep the pairs of the main pool."""
    return table.select(pairs=[pair for pair in table.pairs if pair.model.startswith(MAIN_POOL)])


def must_show(inside: Sheet) -> list[dict[str, Any]]:
    """Compare with what the project set itself."""
    rows = inside.figures()
    default, close = rows["cluster, default"], rows[f"cluster, {CLOSE}"]
    quarter, trained = rows[f"cluster, {AFFORDABLE}"], rows[TRAINED]
    aiq = {name: entry["mean"] for name, entry in inside.to_json()["aiq"].items()}
    rival = max((name for name in _BASELINES if name in aiq), key=aiq.__getitem__)
    # Hindsight may pick a dear pair that is best by a hair; the pair to pick beforehand is the stricter bar.
    part = quarter["cost_usd_per_1k"] / trained["cost_usd_per_1k"]
    return [
        _near("within 1.0 point of the best single pair, for at most 25% of its cost (cluster, default)", default),
        _near(f"the same (cluster, {CLOSE})", close),
        _near(f"the same (cluster, {AFFORDABLE}); {part:.0%} of what the training part's best pair costs", quarter),
        check(
            "AIQ above every baseline that routes once",
            f"{100 * aiq['cluster']:.2f}; the best of them, {rival}, {100 * aiq[rival]:.2f}",
            passed=aiq["cluster"] > aiq[rival],
        ),
    ]


def _near(what: str, row: dict[str, Any]) -> dict[str, Any]:
    apart, share = row["versus_best_single"], row["share_of_best_single_cost"]
    return check(what, f"{100 * apart:+.2f} points at {share:.1%}", passed=apart >= -LOSS and share <= SHARE)


def main() -> None:
    """Measure, print, and write the figures."""
    asked, clock = options("bfcl", "Routers on the Berkeley Function Calling Leaderboard, main pool.", SEEDS), Clock()
    table = main_pool(load("bfcl_pairs.parquet"))
    with clock.part("encode"):
        routers = families(encoder_for(table), bert=asked.bert)
    rules = {**STANDARD, CLOSE: near(LOSS), AFFORDABLE: within(SHARE)}
    inside = Study(routers, rules, asked.seeds, clock, CONSTANTS).in_distribution(table)
    elsewhere = Study(routers, rules, asked.seeds[:SEEDS_ELSEWHERE], clock, CONSTANTS)
    outside = elsewhere.out_of_distribution(table, TRIOS)
    reporting.show_sheet(f"BFCL, {len(table.pairs)} pairs, in distribution, seeds {listed(asked.seeds)}", inside)
    dropped = drops(inside, outside)
    reporting.show_drops("BFCL, out of distribution: fitted on three domains, tested on nine others", dropped)
    reporting.keep_drops(asked.out, "bfcl", dropped)
    checks = must_show(inside)
    show_checks(checks)
    figures = {
        "in_distribution": inside.to_json(),
        "out_of_distribution": {name: sheet.to_json() for name, sheet in outside.items()},
        "drops": dropped,
        "must_show": checks,
        "seeds": asked.seeds,
    }
    write(asked.out, figures, clock)


if __name__ == "__main__":
    main()
