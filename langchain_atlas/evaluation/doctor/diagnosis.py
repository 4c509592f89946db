"""Whether routing pays on recorded outcomes: the verdict of `doctor`. The rules are in ``docs/doctor.md``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.doctor import verdicts
from langchain_atlas.evaluation.doctor.findings import Finding, find_troubles
from langchain_atlas.evaluation.doctor.log_findings import with_log
from langchain_atlas.evaluation.doctor.trials import Tried
from langchain_atlas.evaluation.doctor.verdicts import Advice, Headroom, Need
from langchain_atlas.evaluation.logged.outcomes import METHOD, logged_outcomes
from langchain_atlas.evaluation.settings.crossfit import (
    MOST_QUERIES,
    crossfit,
    encoded,
    grouped,
    near_duplicates,
    scored,
)
from langchain_atlas.evaluation.settings.crossvalidation import measure_router
from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.records import Record
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.operating import OperatingCurve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair

__all__ = ["Diagnosis", "Finding", "diagnose"]

MARGIN = 0.01
"""Accuracy that may be given up to save cost, 0 to 1."""


class Diagnosis(Record):
    """The report of `doctor`."""

    verdict: Literal["route", "do not route", "too little data"]
    """Whether routing pays."""
    reason: str
    """Why, in a few sentences."""
    use: Advice
    """What to use: a router with its settings, or a single pair."""
    gain: float | None
    """The router's accuracy minus the best single pair's, on held-out queries, -1 to 1; None if not measured."""
    gain_ci95: tuple[float, float] | None
    """95% confidence interval of the gain, from a paired bootstrap over queries."""
    cost_ratio: float | None
    """The router's cost divided by that of the pair it is compared with; None when unknown."""
    best_single: str | None
    """The best single pair over all queries."""
    headroom: Headroom | None
    """What an oracle would gain over it; None where nothing is scored."""
    need: Need | None
    """How many more queries are needed, and in which domains, when there are too few."""
    tried: tuple[Tried, ...] = ()
    """Every router that was tried, most accurate first."""
    curve: OperatingCurve | None = None
    """What `fit` measures and chooses on this data by default; None if it can't."""
    findings: tuple[Finding, ...] = ()
    """What is missing or wrong in the data."""
    margin: float
    """Accuracy that may be given up to save cost, 0 to 1."""
    n_queries: int
    """Number of queries with a score."""
    n_pairs: int
    """Number of pairs."""
    estimated: bool = False
    """Whether results are estimated, because most queries are recorded for one pair only, rather than replayed."""
    method: str | None = None
    """How they are estimated."""
    effective_sample_size: float | None = None
    """How many queries of the log say directly what the recommended router (or the best pair) would have got."""


def diagnose(
    table: OutcomeTable,
    *,
    encoder: Encoder | None = None,
    pool: Iterable[Pair] | None = None,
    margin: float = MARGIN,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Diagnosis:
    """Diagnose whether routing pays on a table of outcomes, and what is missing or wrong in it.

    Args:
        table: the outcomes.
        encoder: text to vectors; the default encoder when left out.
        pool: the pairs that can be called; by default, those of the table.
        margin: accuracy that may be given up to save cost, 0 to 1.
        seed: seed of the parts, the clusterings and the resampling.
        progress: called with the current activity, how much of it is done, and how much there is.

    Raises:
        SettingError: `margin` is out of range.
        OutcomeError: the table and the pool have no pair in common.
    """
    if not 0 <= margin <= 1:
        raise SettingError(f"margin is {margin!r}; it is a part of 1, such as 0.01 for one point of accuracy.")
    known = tuple(table.pairs) if pool is None else tuple(pair for pair in pool if pair in set(table.pairs))
    if not known:
        raise OutcomeError(f"{table.source} has no outcome of any pair of the pool; there is nothing to judge.")
    report = progress or (lambda *_: None)
    vectors = encoded(table, encoder := encoder or default_encoder(), report)
    links = near_duplicates(vectors)
    findings = find_troubles(table, links, pool)
    chosen = table if pool is None else table.select(pairs=known)
    part = scored(chosen, seed)
    facts = {"findings": findings, "margin": margin, "n_pairs": len(known)}
    if part is None:
        return Diagnosis(**verdicts.nothing_scored(), n_queries=0, **facts)
    groups = _groups(table, part, links)
    recorded = OutcomeMatrix.of(part).scored()
    logged = None
    if len(part.query_ids) >= verdicts.FEWEST_QUERIES:
        logged = logged_outcomes(part, encoder, seed=seed)
    if logged is not None:
        recorded = logged.completed
        facts |= _estimated(logged, findings)
    headroom = Headroom.of(recorded, margin, None if logged is None else logged.runs(logged.best))
    facts |= {"headroom": headroom, "best_single": headroom.pair, "n_queries": len(part.query_ids)}
    early = verdicts.before_trying(recorded, headroom, n_groups=len(np.unique(groups)))
    if early is None and logged is not None and not logged.overlap:
        early = verdicts.without_overlap(part.domains)
    if early is not None:
        return Diagnosis(**early, **facts)
    completed, trying = None if logged is None else logged.completed, partial(report, "trying routers")
    crossed = crossfit(part, groups, encoder, margin=margin, seed=seed, progress=trying, completed=completed)
    unfitted, measuring = ClusterRouter(encoder, random_state=seed), partial(report, "measuring settings")
    facts["curve"] = measure_router(unfitted, chosen.marked(), seed=seed, progress=measuring)
    verdict = verdicts.after_trying(crossed, recorded, headroom, margin=margin, seed=seed)
    verdict["reason"] = ("" if logged is None else "Estimated, not replayed: ") + verdict["reason"]
    return Diagnosis(**verdict, **facts)


def _estimated(logged: LoggedOutcomes, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Return the fields of a diagnosis that rests on estimates."""
    return {
        "findings": with_log(findings, logged),
        "estimated": True,
        "method": METHOD,
        "effective_sample_size": round(logged.effective_sample_size(logged.best), 1),
    }


def default_encoder(name: str | None = None) -> Encoder:
    """Return an encoder with a cache large enough for every router to be fitted with one pass over the texts."""
    from langchain_atlas.encoders.named import encoder_named

    return encoder_named(name, cache_size=20 * MOST_QUERIES)


def _groups(table: OutcomeTable, part: OutcomeTable, links: NDArray[np.int64]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(part.query_ids)}
    linked = [
        (place[table.query_ids[first]], place[table.query_ids[second]])
        for first, second in links
        if table.query_ids[first] in place and table.query_ids[second] in place
    ]
    texts = [query.text for query in part.queries]
    return grouped(len(texts), np.array(linked, dtype=np.int64).reshape(-1, 2), texts)
