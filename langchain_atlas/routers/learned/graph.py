"""A heterogeneous graph of tasks, queries and pairs, in which the edge between a query and a pair is predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from langchain_atlas.routers.learned.base import EstimatingRouter, check_number, probabilities
from langchain_atlas.routers.learned.descent import Descent, masked_cross_entropy, overall_logits, seeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeMatrix
    from langchain_atlas.progress import Progress
    from langchain_atlas.trajectory import Query


class GraphRouter(EstimatingRouter):
    """Estimates the scores of all pairs on a graph, after GraphRouter (Feng et al. 2024, arXiv 2410.03834).

    Nodes are tasks (the table's domains), queries and pairs. A task's node is the mean of its queries, and a query is
    joined to the tasks that it resembles: a new query belongs to no known one. An edge between a query and a pair holds
    the recorded score. A pair's node gathers messages from the queries that it was recorded on, by how much better than
    the average pair it did there; a query's node gathers messages from its tasks. The product of the two predicts the
    edge. During fitting, the edges of the queries in a batch are left out of the messages, as in the paper, so that no
    edge is predicted from itself.

    Args:
        encoder: text to vectors; the default encoder when left out.
        hidden: length of a node's vector.
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

    kind: ClassVar[str] = "graph"
    _called = "the estimate of a graph network"
    _pair_axes: ClassVar[Mapping[str, int]] = {"pair_vectors": 0, "biases": 0, "task_scores": 1}

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        hidden: int = 64,
        epochs: int = 20,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
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
        graph = _Graph.of(vectors, scores, torch.from_numpy(outcomes.domain_numbers))
        with seeded(self.random_state):
            network = _network(vectors.shape[1], self.hidden, scores)

        def loss(batch: Tensor) -> Tensor:
            left = torch.ones(len(vectors), 1)
            left[batch] = 0
            nodes, biases = _pair_nodes(network, graph, left)
            logits = _query_nodes(network, graph.vectors[batch], graph) @ nodes.T + biases
            return masked_cross_entropy(logits + _known(network, graph.vectors[batch], graph), scores[batch])

        self.descent.minimise(loss, network.parameters(), len(vectors), progress)
        with torch.no_grad():
            nodes, biases = _pair_nodes(network, graph, torch.ones(len(vectors), 1))
            kept = {
                "projection": network["query"].weight.T,
                "offset": network["query"].bias,
                "task_centres": graph.centres,
                "task_vectors": network["task"](graph.centres),
                "task_scores": network["trust"].weight[0, 0] * graph.task_scores,
                "pair_vectors": nodes,
                "biases": biases,
            }
        return {name: tensor.detach().numpy().copy() for name, tensor in kept.items()}

    def _success(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        learned = self.arrays_
        near = _SHARPNESS * (vectors @ learned["task_centres"].T)
        member = np.exp(near - near.max(axis=1, keepdims=True))
        member /= member.sum(axis=1, keepdims=True)
        nodes = np.maximum(vectors @ learned["projection"] + learned["offset"] + member @ learned["task_vectors"], 0)
        return probabilities(nodes @ learned["pair_vectors"].T + learned["biases"] + member @ learned["task_scores"])


_SHARPNESS = 10.0
"""How decidedly a query belongs to the tasks that it resembles."""


class _Graph:
    """The nodes and edges that are known before anything is learned."""

    def __init__(self, vectors: Tensor, gains: Tensor, centres: Tensor, task_scores: Tensor) -> None:
        self.vectors, self.gains = vectors, gains
        self.centres, self.task_scores = centres, task_scores

    @classmethod
    def of(cls, vectors: Tensor, scores: Tensor, tasks: Tensor) -> _Graph:
        import torch

        known = ~torch.isnan(scores)
        filled = torch.where(known, scores, 0.0)
        usual = filled.sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)
        gains = torch.where(known, scores - usual, 0.0)
        member = torch.nn.functional.one_hot(tasks.long()).float()
        centres = torch.nn.functional.normalize(member.T @ vectors, dim=1)
        count = member.T @ known.float()
        means = (member.T @ filled + torch.nanmean(scores, 0).nan_to_num(0.5)) / (count + 1)
        return cls(vectors, gains, centres, torch.logit(means, eps=0.01) - overall_logits(scores))


def _network(dimension: int, hidden: int, scores: Tensor) -> Any:
    import torch

    network: Any = torch.nn.ModuleDict(
        {
            "query": torch.nn.Linear(dimension, hidden),
            "task": torch.nn.Linear(dimension, hidden),
            "message": torch.nn.Linear(dimension, hidden, bias=False),
            "pair": torch.nn.Embedding(scores.shape[1], hidden),
            "bias": torch.nn.Embedding(scores.shape[1], 1),
            "trust": torch.nn.Linear(1, 1, bias=False),
        }
    )
    torch.nn.init.normal_(network["pair"].weight, std=hidden**-0.5)
    torch.nn.init.constant_(network["trust"].weight, 0.5)
    with torch.no_grad():
        network["bias"].weight.copy_(overall_logits(scores)[:, None])
    return network


def _pair_nodes(network: Any, graph: _Graph, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pairs' nodes, shape [n_pairs, hidden], and biases, from messages of the queries that are kept."""
    gathered = (graph.gains * kept).T @ graph.vectors / kept.sum().clamp(min=1) ** 0.5
    return network["pair"].weight + network["message"](gathered), network["bias"].weight[:, 0]


def _member(vectors: Tensor, graph: _Graph) -> Tensor:
    return (_SHARPNESS * vectors @ graph.centres.T).softmax(dim=1)


def _query_nodes(network: Any, vectors: Tensor, graph: _Graph) -> Tensor:
    import torch

    tasks = network["task"](graph.centres)
    nodes: Tensor = torch.relu(network["query"](vectors) + _member(vectors, graph) @ tasks)
    return nodes


def _known(network: Any, vectors: Tensor, graph: _Graph) -> Tensor:
    """Return what the edges between tasks and pairs say, as logits, shape [n_queries, n_pairs]."""
    known: Tensor = network["trust"].weight[0, 0] * (_member(vectors, graph) @ graph.task_scores)
    return known
