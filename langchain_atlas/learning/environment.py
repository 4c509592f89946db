"""Routing as a Gymnasium environment, so that any algorithm can be tried on recorded outcomes.

An episode is one query. Actions are the answers got so far (give it, which ends the episode), then the pairs (call it).
The observation is what a live router sees: never the score of a call. Our own PPO plays the same episodes, many at
once; see `langchain_atlas.learning.ppo`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from langchain_atlas.errors import MissingExtraError, SettingError
from langchain_atlas.learning.process import DecisionProcess, Episodes, draw_pool, draw_prices
from langchain_atlas.learning.rewards import Rewards
from langchain_atlas.routers.policy.state_features import ANSWER_FEATURES, MAX_CALLS, PAIR_FEATURES, QUERY_FEATURES

try:
    import gymnasium
except ImportError as error:
    raise MissingExtraError("The environment", "rl") from error

if TYPE_CHECKING:
    from langchain_atlas.learning.recordings import HeldOutStatistics, Recordings

Observed = dict[str, Any]
"""One observation, by name; see `RoutingEnvironment`."""


class RoutingEnvironment(gymnasium.Env[Observed, np.int64]):
    """Episodes over recorded outcomes; at most `horizon` calls.

    Observations are dicts: ``pairs`` [n_pairs, features] and ``query`` [features] (names in `PAIR_FEATURES` and
    `QUERY_FEATURES`), ``cost`` [n_pairs] (1 for the most expensive pair), ``answers`` [4, features], ``called`` [4]
    (column plus one; 0 for none), ``same`` [4, 4], ``turns`` and ``price`` [1], ``action_mask`` [4 + n_pairs].

    Args:
        recordings: the outcomes to replay.
        held_out: the memories through which queries are seen.
        rewards: the weights of the reward's components.
        horizon: maximum number of calls in an episode, 1 to 4.

    Raises:
        SettingError: `horizon` is out of range.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # declared like this by Gymnasium

    def __init__(
        self,
        recordings: Recordings,
        held_out: HeldOutStatistics,
        *,
        rewards: Rewards | None = None,
        horizon: int = MAX_CALLS,
    ) -> None:
        self._recordings, self._views = recordings, held_out
        self._process = DecisionProcess(recordings, rewards or Rewards(), horizon)
        self._episode: Episodes | None = None
        n_pairs = recordings.scores.shape[1]
        high = np.inf
        box = gymnasium.spaces.Box
        self.action_space = gymnasium.spaces.Discrete(MAX_CALLS + n_pairs)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "pairs": box(-high, high, (n_pairs, len(PAIR_FEATURES)), np.float32),
                "query": box(-high, high, (len(QUERY_FEATURES),), np.float32),
                "cost": box(0, high, (n_pairs,), np.float32),
                "answers": box(-high, high, (MAX_CALLS, len(ANSWER_FEATURES)), np.float32),
                "called": gymnasium.spaces.MultiDiscrete([n_pairs + 1] * MAX_CALLS),
                "same": gymnasium.spaces.MultiBinary([MAX_CALLS, MAX_CALLS]),
                "turns": box(0, MAX_CALLS, (1,), np.float32),
                "price": box(0, high, (1,), np.float32),
                "action_mask": gymnasium.spaces.MultiBinary(MAX_CALLS + n_pairs),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observed, dict[str, Any]]:
        """Start an episode on a random query, or on ``options["row"]`` at ``options["price"]``."""
        super().reset(seed=seed)
        generator = torch.Generator().manual_seed(int(self.np_random.integers(2**31)))
        chosen = dict(options or {})
        row = chosen.get("row", int(self.np_random.integers(len(self._recordings))))
        view = int(self.np_random.integers(self._views.n_views))
        rows = torch.tensor([row])
        recorded = self._recordings.recorded[rows]
        pool = recorded if "row" in chosen else draw_pool(recorded, generator)
        price = chosen.get("price")
        self._episode = self._process.start(
            rows,
            self._views.rows(rows, torch.tensor([view])),
            pool,
            draw_prices(1, generator) if price is None else torch.tensor([float(price)]),
        )
        return self._observation(), {"row": row}

    def step(self, action: int | np.int64) -> tuple[Observed, float, bool, bool, dict[str, Any]]:
        """Give an answer or call a pair.

        Raises:
            SettingError: the action is masked.
        """
        mask, episode = self._mask(), self._now()
        if not 0 <= action < len(mask) or not mask[action]:
            raise SettingError(f"Action {action!r} can't be taken now; 'action_mask' says which can.")
        taken = torch.tensor([int(action)])
        rewards = {name: float(part) for name, part in self._process.reward(episode, taken).items()}
        self._episode = self._process.transition(episode, taken)
        return self._observation(), float(sum(rewards.values())), bool(self._episode.done), False, rewards

    def _now(self) -> Episodes:
        if self._episode is None:
            raise SettingError("No episode was started; call 'reset' first.")
        return self._episode

    def _mask(self) -> Any:
        return self._process.state(self._now()).mask[0].numpy().astype(np.int8)

    def _observation(self) -> Observed:
        episode = self._now()
        state, prior = self._process.state(episode), episode.prior
        made = state.made[0]
        return {
            "pairs": prior.pairs[0].numpy().copy(),
            "query": prior.query[0].numpy().copy(),
            "cost": prior.cost[0].numpy().copy(),
            "answers": state.answers[0].numpy().copy(),
            "called": (episode.called[0] + 1).numpy(),
            "same": (state.same[0] & made[:, None] & made[None]).numpy().astype(np.int8),
            "turns": state.turns.numpy().astype(np.float32),
            "price": episode.price.numpy().copy(),
            "action_mask": state.mask[0].numpy().astype(np.int8),
        }
