"""Linear models: each pair's success is a linear function of the query's embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from langchain_atlas.errors import SettingError
from langchain_atlas.routers.learned.base import EstimatingRouter, check_number, probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeMatrix
    from langchain_atlas.progress import Progress
    from langchain_atlas.trajectory import Query

_MAX_ITERATIONS = 1000


class LinearRouter(EstimatingRouter):
    """Estimates each pair's score by a linear model of the query's embedding.

    By default this is a ridge regression of the score, clipped to 0 and 1; with `logistic`, a logistic regression in
    which a fractional score counts as that fraction of a success and the rest of a failure. Each pair is fitted on the
    queries that it was run on. Linear routers are among the baselines of RouterBench (Hu et al. 2024, arXiv 2403.12031)
    and
    RouteLLM (Ong et al. 2024, arXiv 2406.18665).

    Args:
        encoder: text to vectors; the default encoder when left out.
        logistic: whether to fit logistic regressions.
        penalty: weight of the squared coefficients in the loss; larger is smoother. By default 30, and 3 for logistic
            regressions.
        cost_weight: 0 for accuracy alone, 1 for cost alone.
        latency_share: fraction of the price that is latency instead of cost, 0 to 1.
        failovers: how many other pairs to try when calls fail, at most; None tries all that the query allows.
        random_state: not used, because nothing is random; accepted so that all learned routers have the same signature.

    Raises:
        SettingError: a parameter is out of range.
    """

    kind: ClassVar[str] = "linear"
    _pair_axes: ClassVar[Mapping[str, int]] = {"weights": 1, "biases": 0}

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        logistic: bool = False,
        penalty: float | None = None,
        random_state: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(encoder, random_state=random_state, **settings)
        self.logistic = logistic
        self.penalty = (3.0 if logistic else 30.0) if penalty is None else penalty
        self._called = f"the estimate of a {'logistic' if logistic else 'ridge'} regression"
        if not isinstance(logistic, bool):
            raise SettingError(f"logistic is {logistic!r}; it must be True or False.")
        check_number("penalty", self.penalty, low=0, above=True)

    def _parameters(self) -> dict[str, Any]:
        return {**super()._parameters(), "logistic": self.logistic, "penalty": self.penalty}

    def _learn(self, queries: Sequence[Query], outcomes: OutcomeMatrix, progress: Progress) -> dict[str, NDArray[Any]]:
        vectors, scores = self._vectors(queries).astype(np.float64), outcomes.scores
        weights, biases = np.zeros((vectors.shape[1], scores.shape[1])), np.zeros(scores.shape[1])
        done = 0
        for known, columns in _run_alike(scores):
            if known.any():
                fitted = (self._logistic if self.logistic else self._ridge)(vectors[known], scores[known][:, columns])
                weights[:, columns], biases[columns] = fitted
            done += len(columns)
            progress(done, scores.shape[1])
        return {"weights": weights, "biases": biases}

    def _ridge(
        self, vectors: NDArray[np.float64], scores: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from sklearn.linear_model import Ridge

        model = Ridge(alpha=self.penalty).fit(vectors, scores)
        return np.atleast_2d(model.coef_).T, np.atleast_1d(model.intercept_)

    def _logistic(
        self, vectors: NDArray[np.float64], scores: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from sklearn.linear_model import LogisticRegression

        weights, biases = np.zeros((vectors.shape[1], scores.shape[1])), np.zeros(scores.shape[1])
        for column, score in enumerate(scores.T):
            total, count = score.sum(), len(score)
            if total in (0, count):  # all outcomes are equal: half an outcome of the other kind keeps the fit finite
                biases[column] = np.log((total + 0.5) / (count - total + 0.5))
                continue
            share = np.concatenate([score, 1 - score])
            model = LogisticRegression(C=1 / self.penalty, max_iter=_MAX_ITERATIONS).fit(
                np.concatenate([vectors, vectors])[share > 0], np.repeat([1, 0], count)[share > 0], share[share > 0]
            )
            weights[:, column], biases[column] = model.coef_[0], model.intercept_[0]
        return weights, biases

    def _success(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = vectors @ self.arrays_["weights"] + self.arrays_["biases"]
        return probabilities(values) if self.logistic else np.clip(values, 0, 1)


def _run_alike(scores: NDArray[np.float64]) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Group the pairs that were run on the same queries: the queries' mask, and the pairs' columns.

    One factorisation then serves the whole group, which is all pairs where the records are complete.
    """
    patterns, group = np.unique(~np.isnan(scores), axis=1, return_inverse=True)
    return [(pattern, np.flatnonzero(group.ravel() == number)) for number, pattern in enumerate(patterns.T)]
