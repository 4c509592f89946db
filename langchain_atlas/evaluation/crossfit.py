"""Routers against single pairs on queries that neither was chosen on: what `doctor` rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.evaluation import policies
from langchain_atlas.evaluation.runs import Recorded, run_router
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.routers.cluster import ClusterRouter
from langchain_atlas.routers.neighbours import NeighbourRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable

ALIKE = 0.98
"""Cosine from which two queries are near duplicates."""
N_FOLDS = 5
"""Number of parts; each is held out once."""

_ALPHAS: dict[str, tuple[float, ...]] = {"cluster": (0.0, 0.05, 0.1, 0.2, 0.3, 0.5), "knn": (0.0, 0.1, 0.3)}
_ROWS = 1024


@dataclass(frozen=True, order=True)
class Setting:
    """A router that was tried."""

    router: str
    """Kind of router, as `fit` knows it."""
    alpha: float
    """0 for accuracy alone, 1 for cost alone."""

    def __str__(self) -> str:
        return f"{self.router}, alpha {self.alpha:g}"


@dataclass(frozen=True)
class Held:
    """What something did on each query while the query was held out; arrays have shape [n_queries]."""

    score: NDArray[np.float64]
    """Score of the answer, 0 to 1; NaN where it could not be measured."""
    cost: NDArray[np.float64]
    """Dollars; NaN where unknown."""


@dataclass(frozen=True)
class Crossfit:
    """Held-out results of everything that was tried."""

    fold: NDArray[np.int64]
    """The part that each query was held out in, shape [n_queries]."""
    best: Held
    """The best single pair, chosen on the other parts."""
    thrifty: Held
    """The cheapest single pair that was within the margin of the best on the other parts; often the best itself."""
    routers: dict[Setting, Held]
    """The routers, fitted on the other parts."""


def crossfit(
    table: OutcomeTable,
    groups: NDArray[np.int64],
    encoder: Encoder,
    *,
    margin: float,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Crossfit:
    """Hold every part of the queries out once, and try routers and single pairs on it.

    Args:
        table: the outcomes.
        groups: queries with the same number are held out together, shape [n_queries]; at least `N_FOLDS` of them.
        encoder: text to vectors, shared by all routers; it should remember all texts of the table.
        margin: how much less accurate than the best a thrifty pair may be, 0 to 1.
        seed: seed of the parts and of the clusterings.
        progress: called with the number of trials done and the number of all.
    """
    recorded = Recorded.of(table)
    fold = parts(groups, seed=seed)
    names = np.array(table.query_ids)
    settings = [Setting(kind, alpha) for kind, alphas in _ALPHAS.items() for alpha in alphas]
    best, thrifty = _empty(len(fold)), _empty(len(fold))
    routers = {setting: _empty(len(fold)) for setting in settings}
    for part in range(N_FOLDS):
        held, kept = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        order, frugal = single_orders(_rows(recorded, kept), margin)
        _ask(recorded, held, order, best)
        _ask(recorded, held, [frugal, *order], thrifty)
        training, test = (table.select(query_ids=names[rows].tolist()) for rows in (kept, held))
        executor = ReplayExecutor(test)
        for kind, alphas in _ALPHAS.items():
            router = _made(kind, encoder, seed).fit(training)
            for alpha in alphas:
                runs = run_router(router.configure(alpha=alpha), executor)
                routers[Setting(kind, alpha)].score[held] = runs.score
                routers[Setting(kind, alpha)].cost[held] = runs.cost
                if progress is not None:
                    done = part * len(settings) + settings.index(Setting(kind, alpha)) + 1
                    progress(done, N_FOLDS * len(settings))
    return Crossfit(fold=fold, best=best, thrifty=thrifty, routers=routers)


def single_orders(recorded: Recorded, margin: float) -> tuple[list[int], int]:
    """Choose single pairs on training queries.

    Returns:
        Columns in the order in which they are asked, the best single pair first and each of the others where those
        before it are not recorded; and the column of the thrifty pair.
    """
    singles = policies.SinglePairs.of(recorded)
    first, bar = [singles.best], float(singles.accuracy[singles.best])
    filled = policies.filled_pair(recorded, singles)
    if filled is not None:
        first = [*(int(column) for column in np.flatnonzero(filled.answer_share) if column != first[0]), *first]
        bar = float(np.nanmean(filled.score))
    rest = [int(column) for column in np.argsort(-np.nan_to_num(singles.accuracy, nan=-1.0), kind="stable")]
    order = [*first, *(column for column in rest if column not in first)]
    near = singles.priced & (np.nan_to_num(singles.accuracy, nan=-1.0) >= bar - margin)
    frugal = int(np.argmin(np.where(near, singles.cost, np.inf))) if near.any() else order[0]
    dear = singles.cost[order[0]]
    return order, order[0] if not np.isnan(dear) and singles.cost[frugal] >= dear else frugal


def parts(groups: NDArray[np.int64], *, seed: int = 0) -> NDArray[np.int64]:
    """Share groups of queries out over the parts, so that the parts have like sizes; shape [n_queries]."""
    names, members = np.unique(groups, return_counts=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    sizes = np.zeros(N_FOLDS)
    part = np.zeros(len(names), dtype=np.int64)
    for number in shuffled[np.argsort(-members[shuffled], kind="stable")]:
        part[number] = int(np.argmin(sizes))
        sizes[part[number]] += members[number]
    return part[np.searchsorted(names, groups)]


def near_duplicates(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the pairs of queries that are nearly the same, shape [n_found, 2], the lower number first."""
    found: list[NDArray[np.int64]] = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(vectors), _ROWS):
        rows, columns = np.nonzero(vectors[start : start + _ROWS] @ vectors[start:].T > ALIKE)
        found.append(np.stack([rows + start, columns + start], axis=1)[columns > rows])
    return np.concatenate(found)


def grouped(n_queries: int, links: NDArray[np.int64], texts: Sequence[str]) -> NDArray[np.int64]:
    """Put queries that are linked, directly or through others, into one group, shape [n_queries].

    Where that would chain more than a tenth of all queries together, only those of the same text are grouped.
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


def _made(kind: str, encoder: Encoder, seed: int) -> Any:
    return (ClusterRouter if kind == "cluster" else NeighbourRouter)(encoder, random_state=seed)


def _empty(n_queries: int) -> Held:
    return Held(np.full(n_queries, np.nan), np.full(n_queries, np.nan))


def _rows(recorded: Recorded, rows: NDArray[np.int64]) -> Recorded:
    return Recorded(
        pairs=recorded.pairs,
        domains=tuple(recorded.domains[row] for row in rows),
        score=recorded.score[rows],
        cost=recorded.cost[rows],
        latency=recorded.latency[rows],
    )


def _ask(recorded: Recorded, rows: NDArray[np.int64], order: Sequence[int], held: Held) -> None:
    asked = np.asarray(order)
    columns = asked[np.argmax(~np.isnan(recorded.score[rows][:, asked]), axis=1)]
    held.score[rows], held.cost[rows] = recorded.score[rows, columns], recorded.cost[rows, columns]
