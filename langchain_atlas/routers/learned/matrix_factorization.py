"""Matrix factorisation: pairs and queries are in one space, and their product predicts whether the pair succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from langchain_atlas.routers.learned.base import EstimatingRouter, check_number, probabilities
from langchain_atlas.routers.learned.descent import Descent, masked_cross_entropy, seeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeMatrix
    from langchain_atlas.progress import Progress
    from langchain_atlas.trajectory import Query


class MatrixFactorizationRouter(EstimatingRouter):
    """Estimates the scores of all pairs by matrix factorisation, after EmbedLLM (Zhuang et al. 2024, arXiv 2410.02223).

    Each pair has a learned vector. The query's embedding is projected into the same space by a linear map; the two are
    multiplied elementwise, and a linear classifier reads the product. The loss is the cross-entropy over the recorded
    outcomes. As in EmbedLLM, noise is added to the queries' embeddings during fitting.

    Args:
        encoder: text to vectors; the default encoder when left out.
        dimension: length of the pairs' vectors.
        noise: standard deviation of the noise, relative to a coordinate of the query's embedding.
        epochs: number of passes over the queries.
        batch_size: queries per step.
        learning_rate: initial learning rate.
        weight_decay: weight decay of AdamW.
        cost_weight: 0 for accuracy alone, 1 for cost alone.
        latency_share: fraction of the price that is latency instead of cost, 0 to 1.
        failovers: how many other pairs to try when calls fail, at most; None tries all that the query allows.
        random_state: seed of the initial weights, the noise and the shuffling.

    Raises:
        SettingError: a parameter is out of range.
    """

    kind: ClassVar[str] = "matrix_factorization"
    _called = "the estimate of a matrix factorisation"
    _pair_axes: ClassVar[Mapping[str, int]] = {"pair_vectors": 0}

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        dimension: int = 232,
        noise: float = 1.4,
        epochs: int = 30,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        random_state: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(encoder, random_state=random_state, **settings)
        self.dimension = dimension
        self.noise = noise
        self.descent = Descent(epochs, batch_size, learning_rate, weight_decay, random_state)
        check_number("dimension", dimension, low=1, whole=True)
        check_number("noise", noise, low=0)

    def _parameters(self) -> dict[str, Any]:
        return {"dimension": self.dimension, "noise": self.noise, **vars(self.descent)}

    def _learn(self, queries: Sequence[Query], outcomes: OutcomeMatrix, progress: Progress) -> dict[str, NDArray[Any]]:
        import torch

        vectors = torch.from_numpy(self._vectors(queries))
        scores = torch.from_numpy(outcomes.scores.astype(np.float32))
        spread = self.noise / vectors.shape[1] ** 0.5  # a coordinate of a vector of length one is about this large
        with seeded(self.random_state):
            pair_vectors = torch.nn.Parameter(torch.randn(scores.shape[1], self.dimension))
            projection = torch.nn.Linear(vectors.shape[1], self.dimension)
            classifier = torch.nn.Linear(self.dimension, 1)

            def loss(batch: torch.Tensor) -> torch.Tensor:
                seen = vectors[batch] + spread * torch.randn(len(batch), vectors.shape[1])
                logits = (projection(seen) * classifier.weight) @ pair_vectors.T + classifier.bias
                return masked_cross_entropy(logits, scores[batch])

            learned = [pair_vectors, *projection.parameters(), *classifier.parameters()]
            self.descent.minimise(loss, learned, len(vectors), progress)
        return {
            "pair_vectors": pair_vectors.detach().numpy().copy(),
            "projection": projection.weight.detach().numpy().T.copy(),
            "offset": projection.bias.detach().numpy().copy(),
            "classifier": classifier.weight.detach().numpy()[0].copy(),
            "bias": classifier.bias.detach().numpy().copy(),
        }

    def _success(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        learned = self.arrays_
        queries = (vectors @ learned["projection"] + learned["offset"]) * learned["classifier"]
        return probabilities(queries @ learned["pair_vectors"].T + learned["bias"])
