"""The least gain of another call: by hand, on path two, and as what parts the dual path."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from asking import sums

from langchain_atlas.errors import SettingError
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.recordings import Recordings
from langchain_atlas.learning.rollout import follow
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.loop.turns import solve
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.dual import DUAL_LEAST_GAIN, DualRouter
from langchain_atlas.routers.policy.least_gain import with_least_gain
from langchain_atlas.routers.policy.settings import DEFAULT_LEAST_GAIN
from langchain_atlas.testing import FakeEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.routers.policy.router import RLRouter

TABLE = sums()


@pytest.fixture(scope="module")
def policy() -> RLRouter:
    lesson = PretrainingConfig(belief_steps=30, gain_steps=30, batch=64)
    config = TrainingConfig(pretraining=lesson, ppo=PPOConfig(steps=3, batch=64), cautious=False)
    return train(TABLE, FakeEncoder(), config=config).configure(cost_weight=0.01, guard=0.0)


@pytest.fixture(scope="module")
def cluster() -> ClusterRouter:
    return ClusterRouter(FakeEncoder(), n_clusters=2).fit(TABLE)


def calls(router: Router) -> list[int]:
    executor = ReplayExecutor(TABLE)
    return [solve(query, router, executor).calls for query in TABLE.queries]


class _State:
    """Two states of two answers and three pairs: before any call, and after one."""

    def __init__(self, library: Any) -> None:
        self.made = library.asarray([[False, False], [True, False]])


@pytest.mark.parametrize("library", [np, torch])
def test_a_call_after_the_first_is_worth_that_much_less(library: Any) -> None:
    values = library.asarray([[0.0, 0.0, 0.5, 0.6, 0.7], [0.8, 0.0, 0.81, 0.83, 0.7]])
    found = with_least_gain(values, _State(library), 0.02)  # type: ignore[arg-type]
    wanted = [[0.0, 0.0, 0.5, 0.6, 0.7], [0.8, 0.0, 0.79, 0.81, 0.68]]
    assert np.allclose(np.asarray(found), wanted)


def test_a_policy_that_must_gain_a_whole_answer_calls_once(policy: RLRouter) -> None:
    assert max(calls(policy)) > 1
    assert set(calls(policy.configure(least_gain=1.0))) == {1}


def test_by_default_a_policy_wants_one_point(policy: RLRouter) -> None:
    assert policy.settings["least_gain"] == DEFAULT_LEAST_GAIN == 0.01
    assert sum(calls(policy)) <= sum(calls(policy.configure(least_gain=0.0)))


def test_more_to_gain_means_no_more_calls(policy: RLRouter) -> None:
    few = [sum(calls(policy.configure(least_gain=least))) for least in (0.0, 0.02, 0.1, 1.0)]
    assert few == sorted(few, reverse=True)


def test_a_whole_table_at_once_goes_the_way_of_the_loop(policy: RLRouter) -> None:
    router = policy.configure(least_gain=0.05, usd_per_second=0.0)
    recordings = Recordings.of(TABLE, router.encoder, like=router.featurizer)
    prior = router.featurizer.prior(recordings.seen)
    learned = CompactPolicy.of(router.policy)
    found = follow(learned, recordings, prior, router.price, least_gain=0.05)
    assert found.calls.tolist() == calls(router)


class TestDual:
    def test_it_makes_fewer_calls_than_the_policy_alone(self, policy: RLRouter, cluster: ClusterRouter) -> None:
        dual = DualRouter(cluster, policy, least_gain=1.0)
        assert set(calls(dual)) == {1}
        assert calls(dual.configure(path="rl")) == calls(policy)

    def test_two_points_by_default(self, policy: RLRouter, cluster: ClusterRouter) -> None:
        dual = DualRouter(cluster, policy)
        assert dual.settings["least_gain"] == DUAL_LEAST_GAIN == 0.02
        assert calls(dual) == calls(policy.configure(least_gain=0.02))
        assert calls(dual.configure(least_gain=0.0)) == calls(policy)

    def test_a_policy_that_wants_more_keeps_to_it(self, policy: RLRouter, cluster: ClusterRouter) -> None:
        assert set(calls(DualRouter(cluster, policy.configure(least_gain=1.0)))) == {1}

    def test_it_is_saved(self, policy: RLRouter, cluster: ClusterRouter, tmp_path: Path) -> None:
        DualRouter(cluster, policy, least_gain=0.25).save(tmp_path / "dual")
        assert Router.load(tmp_path / "dual", FakeEncoder()).settings["least_gain"] == 0.25

    def test_a_folder_saved_before_decides_as_it_did(
        self, policy: RLRouter, cluster: ClusterRouter, tmp_path: Path
    ) -> None:
        DualRouter(cluster, policy).save(tmp_path / "dual")
        config = json.loads((tmp_path / "dual/config.json").read_text())
        del config["settings"]["least_gain"]
        (tmp_path / "dual/config.json").write_text(json.dumps(config))
        assert calls(Router.load(tmp_path / "dual", FakeEncoder())) == calls(policy)


@pytest.mark.parametrize("least", [-0.1, 1.5, float("nan"), "much", True])
def test_it_is_a_fraction(least: Any, policy: RLRouter, cluster: ClusterRouter) -> None:
    for router in (policy, DualRouter(cluster, policy)):
        with pytest.raises(SettingError, match=r"from 0 .* to 1"):
            router.configure(least_gain=least)
    with pytest.raises(SettingError, match="least_gain is"):
        DualRouter(cluster, policy, least_gain=least)
