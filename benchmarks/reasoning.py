"""Multi-domain reasoning: 30 pairs of 6 models of 2023, in distribution, elsewhere, and with incomplete records.

Run with: make bench-reasoning
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import reporting
from common import Clock, check, encoder_for, families, listed, load, options, show_checks, write
from selection import STANDARD, within
from study import Sheet, Study, drops

if TYPE_CHECKING:
    from selection import Rule

SEEDS = 3
INCOMPLETE = "StrategyQA"
TRAINING = {"SVAMP, sports, date": ("SVAMP", "sports", "date")}
RULES: dict[str, Rule] = {**STANDARD, "60% of its cost": within(0.6), "30% of its cost": within(0.3)}


def must_show(inside: Sheet, with_gaps: Sheet) -> list[dict[str, Any]]:
    """Compare with what the project set itself."""
    figures = inside.figures()
    checks = []
    for share, allowed in ((0.6, 0.0), (0.3, -0.015)):
        row = figures[f"cluster, {100 * share:.0f}% of its cost"]
        apart, spent = row["versus_best_single"], row["share_of_best_single_cost"]
        what = "at least the best single pair's accuracy" if allowed == 0 else "within 1.5 points of it"
        figure = f"{100 * apart:+.2f} points at {100 * spent:.1f}%"
        checks.append(
            check(f"{what} for at most {share:.0%} of its cost", figure, passed=apart >= allowed and spent <= share)
        )
    said = [note for note in with_gaps.notes if "recorded" in note]
    checks.append(check(f"incomplete records ({INCOMPLETE}) handled and said", f"{len(said)} notes", passed=bool(said)))
    return checks


def main() -> None:
    """Measure, print, and write the figures."""
    asked, clock = options("reasoning", "Routers on multi-domain reasoning.", SEEDS), Clock()
    whole = load("reasoning_pairs.parquet")
    table = whole.select(domains=[domain for domain in dict.fromkeys(whole.domains) if domain != INCOMPLETE])
    with clock.part("encode"):
        routers = families(encoder_for(whole), bert=asked.bert)
    study = Study(routers, RULES, asked.seeds, clock)
    inside, outside = study.in_distribution(table), study.out_of_distribution(table, TRAINING)
    few = {name: routers[name] for name in ("cluster", "knn")}
    with_gaps = Study(few, STANDARD, asked.seeds[:1], clock).in_distribution(whole)
    reporting.show_sheet(f"Reasoning, {len(table.pairs)} pairs, in distribution, seeds {listed(asked.seeds)}", inside)
    dropped = drops(inside, outside)
    reporting.show_drops("Reasoning, out of distribution: fitted on three domains, tested on six others", dropped)
    reporting.keep_drops(asked.out, "reasoning", dropped)
    reporting.show_sheet(f"Reasoning with {INCOMPLETE}, where some pairs were not recorded; one seed", with_gaps)
    checks = must_show(inside, with_gaps)
    show_checks(checks)
    figures = {
        "in_distribution": inside.to_json(),
        "out_of_distribution": {name: sheet.to_json() for name, sheet in outside.items()},
        "drops": dropped,
        "incomplete_records": with_gaps.to_json(),
        "must_show": checks,
        "seeds": asked.seeds,
    }
    write(asked.out, figures, clock)


if __name__ == "__main__":
    main()
