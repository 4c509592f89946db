"""Proximal policy optimisation on recorded outcomes, short enough to read.

Every step plays a batch of whole trajectories, estimates advantages (GAE), and makes a few clipped updates, held near a
reference policy by a KL term. Advantages are centred but not divided by their standard deviation, which would inflate
batches whose trajectories differ only in cost.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from langchain_atlas.learning.process import DecisionProcess
from langchain_atlas.learning.rewards import Rewards
from langchain_atlas.routers.policy.state_features import MAX_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from langchain_atlas.learning.compact_policy import CompactPolicy
    from langchain_atlas.learning.recordings import HeldOutStatistics, Recordings
    from langchain_atlas.routers.policy.state_features import PriorFeatures, State


@dataclass(frozen=True)
class PPOConfig:
    """Hyperparameters of PPO."""

    steps: int = 250
    """Number of steps: batches of trajectories."""
    batch: int = 256
    """Trajectories per step."""
    epochs: int = 2
    """Passes over each batch (epochs)."""
    learning_rate: float = 1e-4
    """Learning rate of Adam."""
    gamma: float = 1.0
    """Discount factor of later rewards."""
    gae_lambda: float = 0.95
    """Lambda of generalized advantage estimation."""
    clip_coef: float = 0.2
    """Clipping range of the probability ratio."""
    value_weight: float = 0.5
    """Weight of the value loss."""
    entropy_weight: float = 0.001
    """Weight of the entropy bonus."""
    kl_weight: float = 0.05
    """Weight of the KL divergence from the reference, the policy as it was at the start."""
    belief_weight: float = 1.0
    """Weight of the belief's own loss, which keeps probabilities calibrated while actions are learned."""
    turns: int = MAX_CALLS
    """Maximum number of calls in a trajectory."""
    clipped: bool = True
    """Whether updates are clipped; False with one epoch is plain policy gradient."""
    rewards: Rewards = field(default_factory=Rewards)
    """Weights of the reward's components."""


@dataclass(frozen=True)
class Rollout:
    """Trajectories that were played; one row per decision, turn after turn."""

    state: State
    """The states, rows [N]."""
    right: Tensor
    """Score of each answer so far, shape [N, T]; the target of the belief, never seen by the policy."""
    action: Tensor
    """The actions taken, shape [N]."""
    logp: Tensor
    """Log-probability of each action when it was taken, shape [N]."""
    advantage: Tensor
    """Advantage of each action, shape [N]."""
    returns: Tensor
    """Return of the rest of the trajectory, shape [N]."""
    components: dict[str, float]
    """Mean of each component of the reward, of their sum (``reward``), and of the number of calls."""


def advantages(
    rewards: Tensor, values: Tensor, alive: Tensor, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Estimate advantages (Schulman et al. 2016, arXiv 1506.02438).

    Args:
        rewards: reward of each turn, shape [T, B].
        values: value of the state at each turn, shape [T, B].
        alive: whether a decision was made at that turn, shape [T, B]; once False, always False.
        gamma: discount factor.
        gae_lambda: lambda of generalized advantage estimation.

    Returns:
        Advantages and returns, shape [T, B] each; 0 where no decision was made.
    """
    found = torch.zeros_like(rewards)
    running = torch.zeros_like(rewards[0])
    following = torch.zeros_like(rewards[0])
    for turn in reversed(range(len(rewards))):
        surprise = rewards[turn] + gamma * following - values[turn]
        running = alive[turn] * (surprise + gamma * gae_lambda * running)
        found[turn] = running
        following = values[turn] * alive[turn]
    return found, (found + values) * alive


@torch.no_grad()
def play(
    policy: CompactPolicy,
    recordings: Recordings,
    held_out: HeldOutStatistics,
    config: PPOConfig,
    generator: torch.Generator,
) -> Rollout:
    """Play one batch of trajectories with the current policy, sampling its actions."""
    policy.eval()
    process = DecisionProcess(recordings, config.rewards, config.turns)
    start = process.draw(held_out, config.batch, generator)
    turns: list[dict[str, Tensor]] = []
    seen: list[State] = []

    def sampled(state: State) -> Tensor:
        assessed = policy(state)
        chances = torch.log_softmax(assessed.logits, dim=1)
        action = torch.multinomial(chances.exp(), 1, generator=generator).squeeze(1)
        turns.append({"action": action, "logp": chances.gather(1, action[:, None]).squeeze(1), "value": assessed.value})
        return action

    for turn in process.turns(start, sampled):
        parts = process.reward(turn.before, turn.action)
        turns[-1] |= {
            "reward": torch.stack(list(parts.values())).sum(0),
            "alive": (~turn.before.done).float(),
            **{f"part {name}": part for name, part in parts.items()},
        }
        seen.append(turn.state)
    scores = [recordings.scores[start.rows[:, None], state.called.clamp(min=0)] for state in seen]
    return _rollout(seen, turns, scores, config)


def _rollout(seen: list[State], turns: list[dict[str, Tensor]], scores: list[Tensor], config: PPOConfig) -> Rollout:
    stacked = {name: torch.stack([turn[name] for turn in turns]) for name in turns[0]}
    advantage, returns = advantages(
        stacked["reward"], stacked["value"], stacked["alive"], config.gamma, config.gae_lambda
    )
    alive = stacked["alive"] > 0
    parts = {name[5:]: value.sum(0).mean().item() for name, value in stacked.items() if name.startswith("part ")}
    calls = (stacked["alive"].sum(0) - 1).mean().item()
    return Rollout(
        state=_joined([state.rows(there.nonzero().squeeze(1)) for state, there in zip(seen, alive, strict=True)]),
        right=torch.cat([part[there] for part, there in zip(scores, alive, strict=True)]),
        action=stacked["action"][alive],
        logp=stacked["logp"][alive],
        advantage=advantage[alive],
        returns=returns[alive],
        components={**parts, "reward": stacked["reward"].sum(0).mean().item(), "calls": calls},
    )


def _joined(parts: list[State]) -> State:
    """Concatenate the states of several turns; they share everything that is not by row."""
    first = parts[0]
    prior: PriorFeatures = replace(
        first.prior,
        **{
            name: torch.cat([getattr(part.prior, name) for part in parts])
            for name in ("pairs", "query", "cost", "record")
        },
    )
    rest = {
        spec.name: torch.cat([getattr(part, spec.name) for part in parts])
        for spec in fields(first)
        if spec.name != "prior" and getattr(first, spec.name) is not None
    }
    return replace(first, prior=prior, **rest)


def update(
    policy: CompactPolicy,
    reference: CompactPolicy,
    rollout: Rollout,
    optimiser: torch.optim.Optimizer,
    config: PPOConfig,
) -> dict[str, float]:
    """Make the updates for one batch of trajectories; return their statistics."""
    with torch.no_grad():
        before = torch.log_softmax(reference(rollout.state).logits, dim=1)
    advantage = rollout.advantage - rollout.advantage.mean()
    right, made = rollout.right, rollout.state.made
    statistics: dict[str, float] = {}
    for _ in range(config.epochs):
        policy.eval()  # the probabilities compared must be of the same network, so dropout is off
        assessed = policy(rollout.state)
        chances = torch.log_softmax(assessed.logits, dim=1)
        logp = chances.gather(1, rollout.action[:, None]).squeeze(1)
        ratio = (logp - rollout.logp).exp()
        gained = ratio * advantage
        if config.clipped:
            gained = torch.minimum(gained, ratio.clamp(1 - config.clip_coef, 1 + config.clip_coef) * advantage)
        entropy = -(chances.exp() * chances.clamp(min=-50)).sum(1).mean()
        kl = (chances.exp() * (chances.clamp(min=-50) - before.clamp(min=-50))).sum(1).mean()
        value = functional.mse_loss(assessed.value, rollout.returns)
        policy.train()
        belief = functional.binary_cross_entropy_with_logits(
            policy.right_logits(rollout.state), right, reduction="none"
        )
        belief = (belief * made).sum() / made.sum().clamp(min=1)
        loss = (
            -gained.mean()
            + config.value_weight * value
            - config.entropy_weight * entropy
            + config.kl_weight * kl
            + config.belief_weight * belief
        )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        statistics = {
            "loss": loss.item(),
            "value_loss": value.item(),
            "entropy": entropy.item(),
            "kl": kl.item(),
            "belief_loss": belief.item(),
            "clipped": ((ratio - 1).abs() > config.clip_coef).float().mean().item(),
        }
    return statistics


def improve(
    policy: CompactPolicy,
    recordings: Recordings,
    held_out: HeldOutStatistics,
    config: PPOConfig,
    *,
    seed: int = 0,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> None:
    """Improve a policy in place.

    Args:
        policy: the policy; its current state is the reference.
        recordings: the outcomes to replay.
        held_out: the memories through which queries are seen.
        config: the hyperparameters.
        seed: seed of everything random.
        on_step: called with the number of the step and its statistics.
    """
    reference = copy.deepcopy(policy).eval()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(policy.parameters(), lr=config.learning_rate)
    for step in range(config.steps):
        rollout = play(policy, recordings, held_out, config, generator)
        statistics = update(policy, reference, rollout, optimiser, config)
        if on_step is not None:
            on_step(step, {**rollout.components, **statistics})
    policy.eval()
