"""Measures a router that routes once, at every setting, on queries and kinds of query that it was not fitted on."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.engines import current_engine
from langchain_atlas.errors import OutcomeError
from langchain_atlas.evaluation.logged.outcomes import logged_outcomes
from langchain_atlas.evaluation.settings.choosing import HeldQueries, Trials, choose
from langchain_atlas.evaluation.settings.crossfit import dearest, encoded, grouped, near_duplicates, parts
from langchain_atlas.evaluation.settings.crossfit import scored as with_score
from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.progress import Progress, Steps
from langchain_atlas.routers.utility.guard import most_accurate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.evaluation.settings.crossfit import Fitter
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.operating import OperatingCurve
    from langchain_atlas.trajectory import Query

FEWEST_QUERIES = 100
"""With fewer logged queries than this, settings can't be compared."""

_MOST_QUERIES = 3000
"""Larger tables are sampled down to this size, which is enough to detect half a point."""

N_PARTS = 10
"""Number of parts that are held out one by one. A router fitted on nine tenths is measured slightly worse than it will
be; fitted on four fifths, much cheaper settings look worse than they are."""

_MOST_KINDS = 12
"""Maximum number of groups in which kinds of query are held out."""

LEAST_VALUE = 0.5
"""Default minimum value of a right answer, in calls of the most expensive pair. Below it, points of accuracy are given
up to save cents, and a hundred queries can't show how many."""

_VALUES = np.geomspace(1e4, 1e-2, 61)
"""Values of a right answer to measure, in calls of the most expensive pair."""


@dataclass(frozen=True)
class _Part:
    """Results of each setting on held-out queries; shape [n_settings + 1, n_queries], the single pair last."""

    rows: NDArray[np.int64]
    score: NDArray[np.float64]
    cost: NDArray[np.float64]
    latency: NDArray[np.float64]


def cross_validate(
    router: Fitter, table: OutcomeTable, *, seed: int = 0, progress: Progress | None = None
) -> Trials | None:
    """Measure a router at every setting on held-out queries, and on held-out kinds of query.

    The queries are split into ten parts, near duplicates together. Each part is held out once, while a copy of the
    router is fitted on the others. Then kinds of query are held out in the same way, see `kinds_of`.

    Args:
        router: an unfitted router; it is not changed. Its encoder's cache should hold all texts of the table.
        table: the outcomes.
        seed: seed of the parts.
        progress: called with the number of fits done, and of all fits.

    Returns:
        The measurements; None with too few queries.

    Raises:
        OutcomeError: no outcome has a score.
    """
    part = with_score(table, seed)
    if part is None:
        raise OutcomeError(f"{table.source} has no score; there is nothing to learn from. Score its responses.")
    if len(part.query_ids) > _MOST_QUERIES:
        drawn = np.sort(np.random.default_rng(seed).permutation(len(part.query_ids))[:_MOST_QUERIES])
        part = part.select(query_ids=[part.query_ids[row] for row in drawn])
    if len(part.query_ids) < FEWEST_QUERIES:
        return None
    texts = [query.text for query in part.queries]
    vectors = encoded(part, router.encoder)
    groups = grouped(len(texts), near_duplicates(vectors), texts)
    if len(np.unique(groups)) < 2 * N_PARTS:
        return None
    kinds, n_kinds = kinds_of(part.domains, vectors, seed)
    step = Steps(N_PARTS + len(np.unique(kinds)), progress)
    unit = dearest(part)
    logged = logged_outcomes(part, router.encoder, seed=seed)
    outcomes = OutcomeMatrix.of(part) if logged is None else logged.completed
    held = parts(groups, seed=seed, n_parts=N_PARTS)
    apart = _merged([*_each(router, part, outcomes, held, unit=unit, step=step)])
    strange = _merged([*_each(router, part, outcomes, kinds, unit=unit, step=step)])
    single = most_accurate(outcomes.scores)
    return Trials(
        values=unit * _VALUES,
        single=str(part.pairs[single]),
        score=apart.score,
        cost=apart.cost,
        latency=apart.latency,
        calls=np.ones_like(apart.score),
        unseen=strange.score - strange.score[-1],
        n_kinds=n_kinds,
        n_effective=None if logged is None else logged.effective_sample_size(logged.best),
        queries=HeldQueries(
            domains=tuple(part.domains[row] for row in apart.rows),
            groups=groups[apart.rows],
            hindsight=outcomes.scores[apart.rows, single],
            hindsight_cost=outcomes.costs[apart.rows, single],
        ),
    )


def measure_router(
    router: Fitter, table: OutcomeTable, *, seed: int = 0, progress: Progress | None = None
) -> OperatingCurve | None:
    """Measure an unfitted router at every setting, and choose one; None with too few queries.

    Raises:
        OutcomeError: no outcome has a score.
    """
    trials = cross_validate(router, table, seed=seed, progress=progress)
    return None if trials is None else choose_setting(trials, table, seed=seed)


def choose_setting(trials: Trials, table: OutcomeTable, *, seed: int = 0) -> OperatingCurve:
    """Choose the setting of a router by its measurements on a table."""
    return choose(trials, least_value=LEAST_VALUE * dearest(table), seed=seed)


def kinds_of(domains: Sequence[str], vectors: NDArray[np.float32], seed: int) -> tuple[NDArray[np.int64], int]:
    """Group queries by kind, shape [n_queries], and return the number of kinds.

    Kinds are domains, several together if there are more than twelve; without domains, regions of the embedding
    space.
    """
    names, numbers, sizes = np.unique(np.array(domains), return_inverse=True, return_counts=True)
    if len(names) < 2:  # noqa: PLR2004  # there would be nothing to fit on
        from sklearn.cluster import KMeans

        count = min(_MOST_KINDS, len(vectors))
        return KMeans(count, n_init=1, random_state=seed).fit_predict(vectors).astype(np.int64), count
    group = np.zeros(len(names), dtype=np.int64)
    totals = np.zeros(min(_MOST_KINDS, len(names)))
    for kind in np.argsort(-sizes, kind="stable"):
        group[kind] = int(totals.argmin())
        totals[group[kind]] += sizes[kind]
    return group[numbers], len(names)


def _each(
    router: Fitter,
    table: OutcomeTable,
    outcomes: OutcomeMatrix,
    part: NDArray[np.int64],
    *,
    unit: float,
    step: Steps,
) -> Sequence[_Part]:
    """Hold out each part once."""
    shared = _Folds(router, table, outcomes, part, unit)
    return current_engine().map(_one_held_out, shared, np.unique(part).tolist(), lambda _: step())


@dataclass(frozen=True)
class _Folds:
    """What is needed to hold out any part."""

    router: Fitter
    table: OutcomeTable
    outcomes: OutcomeMatrix
    part: NDArray[np.int64]
    unit: float


def _one_held_out(shared: _Folds, number: int) -> _Part:
    held, kept = np.flatnonzero(shared.part == number), np.flatnonzero(shared.part != number)
    table, outcomes = shared.table, shared.outcomes
    names = np.array(table.query_ids)
    fitted = copy.copy(shared.router).fit(table.select(query_ids=names[kept].tolist()))
    queries = [table.queries[row] for row in held]
    return _held_out(fitted, outcomes.rows(kept), outcomes.rows(held), queries, held=held, unit=shared.unit)


def _held_out(
    router: Fitter,
    training: OutcomeMatrix,
    test: OutcomeMatrix,
    queries: Sequence[Query],
    *,
    held: NDArray[np.int64],
    unit: float,
) -> _Part:
    router = router.restrict([pair for pair, count in zip(test.pairs, test.counts, strict=True) if count])
    outcomes = test.with_pairs(router.pairs)
    known = outcomes.recorded
    there = np.flatnonzero(known.any(axis=1))
    chosen = np.zeros((len(_VALUES) + 1, len(outcomes)), dtype=np.int64)
    chosen[:-1, there] = router.sweep([queries[row] for row in there.tolist()], known[there], unit * _VALUES)
    chosen[-1] = _single(training.with_pairs(router.pairs), known)
    rows = np.arange(len(outcomes))
    return _Part(held[there], *(values[rows, chosen][:, there] for values in outcomes.arrays().values()))


def _single(outcomes: OutcomeMatrix, known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the column of the best single pair on each query; where it is not recorded, the next best."""
    first = most_accurate(outcomes.scores)
    accuracy = np.nansum(outcomes.scores, axis=0) / np.maximum(outcomes.counts, 1)
    order = [first, *(column for column in np.argsort(-accuracy, kind="stable") if column != first)]
    found: NDArray[np.int64] = np.array(order)[known[:, order].argmax(axis=1)]
    return found


def _merged(found: Sequence[_Part]) -> _Part:
    rows = np.concatenate([part.rows for part in found])
    order = np.argsort(rows, kind="stable")
    score, cost, latency = (
        np.concatenate([getattr(part, name) for part in found], axis=1)[:, order]
        for name in ("score", "cost", "latency")
    )
    return _Part(rows[order], score, cost, latency)
