"""Cluster routing: embed the query, find its cluster, take the pair that did best there (section 2 of the paper)."""

from __future__ import annotations

import copy
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from langchain_atlas.encoders import Encoder, SentenceTransformerEncoder
from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.routers.artifact import Artifact, write_artifact
from langchain_atlas.routers.statistics import ClusterStatistics
from langchain_atlas.routers.utility import Belief, UtilityRouter, check_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool import Pair
    from langchain_atlas.trajectory import Candidate, Query

_MAX_ITERATIONS = 1000
_HIGHEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Cluster:
    """A group of similar queries."""

    queries: int
    """How many queries it was made of."""
    label: str
    """Domain that most of them came from."""


class ClusterRouter(UtilityRouter):
    """Routes each query to the pair with the highest utility in the query's cluster.

    Args:
        encoder: text to vectors; the default encoder when left out.
        n_clusters: number of clusters; no more than there are queries.
        alpha: 0 for accuracy alone, 1 for cost alone.
        latency_share: part of the price that is latency instead of cost, 0 to 1.
        strength: the pair's overall record counts as this many outcomes in every cluster.
        failovers: how many other pairs to try when calls fail.
        random_state: seed of the clustering.

    Raises:
        SettingError: a parameter is out of range.
    """

    kind: ClassVar[str] = "cluster"

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        n_clusters: int = 8,
        alpha: float = 0.5,
        latency_share: float = 0.0,
        strength: float = 10.0,
        failovers: int = 1,
        random_state: int = 0,
    ) -> None:
        super().__init__(alpha=alpha, latency_share=latency_share, failovers=failovers)
        for name, value, low, high in (
            ("n_clusters", n_clusters, 1, sys.maxsize),
            ("random_state", random_state, 0, _HIGHEST_SEED),
        ):
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                top = f" to {high}" if high < sys.maxsize else ""
                raise SettingError(f"{name} is {value!r}; it must be a whole number from {low}{top}.")
        self.encoder = encoder or SentenceTransformerEncoder()
        self.n_clusters = n_clusters
        self.strength = strength
        self.random_state = random_state
        self._learning = threading.Lock()
        check_settings(self.settings)

    def fit(self, table: OutcomeTable) -> Self:
        """Cluster the table's queries and add up its outcomes.

        Args:
            table: the experience.

        Returns:
            The router itself.
        """
        from sklearn.cluster import KMeans

        vectors = self._vectors(table.queries)
        n_clusters = min(self.n_clusters, len(np.unique(vectors, axis=0)))
        means = KMeans(
            n_clusters=n_clusters,
            init="k-means++",
            n_init="auto",
            max_iter=_MAX_ITERATIONS,
            algorithm="elkan" if n_clusters > 1 else "lloyd",  # of one cluster, both find the mean; Elkan's warns
            random_state=self.random_state,
        ).fit(vectors)
        self.centroids_: NDArray[np.float32] = means.cluster_centers_.astype(np.float32)
        clusters = self._nearest(vectors)[0][:, 0]
        self.statistics_ = ClusterStatistics.of(table, clusters, len(self.centroids_))
        self.clusters_ = _labelled(clusters, table.domains, len(self.centroids_))
        return self

    def partial_fit(self, table: OutcomeTable) -> Self:
        """Add fresh outcomes of known pairs; the clusters stay where they are.

        Raises:
            PoolError: a pair is new; `add_pairs` takes those.
        """
        new = [str(pair) for pair in table.pairs if pair not in self.pairs]
        if new:
            raise PoolError(f"Pair {new[0]!r} is new to this router; add it with 'add_pairs'.")
        return self.add_pairs(table)

    def add_pairs(self, probes: OutcomeTable) -> Self:
        """Add outcomes, of new pairs too: a few probe queries are enough for a first estimate.

        Args:
            probes: outcomes of the new pairs, on whatever queries.

        Returns:
            The router itself.
        """
        clusters = self._nearest(self._vectors(probes.queries))[0][:, 0]
        fresh = ClusterStatistics.of(probes, clusters, len(self.centroids_))
        with self._learning:  # else of two threads that learn at once, the slower would undo the faster
            # One assignment, so that a thread that decides meanwhile sees the old statistics or the new ones, whole.
            self.statistics_ = self.statistics_ + fresh
        return self

    def best(self, cluster: int) -> Candidate:
        """Return the pair with the highest utility in a cluster, with the evidence."""
        belief = self._row(cluster, "nearest-cluster", None)
        utility = self.utility(belief, self.alpha)
        return self._candidate(belief, int(np.argmax(utility)), utility)

    def _vectors(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        return self.encoder.encode([query.text for query in queries])

    def _prepare(self, queries: Sequence[Query]) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        return list(zip(*self._nearest(self._vectors(queries)), strict=True))

    def _believe(self, item: tuple[NDArray[np.int64], NDArray[np.float32]], permitted: NDArray[np.bool_]) -> Belief:
        """Take the nearest cluster with outcomes of a permitted pair; with none at all, the overall records.

        The paper leaves open what happens where a cluster has no statistics.
        """
        order, distances = item
        count = self.statistics_.count
        for position, cluster in enumerate(order):
            if count[cluster, permitted].any():
                rule = "nearest-cluster" if position == 0 else "nearby-cluster"
                return self._row(int(cluster), rule, float(distances[position]))
        return self._row(int(order[0]), "best-overall", float(distances[0]))

    def _row(self, cluster: int, rule: str, distance: float | None) -> Belief:
        known = self.statistics_.estimates(self.strength)
        where = f"cluster {cluster} ({self.clusters_[cluster].label})"
        return Belief(
            success=known.success[cluster],
            cost=known.cost[cluster],
            latency=known.latency[cluster],
            scaled_cost=known.scaled_cost[cluster],
            scaled_latency=known.scaled_latency[cluster],
            rule=rule,
            where="the overall records, as no cluster has outcomes" if rule == "best-overall" else where,
            evidence=self.statistics_.count[cluster],
            solved=known.solved[cluster],
            failed=known.failed[cluster],
            cluster=cluster,
            distance=distance,
        )

    def _nearest(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return clusters by distance and the distances, both of shape [n, n_clusters], nearest first."""
        squared = (
            (vectors**2).sum(axis=1, keepdims=True) - 2 * vectors @ self.centroids_.T + (self.centroids_**2).sum(axis=1)
        )
        order = np.argsort(squared, axis=1, kind="stable")
        return order, np.sqrt(np.maximum(np.take_along_axis(squared, order, axis=1), 0))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from."""
        return self.statistics_.pairs

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {**super().settings, "strength": self.strength}

    def _with_pairs(self, pairs: tuple[Pair, ...]) -> Self:
        router = copy.copy(self)
        router.statistics_ = self.statistics_.with_pairs(pairs)
        return router

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder; see `Router.save`."""
        write_artifact(
            folder,
            Artifact(
                kind=self.kind,
                pairs=self.pairs,
                encoder=self.encoder.identity(),
                settings=dict(self.settings),
                facts={
                    "n_clusters": self.n_clusters,
                    "random_state": self.random_state,
                    "clusters": [[cluster.queries, cluster.label] for cluster in self.clusters_],
                },
                arrays={"centroids": self.centroids_, **self.statistics_.arrays()},
            ),
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact, encoder: Encoder | None) -> Self:
        """Rebuild the router from what `save` wrote."""
        facts, arrays = artifact.facts, dict(artifact.arrays)
        router = cls(encoder, n_clusters=facts["n_clusters"], random_state=facts["random_state"], **artifact.settings)
        router.centroids_ = arrays.pop("centroids")
        router.statistics_ = ClusterStatistics(pairs=artifact.pairs, **arrays)
        router.clusters_ = tuple(Cluster(*cluster) for cluster in facts["clusters"])
        shape = (len(router.clusters_), len(artifact.pairs))
        if len(router.centroids_) != shape[0] or any(array.shape != shape for array in arrays.values()):
            raise ValueError("its clusters, its pairs and its statistics don't fit together")
        return router


def _labelled(clusters: NDArray[np.int64], domains: Sequence[str], n_clusters: int) -> tuple[Cluster, ...]:
    members: list[Counter[str]] = [Counter() for _ in range(n_clusters)]
    for cluster, domain in zip(clusters, domains, strict=True):
        members[cluster][domain] += 1
    return tuple(Cluster(count.total(), count.most_common(1)[0][0] if count else "") for count in members)
