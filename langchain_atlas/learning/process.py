"""The decision process of path two: the state of an episode, and the transition of an action (rewards: `rewards.py`).

An episode is one query. Actions are the answers so far (giving one ends the episode), then the pairs (calling one).
PPO, replay of a policy and the Gymnasium environment all use this process, for many episodes at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from langchain_atlas.errors import SettingError
from langchain_atlas.learning.rewards import RIGHT, Rewards
from langchain_atlas.routers.policy.state_features import MAX_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from langchain_atlas.learning.recordings import HeldOutStatistics, Recordings
    from langchain_atlas.routers.policy.state_features import PriorFeatures, State

PRICES = (0.003, 6.0)
"""Lowest and highest price in training, drawn log-uniformly; see `State.price`."""


@dataclass(frozen=True)
class Episodes:
    """The current state of a batch of episodes; shape [B] unless noted otherwise."""

    rows: Tensor
    """Index of each query."""
    prior: PriorFeatures
    """What is known before any call."""
    pool: Tensor
    """Which pairs may be called, shape [B, P]."""
    price: Tensor
    """Score that one unit of cost is worth."""
    called: Tensor
    """Columns of the calls, -1 for calls not made, shape [B, T]."""
    turns: Tensor
    """Number of calls that may still be made."""
    done: Tensor
    """Whether an answer was given."""
    answered: Tensor
    """Column whose answer was given, -1 where none was."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Transition:
    """One action in each of a batch of episodes."""

    before: Episodes
    """The episodes that it was taken in."""
    state: State
    """What the policy saw."""
    action: Tensor
    """The actions, shape [B]."""
    after: Episodes
    """The episodes with the actions taken."""


@dataclass(frozen=True)
class DecisionProcess:
    """Episodes over recorded outcomes.

    Raises:
        SettingError: `horizon` is out of range.
    """

    recordings: Recordings
    """The outcomes to replay."""
    rewards: Rewards = field(default_factory=Rewards)
    """The weights of the reward's components."""
    horizon: int = MAX_CALLS
    """Maximum number of calls in an episode, 1 to 4."""

    def __post_init__(self) -> None:
        if not 1 <= self.horizon <= MAX_CALLS:
            raise SettingError(f"horizon is {self.horizon!r}; it must be a whole number from 1 to {MAX_CALLS}.")

    def start(self, rows: Tensor, prior: PriorFeatures, pool: Tensor, price: Tensor) -> Episodes:
        """Start episodes on some queries; see `Episodes`."""
        size = len(rows)
        return Episodes(
            rows=rows,
            prior=prior,
            pool=pool,
            price=price,
            called=torch.full((size, MAX_CALLS), -1),
            turns=torch.full((size,), self.horizon),
            done=torch.zeros(size, dtype=torch.bool),
            answered=torch.full((size,), -1),
        )

    def draw(self, held_out: HeldOutStatistics, size: int, generator: torch.Generator) -> Episodes:
        """Start episodes on random queries, each through a random view, from a random pool, at a random price."""
        rows = torch.randint(len(self.recordings), (size,), generator=generator)
        prior = held_out.rows(rows, torch.randint(held_out.n_views, (size,), generator=generator))
        pool, price = draw_pool(self.recordings.recorded[rows], generator), draw_prices(size, generator)
        return self.start(rows, prior, pool, price)

    def state(self, episodes: Episodes) -> State:
        """Return what the policy sees; its `mask` marks the actions that can be taken."""
        return self.recordings.state(
            episodes.prior, episodes.rows, episodes.pool, episodes.called, episodes.price, episodes.turns
        )

    def transition(self, episodes: Episodes, action: Tensor) -> Episodes:
        """Return the episodes after one action each, shape [B]; finished episodes do not change."""
        gives = ~episodes.done & (action < MAX_CALLS)
        calls = ~episodes.done & (action >= MAX_CALLS) & (episodes.turns > 0)
        called, slot = episodes.called.clone(), (episodes.called >= 0).sum(1)
        called[calls, slot[calls]] = action[calls] - MAX_CALLS
        return replace(
            episodes,
            called=called,
            turns=episodes.turns - calls.long(),
            done=episodes.done | gives,
            answered=torch.where(gives, _given(episodes, action), episodes.answered),
        )

    def turns(self, episodes: Episodes, choose: Callable[[State], Tensor]) -> Iterator[Transition]:
        """Take turns until every episode is done: `horizon` calls at most, and an answer.

        Args:
            episodes: where to start.
            choose: takes the state, and returns an action for each episode, shape [B].
        """
        for _ in range(self.horizon + 1):
            state = self.state(episodes)
            action = choose(state)
            following = self.transition(episodes, action)
            yield Transition(episodes, state, action, following)
            episodes = following

    def cost(self, episodes: Episodes, action: Tensor) -> Tensor:
        """Return the cost of an action, 1 for a call of the most expensive pair, shape [B]; an answer costs nothing."""
        calls = ~episodes.done & (action >= MAX_CALLS) & (episodes.turns > 0)
        return torch.where(calls, self.recordings.costs[episodes.rows, (action - MAX_CALLS).clamp(min=0)], 0.0)

    def reward(self, episodes: Episodes, action: Tensor) -> dict[str, Tensor]:
        """Return the reward of an action, by component, shape [B] each; 0 if the episode is finished."""
        gives, given = ~episodes.done & (action < MAX_CALLS), _given(episodes, action)
        answered, column = gives & (given >= 0), given.clamp(min=0)
        right, costs = self.recordings.scores[episodes.rows], self.recordings.costs[episodes.rows]
        cheapest = torch.where(episodes.pool & (right >= RIGHT), costs, torch.inf).min(dim=1).values
        mine = costs.gather(1, column[:, None]).squeeze(1)
        optimal = (cheapest == torch.inf) | (mine <= cheapest) | ~gives
        score = torch.where(answered, right.gather(1, column[:, None]).squeeze(1), 0.0)
        parts = self.rewards.components(score, answered | ~gives, optimal, self.cost(episodes, action), episodes.price)
        return {name: part * ~episodes.done for name, part in parts.items()}

    def score(self, episodes: Episodes) -> Tensor:
        """Return the score of the answers given, shape [B]; 0 where none was given."""
        column = episodes.answered.clamp(min=0)
        return torch.where(episodes.answered >= 0, self.recordings.scores[episodes.rows, column], 0.0)


def _given(episodes: Episodes, action: Tensor) -> Tensor:
    """Return the column whose answer an action gives, shape [B]; meaningless if the action calls a pair."""
    return episodes.called.gather(1, action.clamp(max=MAX_CALLS - 1)[:, None]).squeeze(1)


def draw_prices(count: int, generator: torch.Generator) -> Tensor:
    """Draw prices for training, log-uniformly."""
    low, high = (torch.tensor(price).log() for price in PRICES)
    return (low + (high - low) * torch.rand(count, generator=generator)).exp()


def draw_pool(recorded: Tensor, generator: torch.Generator) -> Tensor:
    """Leave a random set of pairs out of each state, shape [B, P], so that the policy works with any pool."""
    share = 0.3 + 0.7 * torch.rand(len(recorded), 1, generator=generator)
    kept = recorded & (torch.rand(recorded.shape, generator=generator) < share)
    return torch.where(kept.sum(1, keepdim=True) >= min(MAX_CALLS + 1, recorded.shape[1]), kept, recorded)
