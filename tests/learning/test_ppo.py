"""PPO: advantages worked by hand, and a problem with a known optimum."""

from pathlib import Path

import numpy as np
import pytest
import torch
from asking import letters_or_numbers, sums

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.learning import training
from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.ppo import PPOConfig, advantages, improve, play
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.recordings import Recordings, held_out_statistics
from langchain_atlas.learning.rewards import Rewards
from langchain_atlas.learning.rollout import follow
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.policy.network import PolicyConfig
from langchain_atlas.testing import FakeEncoder


def test_advantages_worked_by_hand() -> None:
    """Two turns, then an end: with gamma 0.9 and lambda 0.5."""
    rewards = torch.tensor([[-0.1], [1.0], [0.0]])
    values = torch.tensor([[0.5], [0.6], [9.0]])
    alive = torch.tensor([[1.0], [1.0], [0.0]])
    found, returns = advantages(rewards, values, alive, 0.9, 0.5)
    # last: 1.0 - 0.6 = 0.4; first: (-0.1 + 0.9 * 0.6 - 0.5) + 0.9 * 0.5 * 0.4 = -0.06 + 0.18 = 0.12
    assert found.squeeze(1).tolist() == pytest.approx([0.12, 0.4, 0.0])
    assert returns.squeeze(1).tolist() == pytest.approx([0.62, 1.0, 0.0])


def test_rewards_by_component() -> None:
    parts = Rewards(selection=1.0).components(
        score=torch.tensor([1.0, 0.0]),
        answered=torch.tensor([True, False]),
        optimal=torch.tensor([False, True]),
        cost=torch.tensor([0.5, 2.0]),
        price=torch.tensor([0.1, 0.2]),
    )
    assert parts["outcome"].tolist() == [1.0, 0.0]
    assert parts["selection"].tolist() == pytest.approx([-0.15, 0.0])
    assert parts["format"].tolist() == [0.0, -1.0]
    assert parts["cost"].tolist() == pytest.approx([-0.05, -0.4])


def test_trajectories_cost_what_was_called_and_score_what_was_given() -> None:
    recordings = Recordings.of(sums(), FakeEncoder())
    held_out = held_out_statistics(recordings, seed=0)
    generator = torch.Generator().manual_seed(0)
    rollout = play(CompactPolicy(), recordings, held_out, PPOConfig(batch=64), generator)
    parts = rollout.components
    assert parts["reward"] == pytest.approx(
        parts["outcome"] + parts["cost"] + parts["format"] + parts["selection"], abs=1e-5
    )
    assert 0 < parts["outcome"] <= 1
    assert parts["cost"] < 0
    assert 1 <= parts["calls"] <= 4


def test_ppo_finds_a_known_optimum() -> None:
    """Two pairs with one record; only the query tells which is right. One call is enough."""
    recordings = Recordings.of(letters_or_numbers(), FakeEncoder())
    held_out = held_out_statistics(recordings, seed=0)
    torch.manual_seed(0)
    policy = CompactPolicy(PolicyConfig(nearby=False, agreement=False))
    prior = recordings.featurizer.prior(recordings.seen)
    config = PPOConfig(steps=150, batch=128, epochs=4, learning_rate=3e-3, entropy_weight=0.01, kl_weight=0.0)
    before = follow(policy, recordings, prior, 0.1)
    improve(policy, recordings, held_out, config, seed=0)
    after = follow(policy, recordings, prior, 0.1)
    assert before.score.mean() < 0.8
    assert after.score.mean() > 0.95
    assert after.calls.float().mean() < 1.2


def test_training_is_the_same_for_a_seed() -> None:
    config = TrainingConfig(
        pretraining=PretrainingConfig(belief_steps=3, gain_steps=3, batch=32), ppo=PPOConfig(steps=2, batch=32)
    )
    first, second = (train(sums(), FakeEncoder(), config=config, seed=3).policy.weights for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_bad_input_to_training() -> None:
    with pytest.raises(OutcomeError, match="needs at least 20"):
        train(sums(5), FakeEncoder())
    with pytest.raises(SettingError, match="seed is -1"):
        train(sums(), FakeEncoder(), seed=-1)


def test_checkpoints_are_routers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    config = TrainingConfig(
        pretraining=PretrainingConfig(belief_steps=2, gain_steps=2, batch=16), ppo=PPOConfig(steps=5, batch=8)
    )
    train(sums(), FakeEncoder(), config=config, checkpoints=tmp_path / "made")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["step-2", "step-4"]
    loaded = Router.load(tmp_path / "made" / "step-2", encoder=FakeEncoder())
    assert loaded.decide(sums().queries[0]).kind == "route"
