"""Every router on every table: accuracy at shares of the best single pair's cost, in and out of distribution.

Each table's figures are kept in a file of their own as they come, so that tables can be measured one at a time; then
`docs/leaderboard.md` and its picture are written from all files there are.

To add a router, add an `Entry` to `entries`; to add a table, a `Source` to `SOURCES`. No setting is chosen on a test
part: routers that ask once are cross-validated inside the training part, policies are set on a fifth of it.

Run with: make bench-all (or make bench-agentic, make bench-zeroeval for one table)
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from as_it_comes import fitted
from common import RESULTS, ROOT, Clock, encoder_for, families, load, split, tell
from leaderboard_page import page, picture
from policies import Trainer, sweep
from selection import ALPHAS, Bar, cross_validated, replay, within

from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.replay.bootstrap import bootstrap_means, intervals
from langchain_atlas.evaluation.replay.frontier import average_quality
from langchain_atlas.files import write_text
from langchain_atlas.routers.utility.guard import most_accurate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common import Make
    from numpy.typing import NDArray

    from langchain_atlas.encoders import SentenceTransformerEncoder
    from langchain_atlas.outcomes import OutcomeTable

SHARES = (1.0, 0.6, 0.3, 0.1)
"""Budgets, as parts of what the best single pair of the training part costs."""
TIMED = 200
INSIDE, OUTSIDE = "familiar queries", "unfamiliar kinds"


@dataclass(frozen=True)
class Source:
    """A table of outcomes."""

    name: str
    """Its name on the page."""
    file: str
    """Its file in the shared data folder."""
    without: tuple[str, ...] = ()
    """Domains that are left out."""
    kinds: tuple[tuple[str, ...], ...] = ()
    """Domains to train on for each part out of distribution; the test is on all others."""

    def table(self) -> OutcomeTable:
        """Load it."""
        whole = load(self.file)
        return whole.select(domains=[domain for domain in dict.fromkeys(whole.domains) if domain not in self.without])


SOURCES = (
    Source(
        "BFCL",
        "bfcl_pairs.parquet",
        kinds=(
            ("simple", "relevance", "parallel_function"),
            ("multiple_function", "java", "executable_parallel_function"),
            ("parallel_multiple_function", "executable_simple", "relevance"),
        ),
    ),
    Source("reasoning", "reasoning_pairs.parquet", without=("StrategyQA",), kinds=(("SVAMP", "sports", "date"),)),
    Source("RouterBench", "routerbench.parquet"),
    Source("ZeroEval", "zeroeval.parquet"),
    Source("agentic", "agentic_pairs.parquet"),
)


@dataclass
class Point:
    """What a router does at one setting on a test part; arrays have shape [n_queries]."""

    score: NDArray[np.float64]
    """Score of each query."""
    cost: NDArray[np.float64]
    """Dollars for 1000 queries like each."""
    calls: float = 1.0
    """Mean number of calls of a query."""


@dataclass
class Measured:
    """What a router does on a test part."""

    at: Mapping[float, Point]
    """By share of the best single pair's cost, at the setting that was chosen for it."""
    curve: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Dollars for 1000 queries and accuracy at all settings."""
    decide_ms: float
    """Milliseconds to decide the first step of one of many queries, encoder not included."""


@dataclass(frozen=True)
class Entry:
    """A router that asks one pair a query; a subclass may measure in another way."""

    name: str
    """Its name on the page."""
    make: Make
    """Makes an unfitted router, given a seed."""

    def measure(self, training: OutcomeTable, test: OutcomeTable, seed: int) -> Measured:
        """Choose settings inside the training part, fit on all of it, and look at the test part."""
        inside, bar = cross_validated(self.make, training, seed), Bar.of(training)
        router = self.make(seed).fit(training)
        scores, costs = replay(router, test)
        chosen = {share: ALPHAS.index(within(share)(inside, bar)) for share in SHARES}
        return Measured(
            at={share: Point(scores[row], costs[row]) for share, row in chosen.items()},
            curve=(_mean(costs), _mean(scores)),
            decide_ms=_decide_ms(router, test),
        )


@dataclass(frozen=True)
class PolicyEntry(Entry):
    """A policy that may ask again."""

    encoder: SentenceTransformerEncoder | None = None
    """The shared encoder."""

    def measure(self, training: OutcomeTable, test: OutcomeTable, seed: int) -> Measured:
        """Train on four fifths of the training part, and set the policy on the other."""
        assert self.encoder is not None  # noqa: S101  # `entries` gives it
        router, validated, _ = Trainer(self.encoder, Clock()).fit(training, seed)
        bar, swept = Bar.of(training), sweep(router, test)
        chosen = {share: validated.best_within(share * bar.cost) for share in SHARES}
        return Measured(
            at={
                share: Point(swept.score[row], 1000 * swept.cost[row], float(swept.calls[row]))
                for share, row in chosen.items()
            },
            curve=(1000 * _mean(swept.cost), _mean(swept.score)),
            decide_ms=_decide_ms(router, test),
        )


@dataclass(frozen=True)
class AsItComesEntry(Entry):
    """What `fit` makes if nothing else is said, which sets itself and has one point."""

    encoder: SentenceTransformerEncoder | None = None
    """The shared encoder."""

    def measure(self, training: OutcomeTable, test: OutcomeTable, seed: int) -> Measured:
        """Fit, and look at the test part."""
        assert self.encoder is not None  # noqa: S101  # `entries` gives it
        router = fitted(training, self.encoder, "cluster", seed)
        runs = evaluate({"router": router}, test, n_bootstrap=10).runs["router"]
        at = {SHARES[0]: Point(runs.score, 1000 * runs.cost)}
        return Measured(at=at, curve=(np.array([]), np.array([])), decide_ms=_decide_ms(router, test))


def entries(encoder: SentenceTransformerEncoder, *, policies: bool) -> list[Entry]:
    """Return the routers that are compared."""
    found: list[Entry] = [AsItComesEntry("cluster, as it comes", lambda _: None, encoder)]
    found += [Entry(name, make) for name, make in families(encoder).items()]
    return [*found, PolicyEntry("policy", lambda _: None, encoder)] if policies else found


@dataclass
class Board:
    """The figures of one table."""

    rows: dict[str, dict[str, list[dict[str, Any]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    """By part (in or out of distribution) and router, one for each split."""

    def add(self, part: str, name: str, measured: Measured, bar: Point, low: float) -> None:
        """Take down one split."""
        top = float(np.nanmean(bar.cost))
        cost, accuracy = measured.curve
        self.rows[part][name].append(
            {
                "aiq": average_quality(cost, accuracy, low=low, high=top) if top > low and len(cost) else None,
                "decide_ms": measured.decide_ms,
                "at": {f"{share:g}": _figures(point, bar) for share, point in measured.at.items()},
            }
        )

    def singles(self, part: str, training: OutcomeTable, test: OutcomeTable) -> tuple[Point, float]:
        """Take down the best single pairs and the oracle; return the best in hindsight, and the least cost."""
        score, cost = test.matrix("score"), 1000 * test.matrix("cost_usd")
        priced = ~np.isnan(cost).all(axis=0)
        best = most_accurate(np.where(priced, score, np.nan))
        there = test.pair_number(training.pairs[most_accurate(training.matrix("score"))])
        bar = Point(score[:, best], cost[:, best])
        reached = np.where(score >= np.nanmax(score, axis=1, keepdims=True), cost, np.nan)
        everything = {
            "best single pair, in hindsight": bar,
            "best single pair of the training part": Point(score[:, there], cost[:, there]),
            "random pair": Point(np.nanmean(score, axis=1), np.nanmean(cost, axis=1)),
            "oracle": Point(np.nanmax(score, axis=1), np.nanmin(np.where(np.isnan(reached), np.inf, reached), axis=1)),
        }
        for name, point in everything.items():
            figures = _figures(point, bar)
            self.rows[part][name].append({"aiq": None, "decide_ms": None, "at": {"": figures}})
        return bar, float(np.nanmin(np.nanmean(cost[:, priced], axis=0)))


def _figures(point: Point, bar: Point) -> dict[str, Any]:
    apart = point.score - bar.score
    known = ~np.isnan(apart)
    cost = np.where(np.isfinite(point.cost), point.cost, np.nan)
    low, high = intervals(bootstrap_means(apart[known][:, None]))[0]
    both = ~np.isnan(cost) & ~np.isnan(bar.cost)
    priced = both.any() and bar.cost[both].sum() > 0
    return {
        "accuracy": float(np.nanmean(point.score)),
        "gain": float(apart[known].mean()),
        "gain_ci95": [float(low), float(high)],
        "cost": float(cost[both].mean()) if priced else None,
        "bar_cost": float(bar.cost[both].mean()) if priced else None,
        "calls": point.calls,
    }


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    means: NDArray[np.float64] = np.nanmean(values, axis=1)
    return means


def _decide_ms(router: Any, test: OutcomeTable) -> float:
    """Return what one decision takes without the encoder, whose cache holds these texts."""
    queries = test.queries[:TIMED]
    router.decide_batch(queries)
    start = time.perf_counter()
    router.decide_batch(queries)
    return 1000 * (time.perf_counter() - start) / len(queries)


def parts_of(source: Source, table: OutcomeTable, seeds: Sequence[int]) -> list[tuple[str, int, Any, Any]]:
    """Return the parts to train and to test on, each with its name and its seed."""
    found = [(INSIDE, seed, *split(table, seed)) for seed in seeds]
    for kinds in source.kinds:
        others = [domain for domain in dict.fromkeys(table.domains) if domain not in kinds]
        found.append((OUTSIDE, 0, table.select(domains=kinds), table.select(domains=others)))
    return found


def main() -> None:
    """Measure the tables that were asked for; write the page and the picture from all that were measured."""
    names = [source.name for source in SOURCES]
    parser = argparse.ArgumentParser(description="Every router on every table.")
    parser.add_argument("--tables", nargs="*", choices=names, default=names, help="none: only write the page")
    parser.add_argument("--seeds", type=int, default=5, help="random splits of each table (default %(default)s)")
    parser.add_argument("--no-policy", action="store_true", help="leave out the policy, which is trained for minutes")
    parser.add_argument("--folder", type=Path, default=RESULTS / "leaderboard", help="folder for the figures")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of the page")
    asked = parser.parse_args()
    for source in SOURCES:
        if source.name not in asked.tables:
            continue
        table, board, clock = source.table(), Board(), Clock()
        with clock.part("encode"):
            encoder = encoder_for(table)
        for part, seed, training, test in parts_of(source, table, range(asked.seeds)):
            bar, low = board.singles(part, training, test)
            for entry in entries(encoder, policies=not asked.no_policy):
                with clock.part(entry.name):
                    board.add(part, entry.name, entry.measure(training, test, seed), bar, low)
                tell(f"  {source.name}, {part}, seed {seed}: {entry.name}")
        facts = {"queries": len(table.query_ids), "pairs": len(table.pairs), "splits": asked.seeds}
        figures = {**facts, "parts": len(source.kinds), "rows": board.rows, "seconds": clock.seconds}
        asked.folder.mkdir(parents=True, exist_ok=True)
        write_text(asked.folder / f"{source.name}.json", json.dumps(figures, indent=1) + "\n")
    measured = {name: file for name in names if (file := asked.folder / f"{name}.json").is_file()}
    boards = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in measured.items()}
    write_text(asked.docs / "leaderboard.md", page(boards, SHARES))
    write_text(asked.docs / "images" / "leaderboard.svg", picture(boards, INSIDE))


if __name__ == "__main__":
    main()
