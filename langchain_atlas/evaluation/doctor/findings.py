"""What is missing or wrong in an outcome table, one finding for each kind of problem."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow.compute as pc

from langchain_atlas.evaluation.replay import reference_policies
from langchain_atlas.evaluation.replay.frontier import pareto_frontier
from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.records import Record
from langchain_atlas.routers.saved.fingerprints import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair

FEWEST_OUTCOMES = 30
"""With fewer outcomes, little is known of a pair: the 95% interval of its accuracy is up to 36 points wide."""

_CONTRADICTION = 0.5
_SHOWN = 5
_SPLIT = "split"

Severity = Literal["wrong", "missing", "note"]


class Finding(Record):
    """One kind of problem, and where it is."""

    kind: str
    """The kind of problem, such as ``duplicated-queries``; see ``docs/doctor.md`` for all kinds."""
    severity: Severity
    """``wrong``: fix it before you trust the figures. ``missing``: limits the analysis. ``note``: worth knowing."""
    message: str
    """The finding in a sentence or two, with what to do."""
    where: tuple[str, ...] = ()
    """The pairs, domains or query ids concerned: all of the pairs and domains, the first few of the queries."""
    count: int
    """Number of pairs, domains or queries concerned."""


def find_troubles(
    table: OutcomeTable, links: NDArray[np.int64], pool: Iterable[Pair] | None = None
) -> tuple[Finding, ...]:
    """Look for all problems that can be found without a router.

    Args:
        table: the outcomes.
        links: queries that are nearly the same, shape [n, 2]; see `crossfit.near_duplicates`.
        pool: the pairs that should have outcomes; None skips this check.

    Returns:
        The findings: first what is wrong, then what is missing, then notes.
    """
    recorded = OutcomeMatrix.of(table).scored()
    found = [
        *_repeats(table),
        *_duplicates(table, recorded),
        *_leakage(table, links),
        *_two_values(table, "domain", "query-in-two-domains"),
        *_unmeasured(table, recorded),
        *_thin(table, recorded),
        *_unvaried(recorded),
        *_unneeded(recorded),
        *(() if pool is None else _pool(table, tuple(pool))),
    ]
    rank: dict[str, int] = {"wrong": 0, "missing": 1, "note": 2}
    return tuple(sorted(found, key=lambda finding: rank[finding.severity]))


def _repeats(table: OutcomeTable) -> Iterator[Finding]:
    repeats = table.repeats
    if repeats:
        extra = sum(repeats.values()) - len(repeats)
        yield Finding(
            kind="repeated-outcomes",
            severity="note",
            message=f"{extra} of {len(table)} rows repeat the outcome of a query and a pair. Of repeated runs, numbers "
            "are averaged and the last text counts; drop rows that are one run recorded twice, which counts double.",
            where=tuple(f"{name} by {pair}: {count} rows" for (name, pair), count in list(repeats.items())[:_SHOWN]),
            count=len(repeats),
        )


def _duplicates(table: OutcomeTable, recorded: OutcomeMatrix) -> Iterator[Finding]:
    same: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, query in enumerate(table.queries):
        same[identity(query)].append(number)
    copies = [rows for rows in same.values() if len(rows) > 1]
    if not copies:
        return
    extra = sum(len(rows) - 1 for rows in copies)
    yield Finding(
        kind="duplicated-queries",
        severity="wrong" if extra > 0.05 * len(table.query_ids) else "note",  # one query in twenty
        message=f"{extra} queries repeat another one under another id, context included. They count twice, and a "
        "random split tests on what was learned. Keep one of each.",
        where=tuple(table.query_ids[rows[1]] for rows in copies[:_SHOWN]),
        count=extra,
    )
    apart = [rows for rows in copies if (_spread(recorded.scores[rows]) > _CONTRADICTION).any()]
    if apart:
        yield Finding(
            kind="contradicting-duplicates",
            severity="wrong",
            message=f"{len(apart)} of the repeated queries have contradicting scores: the same pair is right under one "
            "id and wrong under another. The scorer or the model is inconsistent; no router can learn such a query.",
            where=tuple(table.query_ids[rows[0]] for rows in apart[:_SHOWN]),
            count=len(apart),
        )


def _leakage(table: OutcomeTable, links: NDArray[np.int64]) -> Iterator[Finding]:
    ids = table.query_ids
    if len(links):
        number = len(np.unique(links))
        yield Finding(
            kind="near-duplicates",
            severity="wrong" if number > 0.2 * len(ids) else "note",  # one query in five
            message=f"The texts of {number} queries are nearly the same as another's (cosine above 0.98). A random "
            "split would put them on both sides and make a router look too good; here they are held out together.",
            where=tuple(f"{ids[first]} ~ {ids[second]}" for first, second in links[:_SHOWN]),
            count=number,
        )
    if _SPLIT not in table.table.column_names:
        return
    yield from _two_values(table, _SPLIT, "query-in-two-splits")
    split = dict(zip(table.table["query_id"].to_pylist(), table.table[_SPLIT].to_pylist(), strict=True))
    across = [(ids[first], ids[second]) for first, second in links if split[ids[first]] != split[ids[second]]]
    if across:
        yield Finding(
            kind="split-leakage",
            severity="wrong",
            message=f"{len(across)} pairs of nearly the same queries lie in different splits: what is tested was "
            "learned. Move each pair to one side.",
            where=tuple(f"{first} ~ {second}" for first, second in across[:_SHOWN]),
            count=len(across),
        )


def _two_values(table: OutcomeTable, column: str, kind: str) -> Iterator[Finding]:
    distinct = table.table.select(["query_id", column]).group_by("query_id").aggregate([(column, "count_distinct")])
    twice = distinct.filter(pc.greater(distinct[f"{column}_count_distinct"], 1))["query_id"].to_pylist()
    if twice:
        yield Finding(
            kind=kind,
            severity="wrong",
            message=f"{len(twice)} query ids occur with more than one {column}. Give each query one {column}.",
            where=tuple(sorted(twice)[:_SHOWN]),
            count=len(twice),
        )


def _unmeasured(table: OutcomeTable, recorded: OutcomeMatrix) -> Iterator[Finding]:
    unscored = table.table["score"].null_count
    if unscored:
        yield Finding(
            kind="missing-scores",
            severity="missing",
            message=f"{unscored} of {len(table)} outcomes have no score and count as not recorded. "
            "Mark them with: langchain-atlas score",
            count=unscored,
        )
    run = ~np.isnan(recorded.scores)
    for kind, columns, consequence in (
        (
            "costs",
            ("cost_usd",),
            "Routers count an unknown cost as the pool's highest. Give the models prices.",
        ),
        ("latencies", ("latency_s",), "Latencies can't be compared."),
        ("tokens", ("input_tokens", "output_tokens"), "Costs can't be recomputed when prices change."),
    ):
        lacking = np.zeros(len(recorded.pairs), dtype=bool)
        for column in columns:
            lacking |= (run & np.isnan(table.matrix(column))).any(axis=0)
        if lacking.any():
            names = _named(recorded.pairs, lacking)
            yield Finding(
                kind=f"missing-{kind}",
                severity="missing" if kind == "costs" else "note",
                message=f"{len(names)} of {len(recorded.pairs)} pairs have outcomes without {kind}. {consequence}",
                where=names,
                count=len(names),
            )


def _thin(table: OutcomeTable, recorded: OutcomeMatrix) -> Iterator[Finding]:
    run = ~np.isnan(recorded.scores)
    few = run.sum(axis=0) < FEWEST_OUTCOMES
    if few.any():
        names = _named(recorded.pairs, few)
        yield Finding(
            kind="few-outcomes",
            severity="missing",
            message=f"{len(names)} pairs have fewer than {FEWEST_OUTCOMES} outcomes: too few to know them. Run "
            "'profile' for them, or leave them out.",
            where=names,
            count=len(names),
        )
    holes = []
    domains = np.array(table.domains)
    for domain in dict.fromkeys(table.domains):
        there = run[domains == domain]
        holes += [
            f"{recorded.pairs[column]}: {there[:, column].sum()} of {len(there)} in {domain}"
            for column in np.flatnonzero((~there).any(axis=0) & run.any(axis=0))
        ]
    if holes:
        yield Finding(
            kind="incomplete-records",
            severity="missing",
            message=f"{(~run).mean():.1%} of all pairs on all queries are not recorded, in {len(holes)} combinations "
            "of pair and domain. Such a pair can't be judged there, and single pairs are hard to compare.",
            where=tuple(holes),
            count=len(holes),
        )


def _unvaried(recorded: OutcomeMatrix) -> Iterator[Finding]:
    run = ~np.isnan(recorded.scores)
    constant = (run.sum(axis=0) >= FEWEST_OUTCOMES) & (_spread(recorded.scores) == 0)
    if constant.any():
        names = _named(recorded.pairs, constant)
        yield Finding(
            kind="constant-scores",
            severity="wrong",
            message=f"{len(names)} pairs have the same score on every query. Check whether the scorer works.",
            where=names,
            count=len(names),
        )
    several = run.sum(axis=1) > 1
    same = several & (_spread(recorded.scores.T) == 0)
    if several.any() and same.sum() > 0.5 * several.sum():
        yield Finding(
            kind="queries-that-tell-nothing",
            severity="note",
            message=f"On {same.sum() / several.sum():.0%} of the queries all pairs have the same score. On these, a "
            "router can only save money.",
            count=int(same.sum()),
        )


def _unneeded(recorded: OutcomeMatrix) -> Iterator[Finding]:
    needed = set()
    domains = np.array(recorded.domains)
    for domain in dict.fromkeys(recorded.domains):
        rows = np.flatnonzero(domains == domain)
        singles = reference_policies.SinglePairs.of(recorded.rows(rows))
        needed |= {*pareto_frontier(singles.cost, singles.accuracy).tolist(), singles.best}
        needed |= set(np.flatnonzero((singles.coverage > 0) & np.isnan(singles.cost)).tolist())  # may be cheap
    scored = ~np.isnan(recorded.scores).all(axis=0)
    idle = scored & np.array([column not in needed for column in range(len(recorded.pairs))])
    if idle.any():
        names = _named(recorded.pairs, idle)
        yield Finding(
            kind="unneeded-pairs",
            severity="note",
            message=f"{len(names)} of {len(recorded.pairs)} pairs are beaten in every domain by one that costs "
            "no more. They could be dropped from the pool.",
            where=names,
            count=len(names),
        )


def _pool(table: OutcomeTable, pool: Sequence[Pair]) -> Iterator[Finding]:
    for kind, names, message in (
        (
            "pairs-without-outcomes",
            [str(pair) for pair in pool if pair not in table.pairs],
            "{} of the pool's {} pairs have no outcomes. Run 'profile', or exclude them.",
        ),
        (
            "outcomes-outside-the-pool",
            [str(pair) for pair in table.pairs if pair not in pool],
            "{} pairs have outcomes but are not among the pool's {}. They were left out of the verdict.",
        ),
    ):
        if names:
            yield Finding(
                kind=kind,
                severity="missing" if kind == "pairs-without-outcomes" else "note",
                message=message.format(len(names), len(pool)),
                where=tuple(names),
                count=len(names),
            )


def _spread(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the highest minus the lowest value of each column, 0 if there is none."""
    spread: NDArray[np.float64] = np.where(np.isnan(score), -np.inf, score).max(axis=0) - np.where(
        np.isnan(score), np.inf, score
    ).min(axis=0)
    return np.maximum(spread, 0.0)


def _named(pairs: Sequence[Pair], which: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(str(pair) for pair, named in zip(pairs, which, strict=True) if named)
