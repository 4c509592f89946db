"""Cluster routing: embed the query, find its cluster, choose the pair that did best there (section 2 of the paper)."""

from __future__ import annotations

import copy
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from langchain_atlas.encoders import Encoder, SentenceTransformerEncoder
from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.pool.pool import Pair
from langchain_atlas.privacy import check_encoder
from langchain_atlas.query_features import Featurizer, QueryFeatures
from langchain_atlas.routers.cluster.consistency import fits_together
from langchain_atlas.routers.cluster.kmeans import Cluster, Clusterings, labelled
from langchain_atlas.routers.cluster.ridge import Ridge
from langchain_atlas.routers.cluster.statistics import SUMS, ClusterStatistics, natural_strength
from langchain_atlas.routers.cluster.trees import FEWEST_QUERIES, Forest
from langchain_atlas.routers.saved.artifact import Artifact, write_artifact
from langchain_atlas.routers.saved.fingerprints import fingerprints, united
from langchain_atlas.routers.utility import unpaired
from langchain_atlas.routers.utility.estimates import PairEstimates
from langchain_atlas.routers.utility.guard import PairedOutcomes, confidence_for
from langchain_atlas.routers.utility.router import UtilityRouter, check_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.trajectory import Candidate, Query

_REFINEMENTS = (2, 2, 2, 3, 3)
"""Ratio of the number of clusters of each finer clustering to that of the first."""
_FEWEST_IN_CLUSTER = 10
_HALFWAY = 20
"""Number of a pair's outcomes at which forest and ridge regression have half of their full weight."""
_HIGHEST_SEED = 2**32 - 1


class ClusterRouter(UtilityRouter):
    """Routes each query to the pair with the highest utility in the query's cluster.

    By default it goes beyond the paper in five ways, each of which can be turned off: a query's features cover its
    context and other content too (see `query_features.Featurizer`); the estimates of finer clusterings are averaged
    with those of the first; a pair's estimate in a cluster is shrunk towards its overall record; a forest and a ridge
    regression estimate how pairs differ on queries like this one (see `trees.Forest` and `ridge.Ridge`; each counts a
    third, and less as outcomes are added later); and a guard keeps to one pair where the evidence does not separate
    pairs (see `guard.py`). `ClusterRouter.as_in_paper` has none of them. The paper's alpha is the cost weight.

    Args:
        encoder: text to vectors; the default encoder when left out.
        n_clusters: number of clusters of the first clustering; at most the number of queries.
        strength: the number of outcomes that the pair's overall record counts as in every cluster; when left out, `fit`
            estimates it from the data, see `statistics.natural_strength`.
        n_refinements: number of finer clusterings, with two or three times as many clusters; 0 to 5.
        view: ``full``, or ``text`` for the embedding of the text alone.
        n_directions: number of directions of the outcomes in the full view.
        n_trees: number of trees in the forest; 0 for neither forest nor ridge regression. They need the full view and
            100 queries.
        random_state: seed of the clustering.
        settings: those of `UtilityRouter`.

    Raises:
        SettingError: a parameter is out of range.
    """

    kind: ClassVar[str] = "cluster"

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        n_clusters: int = 8,
        strength: float | None = None,
        n_refinements: int = len(_REFINEMENTS),
        view: Literal["full", "text"] = "full",
        n_directions: int = 3,
        n_trees: int = 50,
        random_state: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        for name, value, low, high in (
            ("n_clusters", n_clusters, 1, sys.maxsize),
            ("n_refinements", n_refinements, 0, len(_REFINEMENTS)),
            ("n_directions", n_directions, 0, sys.maxsize),
            ("n_trees", n_trees, 0, sys.maxsize),
            ("random_state", random_state, 0, _HIGHEST_SEED),
        ):
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                top = f" to {high}" if high < sys.maxsize else ""
                raise SettingError(f"{name} is {value!r}; it must be a whole number from {low}{top}.")
        if view not in ("full", "text"):
            raise SettingError(f"view is {view!r}; it must be 'full' or 'text'.")
        self.encoder = encoder or SentenceTransformerEncoder()
        self.n_clusters = n_clusters
        self.strength = strength
        self.n_refinements = n_refinements
        self.view = view
        self.n_directions = n_directions
        self.n_trees = n_trees
        self.random_state = random_state
        self._learning = threading.Lock()
        check_settings(self.settings)

    @classmethod
    def as_in_paper(cls, encoder: Encoder | None = None, **settings: Any) -> Self:
        """Return a router as in section 2 of the paper: one clustering of texts, raw statistics."""
        return cls(encoder, **{"n_refinements": 0, "view": "text", "strength": 0.0, "guard": 0.0, **settings})

    def fit(self, table: OutcomeTable) -> Self:
        """Cluster the table's queries and aggregate its outcomes.

        Args:
            table: the outcomes to learn from.

        Returns:
            The router itself.
        """
        vectors: NDArray[np.floating]
        self.view_: Featurizer | None = None
        self.forest_: Forest | None = None
        self.ridge_: Ridge | None = None
        outcomes = OutcomeMatrix.of(table)
        scores = outcomes.scores
        if self.view == "text":
            vectors = self._vectors(table.queries)
            completed = unpaired.completed(vectors, scores)
        else:
            features = QueryFeatures.of(table.queries, self.encoder)
            completed = unpaired.completed(np.hstack([features.text, features.context]), scores)
            scores = scores if completed is None else completed
            self.view_, vectors = Featurizer.learn(features, scores, self.n_directions, self.random_state)
            if self.n_trees and len(scores) >= FEWEST_QUERIES:
                seen, counts = self.view_.seen(features), outcomes.counts.astype(np.float64)
                forest = Forest.learn(_texts(table.queries), seen, scores, self.n_trees, self.random_state)
                self.forest_ = replace(forest, counts=counts)
                self.ridge_ = replace(Ridge.learn(seen, scores, self.random_state), counts=counts)
        finest = max(self.n_clusters, len(vectors) // _FEWEST_IN_CLUSTER)
        finer = [min(self.n_clusters * factor, finest) for factor in _REFINEMENTS[: self.n_refinements]]
        self.clusterings_ = Clusterings.fit(vectors, [self.n_clusters, *finer], self.random_state)
        distances = self.clusterings_.distances(vectors)
        rows = self.clusterings_.nearest(distances)
        self.statistics_ = ClusterStatistics.of(outcomes, rows, sum(self.clusterings_.sizes))
        away = np.take_along_axis(distances, rows, axis=1).mean(axis=1)
        self.paired_ = PairedOutcomes.of(outcomes.scores, rows, self.clusterings_.sizes, away, completed)
        if not self._guard_is_set:
            self.guard = confidence_for(table.domains)
        self.natural_strength_ = natural_strength(self.statistics_, self.clusterings_.sizes)
        self.clusters_ = labelled(rows[:, 0], table.domains, self.clusterings_.sizes[0])
        self.fitted_on = united(fingerprints(table.queries))
        return self

    def partial_fit(self, table: OutcomeTable) -> Self:
        """Add new outcomes of known pairs; the clusters do not change.

        Raises:
            PoolError: a pair is new; use `add_pairs` for new pairs.
        """
        new = [str(pair) for pair in table.pairs if pair not in self.pairs]
        if new:
            raise PoolError(f"Pair {new[0]!r} is new to this router; add it with 'add_pairs'.")
        self._take_in(table)
        return self

    def add_pairs(self, probes: OutcomeTable) -> Self:
        """Return a router that also knows new pairs; a few probe queries are enough for a first estimate.

        Args:
            probes: outcomes of the new pairs, on any queries; outcomes of known pairs are added too.
        """
        router = copy.copy(self)
        router._learning = threading.Lock()  # noqa: SLF001  # of its own class
        router._take_in(probes)  # noqa: SLF001
        return router

    def _take_in(self, probes: OutcomeTable) -> None:
        """Add outcomes, including those of new pairs."""
        rows = self.clusterings_.nearest(self._distances(probes.queries))
        outcomes = OutcomeMatrix.of(probes)
        fresh = ClusterStatistics.of(outcomes, rows, sum(self.clusterings_.sizes))
        with self._learning:  # otherwise, of two threads that learn at once, the slower would undo the faster
            joined = self.statistics_ + fresh
            paired = self.paired_.plus(outcomes.with_pairs(joined.pairs).scores, rows)
            # One assignment, so that a thread that decides meanwhile sees either all of the old outcomes or all of the
            # new.
            self.__dict__.update(statistics_=joined, paired_=paired)
            self.fitted_on = united(self.fitted_on, fingerprints(probes.queries))

    def place(self, queries: Sequence[Query]) -> NDArray[np.int64]:
        """Return the cluster of each query in the first clustering, shape [n_queries]."""
        return self.clusterings_.nearest(self._distances(queries))[:, 0]

    def best(self, cluster: int) -> Candidate:
        """Return the pair with the highest utility in a cluster of the first clustering, with its evidence."""
        expected = self._expected([cluster], "nearest-cluster", None, None)
        utility = self.utility(expected)
        return self._candidate(expected, int(np.argmax(utility)), utility)

    def evidence(self, cluster: int) -> NDArray[np.float64]:
        """Return the number of outcomes of each pair in a cluster of the first clustering, shape [n_pairs]."""
        counts: NDArray[np.float64] = self.statistics_.count[cluster]
        return counts

    def _vectors(self, queries: Sequence[Query]) -> NDArray[np.floating]:
        if self.view_ is None:
            check_encoder(self.encoder, queries)
            return self.encoder.encode(_texts(queries))
        return self.view_.vectors(QueryFeatures.of(queries, self.encoder))

    def _distances(self, queries: Sequence[Query]) -> NDArray[np.float64]:
        return self.clusterings_.distances(self._vectors(queries))

    def _prepare(self, queries: Sequence[Query]) -> list[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
        """Return each query's distances to all centres, and the other estimates, shape [2, n_known_pairs]."""
        if self.view_ is None or self.forest_ is None or self.ridge_ is None:
            return [(distances, None) for distances in self._distances(queries)]
        features = QueryFeatures.of(queries, self.encoder)
        seen = self.view_.seen(features, short=True)
        distances = self.clusterings_.distances(self.view_.vectors(features, seen))
        further = np.empty((len(queries), 2, len(self.forest_.counts)))
        further[:, 0], further[:, 1] = self.forest_.success(_texts(queries), seen), self.ridge_.success(seen)
        return list(zip(distances, further, strict=True))

    def _expect(
        self, item: tuple[NDArray[np.float64], NDArray[np.float64] | None], permitted: NDArray[np.bool_]
    ) -> PairEstimates:
        distances, further = item
        rows, rule = self.statistics_.speaking(distances, self.clusterings_.parts, permitted)
        return self._expected(rows, rule, distances[rows].tolist(), further)

    def _expected(
        self, rows: list[int], rule: str, distances: list[float] | None, further: NDArray[np.float64] | None
    ) -> PairEstimates:
        """Return the estimates from some clusters.

        Args:
            rows: the clusters, one of each clustering, or only the first.
            rule: how they were found.
            distances: distance of the query to their centres; None if there is no query.
            further: what forest and ridge regression estimate, shape [2, n_known_pairs]; None without them.
        """
        strength = self.natural_strength_ if self.strength is None else self.strength
        known, cluster = self.statistics_.estimates(strength), rows[0]
        success, counted, cost, latency, scaled_cost, scaled_latency = known.averaged(rows)
        away = None if distances is None or rule == "best-overall" else sum(distances) / len(rows)
        parts, estimates = {"The cluster": known.success[cluster], "Finer clusters": success}, success[None]
        if further is not None:
            estimates = self._joined(success, further)
            parts |= {"The trees": estimates[1], "The ridge regression": estimates[2]}
            success = np.add.reduce(estimates) / len(estimates)
        where = f"cluster {cluster} ({self.clusters_[cluster].label})"
        return PairEstimates(
            success=success,
            parts=parts,
            cost=cost,
            latency=latency,
            scaled_cost=scaled_cost,
            scaled_latency=scaled_latency,
            highest=known.highest,
            rule=rule,
            where="the overall records, as no cluster has outcomes" if rule == "best-overall" else where,
            evidence=self.statistics_.count[cluster],
            counted=counted,
            cluster=cluster,
            distance=None if distances is None else distances[0],
            **self._spread(rows, away, estimates),
        )

    def _joined(self, success: NDArray[np.float64], further: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the estimates of clusters, forest and ridge regression, shape [3, n_pairs].

        Each of the further ones is mixed with that of the clusters, which has learned more outcomes since the fit.
        """
        estimates = np.empty((1 + len(further), len(success)))
        estimates[:] = success
        if self.forest_ is not None:  # without it nothing further is estimated
            # Pairs that were added later are last; the forest and the ridge regression have no outcomes of them.
            mixed = estimates[1:, : further.shape[1]]
            mixed += self.statistics_.share_of(self.forest_.counts, _HALFWAY) * (further - mixed)
        return estimates

    def _spread(self, rows: list[int], away: float | None, estimates: NDArray[np.float64]) -> dict[str, Any]:
        """Return the uncertainty of the estimates against the default pair, if there is a guard that uses it.

        As fields of `PairEstimates`; none without a guard.
        """
        outcomes = self.statistics_.outcomes
        if not self._margin or not outcomes[self.paired_.default]:  # without a score there is no default
            return {}
        return {
            "default": self.paired_.default,
            "spread": np.sqrt(self.paired_.variance(rows, away, estimates, self._cells())),
            "paired": self.paired_.count[rows[0]],
            "far": self.paired_.beyond(away) > 1,
        }

    def _cells(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how uncertain each cell is; computed again only after learning."""
        return self.paired_.cells_beside(self.statistics_.count, self.statistics_.outcomes)

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
        columns = np.array([self.statistics_.pairs.index(pair) for pair in pairs])
        router.paired_ = self.paired_.with_pairs(columns)
        if self.forest_ is not None and self.ridge_ is not None:
            learned = np.where(columns < len(self.forest_.counts), columns, -1)
            router.forest_, router.ridge_ = self.forest_.with_pairs(learned), self.ridge_.with_pairs(learned)
        return router

    @property
    def _default(self) -> Pair | None:
        return self.pairs[self.paired_.default]

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder; see `Router.save`."""
        write_artifact(folder, self.artifact())

    def artifact(self) -> Artifact:
        """Return everything that `save` writes."""
        learned = (self.clusterings_, self.statistics_, self.paired_, self.view_, self.forest_, self.ridge_)
        return Artifact(
            kind=self.kind,
            pairs=self.pairs,
            encoder=self.encoder.identity(),
            settings=dict(self.settings),
            facts={
                "parameters": {
                    "n_clusters": self.n_clusters,
                    "n_refinements": self.n_refinements,
                    "view": self.view,
                    "n_directions": self.n_directions,
                    "n_trees": self.n_trees,
                    "random_state": self.random_state,
                },
                "natural_strength": self.natural_strength_,
                "sizes": list(self.clusterings_.sizes),
                "default": str(self.pairs[self.paired_.default]),
                "distances": list(self.paired_.distances),
                "clusters": [[cluster.queries, cluster.label] for cluster in self.clusters_],
            },
            arrays={name: array for part in learned if part is not None for name, array in part.arrays().items()},
            fitted_on=self.fitted_on,
            curve=self.curve,
            held_out=self.held_out,
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact, encoder: Encoder | None) -> Self:
        """Rebuild the router from what `save` wrote."""
        facts, arrays = artifact.facts, dict(artifact.arrays)
        router = cls(encoder, **facts["parameters"], **artifact.settings)
        router.view_ = Featurizer.from_arrays(arrays) if router.view == "full" else None
        router.forest_, router.ridge_ = Forest.from_arrays(arrays), Ridge.from_arrays(arrays)
        router.clusterings_ = Clusterings(arrays.pop("centres"), tuple(facts["sizes"]))
        router.statistics_ = ClusterStatistics(
            pairs=artifact.pairs, repeats=len(facts["sizes"]), **{name: arrays[name] for name in SUMS}
        )
        default = artifact.pairs.index(Pair.parse(facts["default"]))
        low, high = map(float, facts["distances"])
        router.paired_ = PairedOutcomes.from_arrays(arrays, default, tuple(facts["sizes"]), (low, high))
        router.natural_strength_ = float(facts["natural_strength"])
        router.clusters_ = tuple(Cluster(*cluster) for cluster in facts["clusters"])
        if not fits_together(router, len(artifact.pairs), (artifact.encoder or {})["dimension"]):
            raise ValueError("its clusters, its pairs and its statistics don't fit together")
        return router


def _texts(queries: Sequence[Query]) -> list[str]:
    return [query.text for query in queries]
