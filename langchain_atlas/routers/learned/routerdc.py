"""Dual contrastive learning: a query is drawn to the pairs that solve it, and to queries of its own group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from langchain_atlas.routers.learned.base import check_number
from langchain_atlas.routers.learned.descent import Descent, seeded
from langchain_atlas.routers.learned.tuning import TunedEncoder, TuningRouter, check_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeMatrix
    from langchain_atlas.progress import Progress
    from langchain_atlas.trajectory import Query

_RIGHT = 0.5
"""A pair that scores below this may be a negative, as in the paper."""
_LOWEST = -1e9
"""Replaces the logarithm of 0; minus infinity would have no gradient."""


class RouterDCRouter(TuningRouter):
    """Routes to the pair whose learned vector is nearest the query's (RouterDC, Chen et al. 2024, arXiv 2409.19886).

    Fitting adds two contrastive losses. The first draws a query to each of the `positives` pairs that scored best on
    it, away from the `negatives` pairs that scored worst, and below one half. The second, times `group_weight`, draws
    it to a query of its own group, away from `out_group` queries of others; groups are found by k-means.

    Differences from the paper: there, mDeBERTaV3-base is fine-tuned; here the encoder is unchanged and a linear map on
    its embeddings is learned, starting from the identity, unless `fine_tune` names an encoder to fine-tune instead.
    Groups are found on the embeddings themselves, without t-SNE, and the queries of the second loss are taken from the
    batch. Scores of 0 and 1 often tie, which the paper's do not: ties are broken at random in each step. A pair that
    scored 0 is never a positive.

    It learns a similarity, not a probability. The expected success it reports is the softmax of the similarities over
    its pairs, divided by the largest: 1 for the most similar pair, and less for the others. That ranks the pairs
    correctly at a cost weight of 0, but does not show how much accuracy a dollar buys. A restricted router takes the
    softmax over the pairs that remain.

    Args:
        encoder: text to vectors; the default encoder when left out. Not used with `fine_tune`.
        fine_tune: name or folder of a Hugging Face encoder to fine-tune; set the learning rate to about 5e-5 then.
        max_tokens: with `fine_tune`, longer queries are truncated to this many tokens.
        positives: how many pairs a query is drawn to.
        negatives: how many pairs it is drawn away from.
        groups: number of groups of queries.
        out_group: how many queries of other groups a query is drawn away from.
        group_weight: weight of the second loss.
        temperature: the similarities are divided by it.
        epochs: number of passes over the queries.
        batch_size: queries per step.
        learning_rate: initial learning rate.
        weight_decay: weight decay of AdamW.
        cost_weight: 0 for accuracy alone, 1 for cost alone.
        latency_share: fraction of the price that is latency instead of cost, 0 to 1.
        failovers: how many other pairs to try when calls fail, at most; None tries all that the query allows.
        random_state: seed of the initial weights, the groups, the ties and the shuffling.

    Raises:
        SettingError: a parameter is out of range.
    """

    kind: ClassVar[str] = "routerdc"
    _called = "the ranking by similarity, which is no probability,"
    _pair_axes: ClassVar[Mapping[str, int]] = {"pair_vectors": 0}

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        fine_tune: str | None = None,
        max_tokens: int = 128,
        positives: int = 3,
        negatives: int = 3,
        groups: int = 5,
        out_group: int = 3,
        group_weight: float = 1.0,
        temperature: float = 0.2,
        epochs: int = 15,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        random_state: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(encoder, random_state=random_state, **settings)
        self.fine_tune = fine_tune
        self.max_tokens = max_tokens
        self.positives = positives
        self.negatives = negatives
        self.groups = groups
        self.out_group = out_group
        self.group_weight = group_weight
        self.temperature = temperature
        self.descent = Descent(epochs, batch_size, learning_rate, weight_decay, random_state)
        for name in ("positives", "negatives", "groups", "out_group"):
            check_number(name, getattr(self, name), low=1, whole=True)
        check_number("max_tokens", max_tokens, low=3, whole=True)
        check_number("group_weight", group_weight, low=0)
        check_number("temperature", temperature, low=0, above=True)
        if fine_tune is not None:
            check_model("fine_tune", fine_tune)

    def _parameters(self) -> dict[str, Any]:
        names = ("fine_tune", "max_tokens", "positives", "negatives", "groups", "out_group")
        chosen = {name: getattr(self, name) for name in (*names, "group_weight", "temperature")}
        return {**chosen, **vars(self.descent)}

    @property
    def tuned_model(self) -> str | None:
        """Name of the model that is fine-tuned; None when the encoder is not."""
        return self.fine_tune

    def _learn(self, queries: Sequence[Query], outcomes: OutcomeMatrix, progress: Progress) -> dict[str, NDArray[Any]]:
        import torch

        texts, scores = self._texts(queries), torch.from_numpy(outcomes.scores)
        with seeded(self.random_state):
            if self.fine_tune is None:
                vectors = self._vectors(queries)
                represent, trained, finish = _projection(vectors)
            else:
                self.encoder = TunedEncoder.load(self.fine_tune, self.max_tokens)
                vectors = self.encoder.vectors(texts)
                represent, trained, finish = _tuning(self.encoder, texts)
            groups = torch.from_numpy(self._grouped(vectors))
            pair_vectors = torch.nn.Parameter(torch.randn(scores.shape[1], vectors.shape[1]))

            def loss(batch: Tensor) -> Tensor:
                queries = represent(batch)
                pairs = torch.nn.functional.normalize(pair_vectors, dim=1)
                drawn = pair_loss(queries @ pairs.T / self.temperature, scores[batch], self.positives, self.negatives)
                grouped = group_loss(queries @ queries.T / self.temperature, groups[batch], self.out_group)
                return drawn + self.group_weight * grouped

            self.descent.minimise(loss, [pair_vectors, *trained], len(texts), progress)
        directions = torch.nn.functional.normalize(pair_vectors.detach(), dim=1)
        return {"pair_vectors": directions.numpy(), **finish()}

    def _grouped(self, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        from sklearn.cluster import KMeans

        count = min(self.groups, len(np.unique(vectors, axis=0)))
        groups: NDArray[np.int64] = KMeans(count, n_init=3, random_state=self.random_state).fit_predict(vectors)
        return groups.astype(np.int64)

    def _success(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        learned = self.arrays_
        queries = vectors @ learned["projection"] + learned["offset"] if "projection" in learned else vectors
        lengths = np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
        similarity = (queries / lengths) @ learned["pair_vectors"].T / self.temperature
        chances: NDArray[np.float64] = np.exp(similarity - similarity.max(axis=1, keepdims=True), dtype=np.float64)
        return chances


def pair_loss(similarity: Tensor, scores: Tensor, positives: int, negatives: int) -> Tensor:
    """Return the sample-LLM contrastive loss, averaged over the queries.

    Args:
        similarity: similarity of queries and pairs, divided by the temperature, shape [n_queries, n_pairs].
        scores: the same shape; NaN where nothing is recorded.
        positives: how many of the best pairs each query is drawn to.
        negatives: how many of the worst pairs it is drawn away from.
    """
    import torch

    ties = 1e-6 * torch.rand(scores.shape, dtype=scores.dtype)
    best = torch.where(scores > 0, scores + ties, -torch.inf)
    chosen, columns = best.topk(min(positives, scores.shape[1]), dim=1)
    drawn = similarity.gather(1, columns)
    taken = torch.zeros_like(scores, dtype=torch.bool).scatter(1, columns, torch.isfinite(chosen))
    worst = torch.where((scores < _RIGHT) & ~taken, -scores - ties, -torch.inf)
    opposed, columns = worst.topk(min(negatives, scores.shape[1]), dim=1)
    away = similarity.gather(1, columns).masked_fill(~torch.isfinite(opposed), _LOWEST)
    return _contrast(drawn, away, torch.isfinite(chosen))


def group_loss(similarity: Tensor, groups: Tensor, out_group: int) -> Tensor:
    """Return the sample-sample contrastive loss, averaged over the queries.

    Args:
        similarity: similarity of a batch's queries, divided by the temperature, shape [n_queries, n_queries].
        groups: group of each query, shape [n_queries].
        out_group: how many queries of other groups each query is drawn away from.
    """
    import torch

    same = groups[:, None] == groups[None, :]
    draw = torch.rand(similarity.shape)
    fellow, column = draw.masked_fill(~same | torch.eye(len(groups), dtype=torch.bool), -1).max(dim=1, keepdim=True)
    strangers, columns = draw.masked_fill(same, -1).topk(min(out_group, len(groups)), dim=1)
    away = similarity.gather(1, columns).masked_fill(strangers < 0, _LOWEST)
    return _contrast(similarity.gather(1, column), away, fellow >= 0)


def _contrast(drawn: Tensor, away: Tensor, counts: Tensor) -> Tensor:
    """Sum ``-log(e^drawn / (e^drawn + sum e^away))`` over the columns of `drawn` that count; average over the rows."""
    import torch

    each = torch.nn.functional.softplus(torch.logsumexp(away, dim=1, keepdim=True) - drawn)
    return (each * counts).sum() / len(drawn)


def _projection(
    vectors: NDArray[np.float32],
) -> tuple[Callable[[Tensor], Tensor], list[Tensor], Callable[[], dict[str, NDArray[Any]]]]:
    """Return the function that represents a batch by a linear map, the parameters, and a function for the result."""
    import torch

    frozen, layer = torch.from_numpy(vectors), torch.nn.Linear(vectors.shape[1], vectors.shape[1])
    torch.nn.init.eye_(layer.weight)
    torch.nn.init.zeros_(layer.bias)

    def represent(batch: Tensor) -> Tensor:
        return torch.nn.functional.normalize(layer(frozen[batch]), dim=1)

    def finish() -> dict[str, NDArray[Any]]:
        return {"projection": layer.weight.detach().numpy().T.copy(), "offset": layer.bias.detach().numpy().copy()}

    return represent, list(layer.parameters()), finish


def _tuning(
    encoder: TunedEncoder, texts: list[str]
) -> tuple[Callable[[Tensor], Tensor], list[Tensor], Callable[[], dict[str, NDArray[Any]]]]:
    """Return the function that represents a batch by an encoder, the parameters, and a function for the result."""
    encoder.network.train()

    def represent(batch: Tensor) -> Tensor:
        return encoder.represent([texts[number] for number in batch.tolist()])

    def finish() -> dict[str, NDArray[Any]]:
        encoder.network.eval()
        return encoder.arrays()

    return represent, list(encoder.network.parameters()), finish
