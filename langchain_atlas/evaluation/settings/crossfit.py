"""Routers compared with single pairs, on queries that neither was chosen on: the basis of `doctor`."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from langchain_atlas.engines import current_engine
from langchain_atlas.evaluation.replay import reference_policies
from langchain_atlas.evaluation.replay.runs import run_router
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.progress import Progress, Steps
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.learned.knn import KNNRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable

    Fitter = ClusterRouter | KNNRouter
    """A router that can be fitted."""

ALIKE = 0.98
"""Cosine similarity from which two queries are near duplicates."""
N_FOLDS = 5
"""Number of parts; each is held out once."""
MOST_QUERIES = 10_000
"""Larger tables are sampled down to this size."""

_VALUES: dict[str, tuple[float, ...]] = {"cluster": (1e4, 4.0, 2.0, 1.0, 0.5, 0.25), "knn": (1e4, 1.0, 0.25)}
"""Values of a right answer to try, in calls of the most expensive pair."""
_CHUNK = 256
_ROWS = 1024


@dataclass(frozen=True, order=True)
class TriedRouter:
    """A kind of router at one setting."""

    router: str
    """Kind of router, as in `fit`."""
    value_usd: float
    """Dollars that a right answer is worth."""

    def __str__(self) -> str:
        return f"{self.router}, a right answer at ${self.value_usd:.3g}"


@dataclass(frozen=True)
class HeldOutResults:
    """The held-out results of a router or pair on each query; arrays have shape [n_queries]."""

    score: NDArray[np.float64]
    """Score of the answer, 0 to 1; NaN where it could not be measured."""
    cost: NDArray[np.float64]
    """Dollars; NaN where unknown."""


@dataclass(frozen=True)
class HeldOut:
    """One kind of router, fitted once for each part without that part, so that any setting can be evaluated."""

    fold: NDArray[np.int64]
    """The part that each query is held out in, shape [n_queries]."""
    routers: tuple[Fitter, ...]
    """The routers, one per part."""
    executors: tuple[ReplayExecutor, ...]
    """The outcomes of each part."""
    completed: OutcomeMatrix | None = None
    """Estimated outcomes of all queries, which are used instead; see `logged.outcomes`."""

    @classmethod
    def fit(
        cls,
        router: Fitter,
        table: OutcomeTable,
        fold: NDArray[np.int64],
        step: Callable[[], None],
        completed: OutcomeMatrix | None = None,
    ) -> Self:
        """Fit copies of a router, which itself is not changed; `step` is called after each."""
        parts = range(N_FOLDS)
        routers = current_engine().map(_fitted_without, (router, table, fold), parts, lambda _: step())
        executors = (ReplayExecutor(_rows_of(table, fold == part)) for part in parts)
        return cls(fold, tuple(routers), tuple(executors), completed)

    def at(self, value_usd: float) -> HeldOutResults:
        """Return the results at a setting, with each query held out; nothing is fitted again."""
        held = _empty(len(self.fold))
        for part, (router, executor) in enumerate(zip(self.routers, self.executors, strict=True)):
            if self.completed is not None:
                rows = np.flatnonzero(self.fold == part)
                outcomes = self.completed.rows(rows).with_pairs(router.pairs)
                there = np.flatnonzero(outcomes.recorded.any(axis=1))
                queries = [executor.table.queries[row] for row in there]
                chosen = router.sweep(queries, outcomes.recorded[there], np.array([value_usd]))[0]
                held.score[rows[there]] = outcomes.scores[there, chosen]
                held.cost[rows[there]] = outcomes.costs[there, chosen]
                continue
            runs = run_router(router.configure(value_usd=value_usd), executor)
            held.score[self.fold == part], held.cost[self.fold == part] = runs.score, runs.cost
        return held


@dataclass(frozen=True)
class Crossfit:
    """Held-out results of all routers and single pairs."""

    fold: NDArray[np.int64]
    """The part that each query was held out in, shape [n_queries]."""
    best: HeldOutResults
    """The best single pair, chosen on the other parts."""
    thrifty: HeldOutResults
    """The cheapest single pair that was within the margin of the best on the other parts; often the best itself."""
    routers: dict[TriedRouter, HeldOutResults]
    """The routers, fitted on the other parts."""


def crossfit(
    table: OutcomeTable,
    groups: NDArray[np.int64],
    encoder: Encoder,
    *,
    margin: float,
    seed: int = 0,
    progress: Progress | None = None,
    completed: OutcomeMatrix | None = None,
) -> Crossfit:
    """Hold out every part of the queries once, and evaluate routers and single pairs on it.

    Args:
        table: the outcomes.
        groups: queries with the same number are held out together, shape [n_queries]; at least `N_FOLDS` groups.
        encoder: text to vectors, shared by all routers; its cache should hold all texts of the table.
        margin: how much less accurate than the best pair a cheaper one may be, 0 to 1.
        seed: seed of the parts and of the clusterings.
        progress: called with the number of fits and trials done and the number of all.
        completed: estimated outcomes of a log of one pair a query, by which to judge; see `logged.outcomes`.
    """
    recorded = OutcomeMatrix.of(table).scored() if completed is None else completed
    fold = parts(groups, seed=seed)
    best, thrifty = _empty(len(fold)), _empty(len(fold))
    for part in range(N_FOLDS):
        held, kept = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        order, frugal = single_orders(recorded.rows(kept), margin)
        _ask(recorded, held, order, best)
        _ask(recorded, held, [frugal, *order], thrifty)
    routers: dict[TriedRouter, HeldOutResults] = {}
    step = Steps(sum(N_FOLDS + len(values) for values in _VALUES.values()), progress)
    unit = dearest(table)
    for kind, values in _VALUES.items():
        held_out = HeldOut.fit(_made(kind, encoder, seed), table, fold, step, completed)
        for value in values:
            value_usd = float(f"{unit * value:.3g}")  # as it is shown, and as it can be given to `fit`
            routers[TriedRouter(kind, value_usd)] = held_out.at(value_usd)
            step()
    return Crossfit(fold=fold, best=best, thrifty=thrifty, routers=routers)


def dearest(table: OutcomeTable) -> float:
    """Return dollars per call of the most expensive pair; 1 if no cost is known, or all calls are free."""
    cost = table.matrix("cost_usd")
    known = (~np.isnan(cost)).sum(axis=0)
    means = np.where(known > 0, np.nansum(cost, axis=0) / np.maximum(known, 1), 0.0)
    return float(means.max(initial=0.0)) or 1.0


def single_orders(recorded: OutcomeMatrix, margin: float) -> tuple[list[int], int]:
    """Choose single pairs on training queries.

    Returns:
        Columns in order of preference, the best single pair first, each of the others for queries where those before it
        are not recorded; and the column of the thrifty pair.
    """
    singles = reference_policies.SinglePairs.of(recorded)
    first, bar = [singles.best], float(singles.accuracy[singles.best])
    filled = reference_policies.filled_pair(recorded, singles)
    if filled is not None:
        first = [*(int(column) for column in np.flatnonzero(filled.answer_share) if column != first[0]), *first]
        bar = float(np.nanmean(filled.score))
    rest = [int(column) for column in np.argsort(-np.nan_to_num(singles.accuracy, nan=-1.0), kind="stable")]
    order = [*first, *(column for column in rest if column not in first)]
    near = singles.priced & (np.nan_to_num(singles.accuracy, nan=-1.0) >= bar - margin)
    frugal = int(np.argmin(np.where(near, singles.cost, np.inf))) if near.any() else order[0]
    dear = singles.cost[order[0]]
    return order, order[0] if not np.isnan(dear) and singles.cost[frugal] >= dear else frugal


def parts(groups: NDArray[np.int64], *, seed: int = 0, n_parts: int = N_FOLDS) -> NDArray[np.int64]:
    """Distribute groups of queries over parts of similar size; shape [n_queries]."""
    names, members = np.unique(groups, return_counts=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    sizes = np.zeros(n_parts)
    part = np.zeros(len(names), dtype=np.int64)
    for number in shuffled[np.argsort(-members[shuffled], kind="stable")]:
        part[number] = int(np.argmin(sizes))
        sizes[part[number]] += members[number]
    return part[np.searchsorted(names, groups)]


def near_duplicates(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the pairs of queries that are nearly the same, shape [n_found, 2], the lower index first."""
    found: list[NDArray[np.int64]] = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(vectors), _ROWS):
        rows, columns = np.nonzero(vectors[start : start + _ROWS] @ vectors[start:].T > ALIKE)
        found.append(np.stack([rows + start, columns + start], axis=1)[columns > rows])
    return np.concatenate(found)


def grouped(n_queries: int, links: NDArray[np.int64], texts: Sequence[str]) -> NDArray[np.int64]:
    """Group queries that are linked, directly or through others, shape [n_queries].

    If that would join more than a tenth of all queries in one group, only those with the same text are grouped.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(links), dtype=np.int8)
    graph = coo_array((ones, (links[:, 0], links[:, 1])), shape=(n_queries, n_queries))
    group: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    if np.bincount(group).max() <= n_queries / (2 * N_FOLDS):
        return group
    number = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return np.array([number[text] for text in texts], dtype=np.int64)


def encoded(
    table: OutcomeTable, encoder: Encoder, report: Callable[[str, int, int], None] | None = None
) -> NDArray[np.float32]:
    """Encode all queries, shape [n_queries, dimension]; `report` is called with the activity and its progress."""
    texts = [query.text for query in table.queries]
    vectors = []
    chunk = _CHUNK if current_engine().is_local else max(len(texts), 1)  # other machines take all they can
    for start in range(0, len(texts), chunk):
        vectors.append(encoder.encode(texts[start : start + chunk]))
        if report is not None:
            report("reading queries", min(start + chunk, len(texts)), len(texts))
    return np.concatenate(vectors)


def scored(table: OutcomeTable, seed: int) -> OutcomeTable | None:
    """Return the outcomes of the queries with a score, at most `MOST_QUERIES` of them; None if there are none."""
    there = np.flatnonzero(~np.isnan(table.matrix("score")).all(axis=1))
    if not len(there):
        return None
    if len(there) > MOST_QUERIES:
        there = np.sort(np.random.default_rng(seed).permutation(there)[:MOST_QUERIES])
    if len(there) == len(table.query_ids):
        return table
    return table.select(query_ids=[table.query_ids[row] for row in there])


def _fitted_without(shared: tuple[Fitter, OutcomeTable, NDArray[np.int64]], part: int) -> Fitter:
    router, table, fold = shared
    return copy.copy(router).fit(_rows_of(table, fold != part))


def _rows_of(table: OutcomeTable, rows: NDArray[np.bool_]) -> OutcomeTable:
    return table.select(query_ids=np.array(table.query_ids)[rows].tolist())


def _made(kind: str, encoder: Encoder, seed: int) -> Fitter:
    return (ClusterRouter if kind == "cluster" else KNNRouter)(encoder, random_state=seed)


def _empty(n_queries: int) -> HeldOutResults:
    return HeldOutResults(np.full(n_queries, np.nan), np.full(n_queries, np.nan))


def _ask(recorded: OutcomeMatrix, rows: NDArray[np.int64], order: Sequence[int], held: HeldOutResults) -> None:
    asked = np.asarray(order)
    columns = asked[np.argmax(~np.isnan(recorded.scores[rows][:, asked]), axis=1)]
    held.score[rows], held.cost[rows] = recorded.scores[rows, columns], recorded.costs[rows, columns]
