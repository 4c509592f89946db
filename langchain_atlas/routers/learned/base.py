"""The base of all learned baselines: they estimate every pair's success from the query's embedding."""

from __future__ import annotations

import copy
import sys
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from langchain_atlas.encoders import Encoder, SentenceTransformerEncoder
from langchain_atlas.errors import SettingError
from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.privacy import check_encoder
from langchain_atlas.routers.arrays import sigmoid
from langchain_atlas.routers.cluster.statistics import SUMS, ClusterStatistics, overall_success
from langchain_atlas.routers.saved.artifact import Artifact, write_artifact
from langchain_atlas.routers.saved.fingerprints import fingerprints, united
from langchain_atlas.routers.utility.estimates import PairEstimates
from langchain_atlas.routers.utility.router import UtilityRouter, check_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.progress import Progress
    from langchain_atlas.trajectory import Query


_RECORDS = "records."
_HIGHEST_SEED = 2**32 - 1


class EmbeddingRouter(UtilityRouter):
    """Routes by what it learned about the embeddings of queries, which is kept as arrays by name.

    It keeps arrays, not models of a library, so that they can be saved, restricted to some pairs, and applied with
    numpy.

    Args:
        encoder: text to vectors; the default encoder when left out.
        random_state: seed of everything random.
        settings: those of `UtilityRouter`.

    Raises:
        SettingError: a parameter is out of range.
    """

    _pair_axes: ClassVar[Mapping[str, int]]
    """The axis over the pairs of each learned array; arrays not named here have none."""

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        random_state: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.encoder = encoder or SentenceTransformerEncoder()
        self.random_state = random_state
        check_settings(settings)
        check_number("random_state", random_state, low=0, high=_HIGHEST_SEED, whole=True)

    @abstractmethod
    def _learn(self, queries: Sequence[Query], outcomes: OutcomeMatrix, progress: Progress) -> dict[str, NDArray[Any]]:
        """Learn from outcomes on queries, a row each; return what was learned, as arrays by name."""

    def _parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments other than the encoder and `settings`, for saving."""
        return {"random_state": self.random_state}

    def fit(self, table: OutcomeTable, progress: Progress | None = None) -> Self:
        """Learn from recorded outcomes; missing outcomes are skipped.

        Queries are ordered by id and pairs by name, so the order of the table's rows does not matter.

        Args:
            table: the outcomes to learn from.
            progress: called with the number of steps done, and of all steps, during a long fit.

        Returns:
            The router itself.

        Raises:
            OutcomeError: the table has no scores.
        """
        order = np.argsort(np.array(table.query_ids), kind="stable")
        queries = tuple(table.queries[row] for row in order)
        outcomes = OutcomeMatrix.of(table, sorted(table.pairs)).checked(table.source)
        everywhere = np.zeros(len(queries), dtype=np.int64)
        self.records_ = ClusterStatistics.of(outcomes, everywhere, 1)
        self.n_queries_ = len(queries)
        self.fitted_on = united(fingerprints(queries))
        learned = self._learn(queries, outcomes.rows(order), progress or _unheard)
        # Laid out as after loading, because products may round differently in another memory layout.
        self.arrays_ = {name: np.ascontiguousarray(array) for name, array in learned.items()}
        return self

    def _texts(self, queries: Sequence[Query]) -> list[str]:
        return [query.text for query in queries]

    def _vectors(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """Return the vector of each query, shape [n_queries, dimension], each of length one."""
        check_encoder(self.encoder, queries)
        return self.encoder.encode(self._texts(queries))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from."""
        return self.records_.pairs

    def _overall(self, rule: str, where: str, strength: float = 0.0) -> PairEstimates:
        """Return each pair's overall record, with the mean of all pairs counted as `strength` more outcomes."""
        known = self.records_.estimates(0.0)
        count, success = self.records_.count[0], overall_success(self.records_, strength)
        return PairEstimates(
            success=success,
            cost=known.cost[0],
            latency=known.latency[0],
            scaled_cost=known.scaled_cost[0],
            scaled_latency=known.scaled_latency[0],
            highest=known.highest,
            rule=rule,
            where=where,
            evidence=count,
            counted=count + strength,
        )

    def _with_pairs(self, pairs: tuple[Pair, ...]) -> Self:
        router = copy.copy(self)
        columns = [self.pairs.index(pair) for pair in pairs]
        router.records_ = self.records_.with_pairs(pairs)
        router.arrays_ = {
            name: np.take(array, columns, axis=self._pair_axes[name]) if name in self._pair_axes else array
            for name, array in self.arrays_.items()
        }
        return router

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder; see `Router.save`."""
        write_artifact(
            folder,
            Artifact(
                kind=self.kind,
                pairs=self.pairs,
                encoder=self._encoder_identity(),
                settings=dict(self.settings),
                facts={"parameters": self._parameters(), "n_queries": self.n_queries_},
                arrays={
                    **self.arrays_,
                    **{_RECORDS + name: array for name, array in self.records_.arrays().items()},
                },
                fitted_on=self.fitted_on,
                curve=self.curve,
                held_out=self.held_out,
            ),
        )

    def _encoder_identity(self) -> dict[str, Any] | None:
        return self.encoder.identity()

    @classmethod
    def from_artifact(cls, artifact: Artifact, encoder: Encoder | None) -> Self:
        """Rebuild the router from what `save` wrote."""
        router = cls(encoder, **artifact.facts["parameters"], **artifact.settings)
        sums: dict[str, Any] = {name: artifact.arrays[_RECORDS + name] for name in SUMS}
        router.records_ = ClusterStatistics(pairs=artifact.pairs, **sums)
        router.n_queries_ = artifact.facts["n_queries"]
        router.arrays_ = {name: array for name, array in artifact.arrays.items() if not name.startswith(_RECORDS)}
        counts = {router.arrays_[name].shape[axis] for name, axis in cls._pair_axes.items()}
        if counts != {len(artifact.pairs)} or any(
            array.shape != (1, *counts) for array in router.records_.arrays().values()
        ):
            raise ValueError("its pairs and what was learned don't fit together")
        return router


class EstimatingRouter(EmbeddingRouter):
    """Estimates every pair's success from the query's vector, and routes to the pair with the highest utility.

    A call's expected cost is the pair's mean over all its outcomes, as in RouterBench's predictive routers
    (Hu et al. 2024, arXiv 2403.12031). A pair without a score is expected to be as good as the average of the pool.
    """

    _called: str
    """What makes the estimate, for a decision's reason."""

    @abstractmethod
    def _success(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Estimate the success of every pair, shape [n_queries, n_pairs], 0 to 1, from the queries' embeddings."""

    def _prepare(self, queries: Sequence[Query]) -> list[NDArray[np.float64]]:
        return list(self._success(self._vectors(queries)))

    def _expect(self, item: NDArray[np.float64], permitted: NDArray[np.bool_]) -> PairEstimates:
        del permitted
        overall = self._overall("learned-estimate", f"{self._called} fitted on {self.n_queries_} queries")
        success = np.where(self.records_.count[0] > 0, item, overall.success)
        return replace(overall, success=success, counted=None)


def check_number(
    name: str, value: Any, *, low: float, high: float = sys.float_info.max, whole: bool = False, above: bool = False
) -> None:
    """Check that a parameter is a number in range.

    Args:
        name: the parameter's name.
        value: its value.
        low: the smallest valid value.
        high: the largest valid value.
        whole: whether it must be a whole number.
        above: whether it must be greater than `low`.

    Raises:
        SettingError: it is not a number in this range.
    """
    right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if right and (low < value if above else low <= value) and value <= high:
        return
    kind = "a whole number" if whole else "a number"
    bottom = f"above {low:g}" if above else f"from {low:g}"
    top = f" to {high:g}" if high < sys.float_info.max else ""
    raise SettingError(f"{name} is {value!r}; it must be {kind} {bottom}{top}.")


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Turn logits of any shape into probabilities, in double precision."""
    chances: NDArray[np.float64] = sigmoid(np.asarray(logits, dtype=np.float64))
    return chances


def _unheard(done: int, total: int) -> None:
    """Ignore progress."""
