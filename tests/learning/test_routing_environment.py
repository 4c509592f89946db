"""The Gymnasium environment: its own checker passes, it hides scores, and pays what it says."""

import warnings

import numpy as np
import pytest
from asking import sums
from gymnasium.utils.env_checker import check_env

from langchain_atlas.errors import SettingError
from langchain_atlas.learning.environment import RoutingEnvironment
from langchain_atlas.learning.recordings import Recordings, held_out_statistics
from langchain_atlas.routers.policy.state_features import MAX_CALLS
from langchain_atlas.testing import FakeEncoder


@pytest.fixture(scope="module")
def environment() -> RoutingEnvironment:
    recordings = Recordings.of(sums(), FakeEncoder())
    return RoutingEnvironment(recordings, held_out_statistics(recordings, seed=0))


def test_an_episode(environment: RoutingEnvironment) -> None:
    """Query 1: the cheap pair is wrong there, the large one right; two calls, then the second answer."""
    seen, info = environment.reset(seed=0, options={"row": 1, "price": 0.5})
    assert info == {"row": 1}
    assert seen["action_mask"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    seen, reward, ended, _, _ = environment.step(MAX_CALLS + 0)
    assert not ended
    assert reward == pytest.approx(-0.5 * 0.001 / 0.02)
    seen, reward, ended, _, _ = environment.step(MAX_CALLS + 3)
    assert reward == pytest.approx(-0.5)
    assert seen["same"][:2, :2].tolist() == [[1, 0], [0, 1]]
    assert seen["called"].tolist() == [1, 4, 0, 0]
    assert seen["turns"].tolist() == [2.0]
    _, reward, ended, _, parts = environment.step(1)
    assert ended
    assert reward == 1.0
    assert parts["outcome"] == 1.0


def test_masked_actions_are_refused(environment: RoutingEnvironment) -> None:
    environment.reset(seed=0, options={"row": 1})
    with pytest.raises(SettingError, match="Action 0"):
        environment.step(0)
    environment.step(MAX_CALLS)
    with pytest.raises(SettingError, match="action_mask"):
        environment.step(MAX_CALLS)


def test_the_horizon_ends_calling(environment: RoutingEnvironment) -> None:
    short = RoutingEnvironment(environment._recordings, environment._views, horizon=1)
    short.reset(seed=0, options={"row": 0})
    seen, *_ = short.step(MAX_CALLS)
    assert seen["action_mask"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    with pytest.raises(SettingError, match="horizon is 5"):
        RoutingEnvironment(environment._recordings, environment._views, horizon=5)


def test_what_is_seen_does_not_depend_on_the_scores(environment: RoutingEnvironment) -> None:
    """The same calls with all scores turned round show the same, but what is paid for them."""
    from dataclasses import replace

    right = environment._recordings
    memory = replace(right.memory, outcomes=replace(right.outcomes, scores=1 - right.outcomes.scores))
    turned = replace(right, featurizer=replace(right.featurizer, memory=memory))
    other = RoutingEnvironment(turned, environment._views)
    shown = []
    for one in (environment, other):
        one.reset(seed=5, options={"row": 7, "price": 0.1})
        one.step(MAX_CALLS + 1)
        shown.append(one.step(MAX_CALLS + 2)[0])
    assert all(np.array_equal(shown[0][name], shown[1][name]) for name in shown[0])


def test_gymnasiums_own_checker(environment: RoutingEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    """It steps at random, so here a masked action is taken for the first that is allowed."""
    step = environment.step

    def lenient(action: int) -> object:
        mask = environment._mask()
        return step(action if mask[action] else int(np.flatnonzero(mask)[0]))

    monkeypatch.setattr(environment, "step", lenient)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(environment, skip_render_check=True)
