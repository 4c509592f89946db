"""How the networks among the routers are fitted: gradient descent over shuffled batches, reproducible."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_atlas.routers.learned.base import check_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from langchain_atlas.progress import Progress


@dataclass(frozen=True)
class Descent:
    """AdamW over shuffled batches, with a learning rate that decreases linearly to zero.

    Raises:
        SettingError: a parameter is out of range.
    """

    epochs: int
    """Number of passes over the queries."""
    batch_size: int
    """Queries per step."""
    learning_rate: float
    """Initial learning rate."""
    weight_decay: float
    """Weight decay of AdamW."""
    random_state: int
    """Seed of the shuffling."""

    def __post_init__(self) -> None:
        check_number("epochs", self.epochs, low=1, whole=True)
        check_number("batch_size", self.batch_size, low=1, whole=True)
        check_number("learning_rate", self.learning_rate, low=0, above=True)
        check_number("weight_decay", self.weight_decay, low=0)

    def minimise(
        self,
        loss: Callable[[Tensor], Tensor],
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        n_queries: int,
        progress: Progress,
    ) -> None:
        """Run the optimization.

        Args:
            loss: returns the loss of a batch, given the indices of its queries, shape [batch].
            parameters: the parameters to fit; in groups, if some have another learning rate.
            n_queries: number of queries.
            progress: called with the number of steps done, and of all steps.
        """
        import torch

        steps = self.epochs * -(-n_queries // self.batch_size)
        optimiser = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
        shuffling = torch.Generator().manual_seed(self.random_state)
        done = 0
        for _ in range(self.epochs):
            shuffled = torch.randperm(n_queries, generator=shuffling)
            for batch in torch.split(shuffled, self.batch_size):
                optimiser.zero_grad()
                loss(batch).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                done += 1
                progress(done, steps)


@contextmanager
def seeded(random_state: int) -> Iterator[None]:
    """Seed torch inside the block, and restore its generator afterwards: it belongs to the whole process."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        yield


def masked_cross_entropy(logits: Tensor, scores: Tensor) -> Tensor:
    """Average the cross-entropy of scores between 0 and 1 over the recorded outcomes.

    Args:
        logits: shape [n_queries, n_pairs].
        scores: the same shape; NaN where nothing is recorded.
    """
    import torch

    known = ~torch.isnan(scores)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.where(known, scores, 0.0), reduction="none"
    )
    return (each * known).sum() / known.sum().clamp(min=1)


def overall_logits(scores: Tensor) -> Tensor:
    """Return the logit of each pair's mean score, shape [n_pairs]: initial biases with which few steps are enough.

    Args:
        scores: shape [n_queries, n_pairs]; NaN where nothing is recorded.
    """
    import torch

    return torch.logit(torch.nanmean(scores, dim=0).nan_to_num(0.5), eps=0.01)
