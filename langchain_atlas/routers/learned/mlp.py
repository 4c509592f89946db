"""A multilayer perceptron over the query's embedding, with one output per pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from langchain_atlas.routers.learned.base import EstimatingRouter, check_number, probabilities
from langchain_atlas.routers.learned.descent import Descent, masked_cross_entropy, overall_logits, seeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeMatrix
    from langchain_atlas.progress import Progress
    from langchain_atlas.trajectory import Query


class MLPRouter(EstimatingRouter):
    """Estimates the scores of all pairs with one multilayer perceptron, after RouterBench's (arXiv 2403.12031).

    One hidden layer of rectified units, shared by all pairs; one output per pair, which is the logit of its score. The
    loss is the cross-entropy over the recorded outcomes.

    Args:
        encoder: text to vectors; the default encoder when left out.
        hidden: number of hidden units.
        epochs: number of passes over the queries.
        batch_size: queries per step.
        learning_rate: initial learning rate.
        weight_decay: weight decay of AdamW.
        cost_weight: 0 for accuracy alone, 1 for cost alone.
        latency_share: fraction of the price that is latency instead of cost, 0 to 1.
        failovers: how many other pairs to try when calls fail, at most; None tries all that the query allows.
        random_state: seed of the initial weights and of the shuffling.

    Raises:
        SettingError: a parameter is out of range.
    """

    kind: ClassVar[str] = "mlp"
    _called = "the estimate of a multilayer perceptron"
    _pair_axes: ClassVar[Mapping[str, int]] = {"weights": 1, "biases": 0}

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        hidden: int = 128,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        random_state: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(encoder, random_state=random_state, **settings)
        self.hidden = hidden
        self.descent = Descent(epochs, batch_size, learning_rate, weight_decay, random_state)
        check_number("hidden", hidden, low=1, whole=True)

    def _parameters(self) -> dict[str, Any]:
        return {"hidden": self.hidden, **vars(self.descent)}

    def _learn(self, queries: Sequence[Query], outcomes: OutcomeMatrix, progress: Progress) -> dict[str, NDArray[Any]]:
        import torch

        vectors = torch.from_numpy(self._vectors(queries))
        scores = torch.from_numpy(outcomes.scores.astype(np.float32))
        with seeded(self.random_state):
            first = torch.nn.Linear(vectors.shape[1], self.hidden)
            second = torch.nn.Linear(self.hidden, scores.shape[1])
            second.bias.data = overall_logits(scores)
        network = torch.nn.Sequential(first, torch.nn.ReLU(), second)
        self.descent.minimise(
            lambda batch: masked_cross_entropy(network(vectors[batch]), scores[batch]),
            network.parameters(),
            len(vectors),
            progress,
        )
        return {
            "hidden_weights": first.weight.detach().numpy().T.copy(),
            "hidden_biases": first.bias.detach().numpy().copy(),
            "weights": second.weight.detach().numpy().T.copy(),
            "biases": second.bias.detach().numpy().copy(),
        }

    def _success(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        learned = self.arrays_
        hidden = np.maximum(vectors @ learned["hidden_weights"] + learned["hidden_biases"], 0)
        return probabilities(hidden @ learned["weights"] + learned["biases"])
