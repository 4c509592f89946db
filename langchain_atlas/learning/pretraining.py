"""Pretraining: learn, from random states, which answers are right and what one more call brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from langchain_atlas.learning.process import draw_pool, draw_prices
from langchain_atlas.routers.policy.state_features import MAX_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from langchain_atlas.learning.compact_policy import CompactPolicy
    from langchain_atlas.learning.recordings import HeldOutStatistics, Recordings
    from langchain_atlas.routers.policy.state_features import State


@dataclass(frozen=True)
class PretrainingConfig:
    """Hyperparameters of pretraining."""

    belief_steps: int = 800
    """Updates of the belief alone."""
    gain_steps: int = 1200
    """Updates of the gain."""
    batch: int = 384
    """States per step."""
    learning_rate: float = 2e-3
    """Learning rate of Adam."""
    weight_decay: float = 1e-3
    """Weight decay."""
    candidates: int = 4
    """Number of pairs tried in every state, for the gain."""


def draw_calls(scores: Tensor, count: Tensor) -> Tensor:
    """Draw calls without repetition: the `count` calls with the highest scores, shape [B, MAX_CALLS]."""
    width = min(MAX_CALLS, scores.shape[1])
    top = scores.topk(width, dim=1).indices
    top = functional.pad(top, (0, MAX_CALLS - width), value=-1)
    return torch.where(torch.arange(MAX_CALLS) < count[:, None], top, -1)


def draw_states(
    recordings: Recordings, held_out: HeldOutStatistics, size: int, generator: torch.Generator, *, most: int = MAX_CALLS
) -> tuple[Tensor, State]:
    """Draw states: any query, any memory without it, any pool and a few calls, more often good and cheap ones."""
    rows = torch.randint(len(recordings), (size,), generator=generator)
    prior = held_out.rows(rows, torch.randint(held_out.n_views, (size,), generator=generator))
    allowed, price = draw_pool(recordings.recorded[rows], generator), draw_prices(size, generator)
    noise = -torch.log(-torch.log(torch.rand(allowed.shape, generator=generator).clamp(1e-9, 1 - 1e-7)))
    keen = torch.randint(0, 2, (size, 1), generator=generator) * 6.0
    liking = keen * (torch.sigmoid(prior.of_pairs("success_near")) - price[:, None] * prior.cost)
    scores = torch.where(allowed, liking + noise, -torch.inf)
    least = 0 if most < MAX_CALLS else 1
    count = torch.randint(least, most + 1, (size,), generator=generator)
    called = draw_calls(scores, torch.minimum(count, allowed.sum(1)))
    return rows, recordings.state(prior, rows, allowed, called, price, MAX_CALLS - (called >= 0).sum(1))


def pretrain(
    policy: CompactPolicy,
    recordings: Recordings,
    held_out: HeldOutStatistics,
    config: PretrainingConfig,
    *,
    seed: int,
    on_step: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Train the policy's values of answers and calls; return the last losses; `on_step` is called after each step."""
    generator = torch.Generator().manual_seed(seed)
    losses = {"belief": 0.0, "gain": 0.0}
    for part, steps in (("belief", config.belief_steps), ("gain", config.gain_steps)):
        parameters = list(getattr(policy, part).parameters())
        optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=max(steps, 2))
        for _ in range(steps):
            loss = _belief_loss if part == "belief" else _gain_loss
            value = loss(policy, recordings, held_out, config, generator)
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            losses[part] = 0.95 * losses[part] + 0.05 * value.item()
            if on_step is not None:
                on_step()
    return losses


def _belief_loss(
    policy: CompactPolicy,
    recordings: Recordings,
    held_out: HeldOutStatistics,
    config: PretrainingConfig,
    generator: torch.Generator,
) -> Tensor:
    rows, state = draw_states(recordings, held_out, config.batch, generator)
    policy.train()
    logits = policy.right_logits(state)
    right = recordings.scores[rows[:, None], state.called.clamp(min=0)]
    losses = functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
    mean: Tensor = (losses * state.made).sum() / state.made.sum()
    return mean


def _gain_loss(
    policy: CompactPolicy,
    recordings: Recordings,
    held_out: HeldOutStatistics,
    config: PretrainingConfig,
    generator: torch.Generator,
) -> Tensor:
    rows, state = draw_states(recordings, held_out, config.batch, generator, most=MAX_CALLS - 1)
    policy.eval()
    with torch.no_grad():
        right = torch.where(state.made, torch.sigmoid(policy.right_logits(state)), 0.0)
        best = right.max(dim=1).values
        drawn = torch.where(state.allowed, torch.rand(state.allowed.shape, generator=generator), -torch.inf)
        tried = drawn.topk(min(config.candidates, drawn.shape[1]), dim=1).indices
        after = _after(recordings, rows, state, tried)
        assessed = policy(after)
        target = assessed.best_value.reshape(tried.shape) - best[:, None]
    policy.train()
    gains = policy.gains(state, right).gather(1, tried)
    open_ = state.allowed.gather(1, tried)
    losses = functional.mse_loss(gains, target, reduction="none")
    mean: Tensor = (losses * open_).sum() / open_.sum().clamp(min=1)
    return mean


def _after(recordings: Recordings, rows: Tensor, state: State, tried: Tensor) -> State:
    """Return the states after each of the tried calls, shape [B * tried]."""
    count = tried.shape[1]
    index = torch.arange(len(rows)).repeat_interleave(count)
    before = state.rows(index)
    called = before.called.clone()
    called[torch.arange(len(index)), before.made.sum(1)] = tried.flatten()
    return recordings.state(before.prior, rows[index], before.allowed, called, before.price, before.turns - 1)
