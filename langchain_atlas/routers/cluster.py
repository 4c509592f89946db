"""Cluster routing: embed the query, find its cluster, take the pair that did best there (section 2 of the paper)."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from langchain_atlas.encoders import Encoder, SentenceTransformerEncoder
from langchain_atlas.errors import ConstraintError, PoolError, SettingError
from langchain_atlas.routers.artifact import Artifact, write_artifact
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.routers.statistics import ClusterStatistics, scaled
from langchain_atlas.trajectory import START, Candidate, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool import Pair

_MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class Cluster:
    """A group of similar queries."""

    queries: int
    """How many queries it was made of."""
    label: str
    """Domain that most of them came from."""


class ClusterRouter(Router):
    """Routes each query to the pair with the highest utility in the query's cluster.

    Utility is ``(1 - alpha) * success - alpha * price``: the price is the pair's mean cost in the cluster, scaled to
    [0, 1] over the pool, of which `latency_share` may be latency, scaled likewise. It routes once; when the call
    fails it tries the next best pair of another model, `failovers` times.

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
        if not (isinstance(n_clusters, int) and n_clusters >= 1):
            raise SettingError(f"n_clusters is {n_clusters!r}; it must be a whole number from 1.")
        self.encoder = encoder or SentenceTransformerEncoder()
        self.n_clusters = n_clusters
        self.alpha = alpha
        self.latency_share = latency_share
        self.strength = strength
        self.failovers = failovers
        self.random_state = random_state
        _check_settings(self.settings)

    def fit(self, table: OutcomeTable) -> Self:
        """Cluster the table's queries and add up its outcomes.

        Args:
            table: the experience.

        Returns:
            The router itself.
        """
        from sklearn.cluster import KMeans

        vectors = self.encoder.encode([query.text for query in table.queries])
        distinct = len(np.unique(vectors, axis=0))
        means = KMeans(
            n_clusters=min(self.n_clusters, distinct),
            init="k-means++",
            n_init="auto",
            max_iter=_MAX_ITERATIONS,
            algorithm="elkan",
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
        new = [str(pair) for pair in table.pairs if pair not in self.statistics_.number]
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
        clusters = self._nearest(self.encoder.encode([query.text for query in probes.queries]))[0][:, 0]
        self.statistics_ = self.statistics_ + ClusterStatistics.of(probes, clusters, len(self.centroids_))
        return self

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Route once, then answer; see `Router.decide`."""
        return self._decide(query, trajectory, self.encoder.encode([query.text]))

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries with one pass of the encoder."""
        if not queries:
            return []
        vectors = self.encoder.encode([query.text for query in queries])
        return [self._decide(query, START, vector[None]) for query, vector in zip(queries, vectors, strict=True)]

    def _decide(self, query: Query, trajectory: Trajectory, vector: NDArray[np.float32]) -> Decision:
        tried = trajectory.observations
        if tried and not tried[-1].failed:
            return last_answer(trajectory, rule="routed-once", reason="Cluster routing asks one pair.")
        if len(tried) > self.failovers:
            return last_answer(trajectory, rule="failovers-used", reason=f"{len(tried)} calls failed.")
        order, distances = self._nearest(vector)
        allowed = self._allowed(query, int(order[0, 0]), tuple(seen.pair for seen in tried))
        if tried and not allowed.any():
            return last_answer(trajectory, rule="failovers-used", reason="No other pair is left to try.")
        cluster, rule = self._evidenced(order[0], allowed)
        utility = np.where(allowed, self._utility(query)[cluster], -np.inf)
        best, second = _top_two(utility)
        chosen = self._candidate(cluster, best, utility)
        return Decision(
            kind="route",
            pair=chosen.pair,
            rule=f"failover, {rule}" if tried else rule,
            cluster=cluster,
            distance=float(distances[0, np.flatnonzero(order[0] == cluster)[0]]),
            chosen=chosen,
            runner_up=None if second is None else self._candidate(cluster, second, utility),
            reason=self._reason(cluster, chosen, rule),
        )

    def _nearest(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return clusters by distance and the distances, both of shape [n, n_clusters], nearest first."""
        squared = (
            (vectors**2).sum(axis=1, keepdims=True) - 2 * vectors @ self.centroids_.T + (self.centroids_**2).sum(axis=1)
        )
        order = np.argsort(squared, axis=1, kind="stable")
        return order, np.sqrt(np.maximum(np.take_along_axis(squared, order, axis=1), 0))

    def _evidenced(self, order: NDArray[np.int64], allowed: NDArray[np.bool_]) -> tuple[int, str]:
        """Return the nearest cluster with outcomes of an allowed pair, and the rule that this makes."""
        count = self.statistics_.count[:, allowed].sum(axis=1)
        for position, cluster in enumerate(order):
            if count[cluster] > 0:
                return int(cluster), "nearest-cluster" if position == 0 else "nearby-cluster"
        return int(order[0]), "best-overall"

    def _utility(self, query: Query) -> NDArray[np.float64]:
        """Return the utility of each cell, shape [n_clusters, n_pairs] (equation of section 2, cost scaled)."""
        alpha = self.alpha if query.cost_weight is None else query.cost_weight
        price = (1 - self.latency_share) * scaled(self.statistics_.expected_cost())
        if self.latency_share:
            price += self.latency_share * scaled(self.statistics_.expected_latency())
        return (1 - alpha) * self.statistics_.expected_success(self.strength) - alpha * price

    def _allowed(self, query: Query, cluster: int, tried: tuple[Pair, ...]) -> NDArray[np.bool_]:
        """Return which pairs may be asked, shape [n_pairs].

        Raises:
            ConstraintError: the query's constraints leave none.
        """
        limits, pairs = query.constraints, self.statistics_.pairs
        allowed = np.array([limits.pairs is None or pair in limits.pairs for pair in pairs])
        if not allowed.any():
            raise ConstraintError(f"The router knows none of the pairs that the query allows: {_some(limits.pairs)}.")
        for limit, values, what in (
            (limits.max_cost_usd, self.statistics_.expected_cost(), "dollars"),
            (limits.max_latency_s, self.statistics_.expected_latency(), "seconds"),
        ):
            if limit is None:
                continue
            row = np.where(allowed, values[cluster], np.nan)
            allowed = allowed & (np.nan_to_num(row, nan=np.inf) <= limit)
            if not allowed.any():
                least = "is known" if np.isnan(row).all() else f"is {np.nanmin(row):.3g}"
                raise ConstraintError(
                    f"No pair is expected to stay within {limit:g} {what}; the least expected "
                    f"{least if least != 'is known' else 'is not known for any pair'}. Raise the limit."
                )
        failed_models = {pair.model for pair in tried}
        fresh = allowed & np.array([pair not in tried for pair in pairs])
        elsewhere = fresh & np.array([pair.model not in failed_models for pair in pairs])
        return elsewhere if elsewhere.any() else fresh

    def _candidate(self, cluster: int, column: int, utility: NDArray[np.float64]) -> Candidate:
        known = self.statistics_
        return Candidate(
            pair=known.pairs[column],
            expected_success=float(known.expected_success(self.strength)[cluster, column]),
            evidence=int(known.count[cluster, column]),
            interval=known.interval(cluster, column, self.strength),
            expected_cost_usd=_or_none(known.expected_cost()[cluster, column]),
            expected_latency_s=_or_none(known.expected_latency()[cluster, column]),
            utility=float(utility[column]),
        )

    def _reason(self, cluster: int, chosen: Candidate, rule: str) -> str:
        low, high = chosen.interval or (0.0, 1.0)
        cost = (
            "at unknown cost"
            if chosen.expected_cost_usd is None
            else f"at ${1000 * chosen.expected_cost_usd:.3g} per 1000"
        )
        where = f"cluster {cluster} ({self.clusters_[cluster].label})"
        known = f"{chosen.pair} is expected to solve {chosen.expected_success:.0%} ({low:.0%}-{high:.0%})"
        if rule == "best-overall":
            return f"No cluster has outcomes of an allowed pair; {known} by its overall record, {cost}."
        return f"In {where}, from {chosen.evidence} outcomes there, {known}, {cost}."

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from."""
        return self.statistics_.pairs

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {
            "alpha": self.alpha,
            "latency_share": self.latency_share,
            "strength": self.strength,
            "failovers": self.failovers,
        }

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        _check_settings(settings)
        router = copy.copy(self)
        for name, value in settings.items():
            setattr(router, name, value)
        return router

    def restrict(self, pairs: Iterable[Pair]) -> Self:
        """Return a router that chooses from these of its pairs only.

        Raises:
            PoolError: none of them is one of its pairs.
        """
        wanted = set(pairs)
        kept = [pair for pair in self.pairs if pair in wanted]
        if not kept:
            raise PoolError(
                f"The router and the pool share no pair: the router knows {_some(self.pairs)}, the pool {_some(wanted)}."
            )
        router = copy.copy(self)
        router.statistics_ = self.statistics_.with_pairs(kept)
        return router

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder; see `Router.save`."""
        write_artifact(
            folder,
            Artifact(
                kind=self.kind,
                pairs=self.pairs,
                encoder={
                    "name": self.encoder.name,
                    "dimension": self.encoder.dimension,
                    "fingerprint": list(self.encoder.fingerprint),
                },
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
        return router


def _check_settings(settings: Mapping[str, Any]) -> None:
    highest = {"alpha": 1.0, "latency_share": 1.0, "strength": np.inf, "failovers": np.inf}
    for name, value in settings.items():
        whole = name == "failovers"
        right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not right or not 0 <= value <= highest[name]:
            kind = "a whole number" if whole else "a number"
            top = f" to {highest[name]:g}" if np.isfinite(highest[name]) else ""
            raise SettingError(f"{name} is {value!r}; it must be {kind} from 0{top}.")


def _labelled(clusters: NDArray[np.int64], domains: Sequence[str], n_clusters: int) -> tuple[Cluster, ...]:
    members: list[Counter[str]] = [Counter() for _ in range(n_clusters)]
    for cluster, domain in zip(clusters, domains, strict=True):
        members[cluster][domain] += 1
    return tuple(Cluster(count.total(), count.most_common(1)[0][0] if count else "") for count in members)


def _top_two(utility: NDArray[np.float64]) -> tuple[int, int | None]:
    order = np.argsort(-utility, kind="stable")
    second = int(order[1]) if len(order) > 1 and np.isfinite(utility[order[1]]) else None
    return int(order[0]), second


def _some(pairs: Iterable[Pair] | None, limit: int = 4) -> str:
    names = sorted(map(str, pairs or ()))
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
