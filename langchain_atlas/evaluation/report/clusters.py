"""A router's clusters in the report: whom it asks in each, how every pair does in them, and a map."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from langchain_atlas.evaluation.replay.metrics import known_mean
from langchain_atlas.evaluation.report.rates import rates_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.evaluation.settings.sweeps import Sweep
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.cluster.kmeans import Cluster
    from langchain_atlas.trajectory import Query

MOST_POINTS = 1500
"""Maximum number of queries on the map; of more, a random sample is drawn."""

_CHUNK = 256
_SAMPLES = 3
_LONGEST = 200
_TOP_DOMAINS = 3


@runtime_checkable
class Clustered(Protocol):
    """A router that has clusters."""

    clusters_: tuple[Cluster, ...]
    """The clusters."""

    def evidence(self, cluster: int) -> NDArray[np.float64]:
        """Return the number of outcomes of each pair in a cluster, shape [n_pairs]."""

    def place(self, queries: Sequence[Query]) -> NDArray[np.int64]:
        """Return the cluster of each query."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs that it chooses from."""


def clusters_of(
    swept: Sweep, held_out: Sweep, bar: Runs, table: OutcomeTable, *, show_queries: bool, seed: int
) -> dict[str, Any] | None:
    """Describe a router's clusters on a table, and whom it asks in each.

    Args:
        swept: the router itself at all of its settings: whom it asks.
        held_out: the same settings on queries that were not seen, or the same again: how often it is right.
        bar: the best single pair.
        table: the outcomes.
        show_queries: whether to give the texts of some queries.
        seed: seed of the choice of queries.

    Returns:
        ``clusters`` (size, domains), ``asked`` (by setting and cluster: the pairs called first, with numbers of
        queries and of the outcomes that the router has of the pair there), ``right`` (by setting and cluster: the rate
        of right answers), ``single`` (the best single pair's rate by cluster), ``heat`` (by cluster and pair) and
        ``map``; None when the router has no clusters.
    """
    restricted = swept.router.restrict(table.pairs)
    router = restricted if isinstance(restricted, Clustered) else getattr(restricted, "cluster", None)
    if not isinstance(router, Clustered):
        return None
    place = np.concatenate([router.place(part) for part in _chunks(table.queries)])
    rng = np.random.default_rng(seed)
    size = len(router.clusters_)
    known = _evidence(router, table.pairs)
    described: dict[str, Any] = {
        "clusters": [_described(router, number, place, table, rng if show_queries else None) for number in range(size)],
        "asked": [asked(runs, place, size, known) for runs in swept.runs],
        "right": [rates_by(runs.score, place, size) for runs in held_out.runs],
        "costs": [_costs(runs, place, size) for runs in held_out.runs],
        "single": rates_by(bar.score, place, size),
        "heat": _heat(place, table, size),
    }
    encoder: Encoder | None = getattr(router, "encoder", None)
    if encoder is not None:
        described["map"] = _map(encoder, place, table, rng, show_queries=show_queries)
    return described


def asked(
    runs: Runs, place: NDArray[np.int64], n_groups: int, evidence: NDArray[np.float64] | None = None
) -> list[list[list[int | None]]]:
    """Count whom a router calls first in each group of queries.

    Args:
        runs: the router's runs.
        place: the group of each query, shape [n_queries].
        n_groups: number of groups.
        evidence: number of outcomes of each pair in each group, shape [n_groups, n_pairs].

    Returns:
        For each group [pair's column, number of queries, number of outcomes], the most called pair first.
    """
    counts = [Counter[int]() for _ in range(n_groups)]
    for number, path in zip(place, runs.paths, strict=True):
        if path:
            counts[number][path[0]] += 1
    return [
        [
            [pair, count, None if evidence is None else int(evidence[number, pair])]
            for pair, count in sorted(group.items(), key=lambda each: (-each[1], each[0]))
        ]
        for number, group in enumerate(counts)
    ]


def _evidence(router: Clustered, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Return the number of outcomes that a router has, by cluster and by the table's pairs."""
    found = np.zeros((len(router.clusters_), len(pairs)))
    columns = [pairs.index(pair) for pair in router.pairs]
    for number in range(len(router.clusters_)):
        found[number, columns] = router.evidence(number)
    return found


def _costs(runs: Runs, place: NDArray[np.int64], n_groups: int) -> list[float | None]:
    """Return mean dollars per 1000 queries of each group, over the known costs."""
    means = [known_mean(runs.cost[place == number]) for number in range(n_groups)]
    return [None if mean is None else 1000 * mean for mean in means]


def _chunks(queries: Sequence[Query]) -> list[Sequence[Query]]:
    return [queries[start : start + _CHUNK] for start in range(0, len(queries), _CHUNK)]


def _described(
    router: Clustered, number: int, place: NDArray[np.int64], table: OutcomeTable, rng: np.random.Generator | None
) -> dict[str, Any]:
    rows = np.flatnonzero(place == number)
    counts = Counter(table.domains[row] for row in rows)
    described: dict[str, Any] = {
        "label": router.clusters_[number].label,
        "fitted": router.clusters_[number].queries,
        "here": len(rows),
        "domains": [[name, count / len(rows)] for name, count in counts.most_common(_TOP_DOMAINS)],
    }
    if rng is not None:
        chosen = rng.permutation(rows)[:_SAMPLES]
        described["samples"] = [_short(table.queries[row].text) for row in chosen]
    return described


def _heat(place: NDArray[np.int64], table: OutcomeTable, n_clusters: int) -> dict[str, Any]:
    """Average the scores in each cluster; lists by cluster and pair."""
    score = table.matrix("score")
    known = ~np.isnan(score)
    total, count = np.zeros((n_clusters, score.shape[1])), np.zeros((n_clusters, score.shape[1]))
    np.add.at(total, place, np.where(known, score, 0.0))
    np.add.at(count, place, known)
    with np.errstate(invalid="ignore"):
        mean = (total / count).round(4)
    return {
        "success": [[None if np.isnan(cell) else float(cell) for cell in row] for row in mean],
        "count": count.astype(int).tolist(),
    }


def _map(
    encoder: Encoder, place: NDArray[np.int64], table: OutcomeTable, rng: np.random.Generator, *, show_queries: bool
) -> dict[str, Any]:
    """Project the queries' embeddings onto the plane in which the clusters' means are farthest apart."""
    rows = np.sort(rng.permutation(len(place))[:MOST_POINTS])
    parts = _chunks([table.queries[row] for row in rows])
    vectors = np.concatenate([encoder.encode([query.text for query in part]) for part in parts])
    plane = projected(vectors, place[rows])
    names = list(dict.fromkeys(table.domains))
    drawn: dict[str, Any] = {
        "x": plane[:, 0].round(4).tolist(),
        "y": plane[:, 1].round(4).tolist(),
        "cluster": place[rows].tolist(),
        "domain": [names.index(table.domains[row]) for row in rows],
    }
    if show_queries:
        drawn["text"] = [_short(table.queries[row].text) for row in rows]
    return drawn


def projected(vectors: NDArray[np.float32], place: NDArray[np.int64]) -> NDArray[np.float64]:
    """Project vectors onto two directions, shape [n, 2].

    With three clusters or more, onto the principal components of their means, each weighted by its number of vectors;
    otherwise onto those of the vectors themselves.
    """
    names = np.unique(place)
    spread = vectors.astype(np.float64)
    if len(names) > 2:  # noqa: PLR2004  # three points span a plane
        for name in names:
            spread[place == name] = vectors[place == name].mean(axis=0)
    middle = spread.mean(axis=0)
    axes = np.linalg.svd(spread - middle, full_matrices=False)[2][:2]
    plane: NDArray[np.float64] = (vectors - middle) @ axes.T
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
