"""Logs of one pair a query: routers' accuracies estimated from them, compared with a full replay.

The tables have the outcomes of every pair. Routers are fitted on half of the queries. Of the other half one pair a
query is revealed, drawn at random: evenly, or with one pair nine times as often as all others. From that the accuracies
of the routers are estimated, and compared with what a replay of all outcomes gives.

Run with: make bench-logged
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from common import Clock, check, encoder_for, load, options, show_checks, write
from rich.console import Console
from rich.table import Table

from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.utility.guard import most_accurate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder

TABLES = {"BFCL": "bfcl_pairs.parquet", "reasoning": "reasoning_pairs.parquet"}
INCOMPLETE = "StrategyQA"
DRAWS = 20
POOLS = (2, 6)
MOST_QUERIES = 1000
OFTEN = 0.9
NORMAL = 1.96


@dataclass(frozen=True)
class Estimate:
    """One estimate of one router's accuracy."""

    estimate: float
    """The doubly robust estimate, 0 to 1."""
    weighted: float
    """The self-normalised inverse propensity estimate, 0 to 1."""
    naive: float
    """Replay of the log: the mean score where the router's pair is the revealed one, 0 to 1."""
    half_width: float
    """Half of the width of the 95% interval."""
    size: float
    """Effective sample size."""
    truth: float
    """Mean score of a full replay, 0 to 1."""


def pool_of(table: OutcomeTable, size: int) -> OutcomeTable:
    """Return the outcomes of the pairs that are best somewhere: for each domain in turn, its best pair."""
    score, domains = table.matrix("score"), np.array(table.domains)
    order: list[int] = [most_accurate(score)]
    names = dict.fromkeys(table.domains)
    order += [int(np.nanmean(score[domains == name], axis=0).argmax()) for name in names]
    order += np.argsort(-np.nanmean(score, axis=0), kind="stable").tolist()
    return table.select(pairs=[table.pairs[column] for column in list(dict.fromkeys(order))[:size]])


def revealed(table: OutcomeTable, rng: np.random.Generator, often: float | None) -> OutcomeTable:
    """Return a log of one random pair a query; `often` is the probability of the first pair, None for an even draw."""
    n, n_pairs = len(table.query_ids), len(table.pairs)
    chance = (
        np.full(n_pairs, 1 / n_pairs)
        if often is None
        else np.array([often] + [(1 - often) / (n_pairs - 1)] * (n_pairs - 1))
    )
    drawn = rng.choice(n_pairs, n, p=chance)
    queries = {name: row for row, name in enumerate(table.query_ids)}
    pairs = {(pair.model, pair.tool): column for column, pair in enumerate(table.pairs)}
    rows = table.table.select(["query_id", "model", "tool"]).to_pylist()
    keep = [drawn[queries[row["query_id"]]] == pairs[row["model"], row["tool"]] for row in rows]
    return OutcomeTable(table.table.filter(pa.array(keep)), table.source)


def decisions(test: OutcomeTable, training: OutcomeTable, encoder: Encoder, seed: int) -> dict[str, NDArray[np.int64]]:
    """Return the column of the pair that each router asks on each query."""
    routers = {
        "cluster": ClusterRouter(encoder, random_state=seed).fit(training),
        "knn": KNNRouter(encoder, random_state=seed).fit(training),
    }
    found = {
        name: np.array([test.pair_number(decision.pair) for decision in router.decide_batch(test.queries)])  # type: ignore[arg-type]
        for name, router in routers.items()
    }
    single = most_accurate(training.matrix("score", test.pairs))
    found["best single pair"] = np.full(len(test.query_ids), single)
    return found


def estimates(
    table: OutcomeTable, encoder: Encoder, *, often: float | None, draws: int, seed: int
) -> dict[str, list[Estimate]]:
    """Estimate the routers' accuracies from as many logs as there are draws."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table.query_ids))[: 2 * MOST_QUERIES]
    names = np.array(table.query_ids)[order]
    half = len(names) // 2
    training, test = (table.select(query_ids=part.tolist()) for part in (names[:half], names[half:]))
    chosen, score = decisions(test, training, encoder, seed), test.matrix("score")
    rows = np.arange(len(score))
    found: dict[str, list[Estimate]] = {name: [] for name in chosen}
    for _ in range(draws):
        log = revealed(test, rng, often)
        logged = LoggedOutcomes.of(log, encoder, seed=seed)
        place = {name: row for row, name in enumerate(log.query_ids)}
        mine = [place[name] for name in test.query_ids]  # the log has them in the order of its rows
        column_of = {pair: column for column, pair in enumerate(logged.completed.pairs)}
        for name, columns in chosen.items():
            there = np.full(len(rows), -1)
            there[mine] = [column_of.get(test.pairs[column], -1) for column in columns]
            values = logged.runs(there).score
            matched = np.where(there < 0, np.nan, logged.recorded.scores[np.arange(len(there)), there])
            told = ~np.isnan(values)  # of a pair that was never logged, nothing is said
            found[name].append(
                Estimate(
                    estimate=float(np.nanmean(values)),
                    weighted=logged.self_normalised(there) or 0.0,
                    naive=float(np.nanmean(matched)),
                    half_width=NORMAL * float(np.nanstd(values)) / float(np.sqrt(told.sum())),
                    size=logged.effective_sample_size(there),
                    truth=float(score[rows, columns][told[mine]].mean()),
                )
            )
    return found


def summed_up(found: Sequence[Estimate]) -> dict[str, float]:
    """Return mean error, root mean squared error, coverage and width of some estimates."""
    error = np.array([each.estimate - each.truth for each in found])
    return {
        "truth": float(np.mean([each.truth for each in found])),
        "mean_error": float(error.mean()),
        "mean_absolute_error": float(np.abs(error).mean()),
        "weighted_mean_absolute_error": float(np.mean([abs(each.weighted - each.truth) for each in found])),
        "coverage": float(np.mean([abs(each.estimate - each.truth) <= each.half_width for each in found])),
        "half_width": float(np.mean([each.half_width for each in found])),
        "effective_sample_size": float(np.mean([each.size for each in found])),
    }


def show(rows: Sequence[tuple[str, dict[str, float]]]) -> None:
    """Print the figures as a table."""
    table = Table("log", "replay", "mean error", "mean |error|", "IPS |error|", "covers", "half width", "sample")
    for name, row in rows:
        table.add_row(
            name,
            f"{100 * row['truth']:.1f}",
            f"{100 * row['mean_error']:+.2f}",
            f"{100 * row['mean_absolute_error']:.2f}",
            f"{100 * row['weighted_mean_absolute_error']:.2f}",
            f"{row['coverage']:.0%}",
            f"{100 * row['half_width']:.1f}",
            f"{row['effective_sample_size']:.0f}",
        )
    Console().print(table)


def main() -> None:
    """Measure, print, and write the figures."""
    asked, clock = options("logged", "Estimates from logs of one pair a query.", 1), Clock()
    figures: dict[str, dict[str, float]] = {}
    for table_name, file in TABLES.items():
        whole = load(file)
        whole = whole.select(domains=[domain for domain in dict.fromkeys(whole.domains) if domain != INCOMPLETE])
        encoder = encoder_for(whole)
        for size in (*POOLS, len(whole.pairs)):
            for often in (None, OFTEN):
                if often is not None and size > max(POOLS):
                    continue
                with clock.part(f"{table_name}, {size} pairs"):
                    found = estimates(
                        pool_of(whole, size), encoder, often=often, draws=DRAWS * len(asked.seeds), seed=asked.seeds[0]
                    )
                how = "even" if often is None else "9 to 1"
                figures |= {
                    f"{table_name}, {size} pairs, {how}, {name}": summed_up(each) for name, each in found.items()
                }
    show(list(figures.items()))
    coverage = float(np.mean([row["coverage"] for row in figures.values()]))
    error = float(np.mean([row["mean_error"] for row in figures.values()]))
    checks: list[dict[str, Any]] = [
        check("intervals cover the replay in 90% of the draws", f"{coverage:.1%}", passed=coverage >= 0.9),  # noqa: PLR2004
        check("mean error within a point", f"{100 * error:+.2f} points", passed=abs(error) <= 0.01),  # noqa: PLR2004
    ]
    show_checks(checks)
    write(asked.out, {"estimates": figures, "must_show": checks, "seeds": asked.seeds}, clock)


if __name__ == "__main__":
    main()
