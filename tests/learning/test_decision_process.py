"""The decision process of path two: what an action leads to and what it earns, worked by hand on the sums."""

from dataclasses import replace

import pytest
import torch
from asking import sums

from langchain_atlas.errors import SettingError
from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.process import DecisionProcess, Episodes
from langchain_atlas.learning.recordings import Recordings, held_out_statistics
from langchain_atlas.learning.rewards import Rewards
from langchain_atlas.routers.policy.state_features import MAX_CALLS
from langchain_atlas.testing import FakeEncoder

RECORDINGS = Recordings.of(sums(), FakeEncoder())
CHEAP, SMALL, OTHER, LARGE = range(4)
"""Columns; calls cost 0.05, 0.1, 0.1 and 1 of the dearest pair's."""


def call(column: int) -> int:
    return MAX_CALLS + column


def started(process: DecisionProcess, *rows: int, price: float = 0.5) -> Episodes:
    """Start on some queries; of query 1 the cheap pair's answer is wrong, all others' are right."""
    numbers = torch.tensor(rows)
    prior = RECORDINGS.featurizer.prior(RECORDINGS.seen).rows(numbers)
    return process.start(numbers, prior, RECORDINGS.recorded[numbers], torch.full((len(rows),), price))


def after(process: DecisionProcess, episodes: Episodes, *actions: int) -> Episodes:
    for action in actions:
        episodes = process.transition(episodes, torch.full((len(episodes),), action))
    return episodes


def test_a_call_takes_a_turn_and_an_answer_ends_the_episode() -> None:
    process = DecisionProcess(RECORDINGS)
    episodes = after(process, started(process, 1), call(CHEAP), call(LARGE))
    assert episodes.called.tolist() == [[CHEAP, LARGE, -1, -1]]
    assert (episodes.turns.tolist(), episodes.done.tolist(), episodes.answered.tolist()) == ([2], [False], [-1])
    ended = after(process, episodes, 1)
    assert (ended.done.tolist(), ended.answered.tolist()) == ([True], [LARGE])
    assert process.score(ended).tolist() == [1.0]
    assert process.score(episodes).tolist() == [0.0]


def test_a_call_earns_less_than_nothing_and_an_answer_its_score() -> None:
    """At a price of 0.5 a call of the cheap pair, a twentieth of the dearest, costs 0.025."""
    process = DecisionProcess(RECORDINGS)
    episodes = started(process, 1)
    parts = process.reward(episodes, torch.tensor([call(CHEAP)]))
    assert {name: round(part.item(), 6) + 0.0 for name, part in parts.items()} == {
        "outcome": 0.0,
        "selection": 0.0,
        "format": 0.0,
        "cost": -0.025,
    }
    episodes = after(process, episodes, call(CHEAP), call(LARGE))
    assert process.reward(episodes, torch.tensor([0]))["outcome"].item() == 0.0
    assert process.reward(episodes, torch.tensor([1]))["outcome"].item() == 1.0


def test_an_answer_dearer_than_the_cheapest_right_one_is_mischosen() -> None:
    """Of query 1 both pairs with a calculator are right at a tenth of what the large one costs."""
    process = DecisionProcess(RECORDINGS, Rewards(selection=1.0))
    episodes = after(process, started(process, 1), call(LARGE), call(SMALL))
    assert process.reward(episodes, torch.tensor([0]))["selection"].item() == pytest.approx(-0.15)
    assert process.reward(episodes, torch.tensor([1]))["selection"].item() == 0.0


def test_giving_an_answer_that_there_is_not_counts_as_malformed() -> None:
    process = DecisionProcess(RECORDINGS)
    assert process.reward(started(process, 1), torch.tensor([0]))["format"].item() == -1.0


def test_what_is_done_stays_and_earns_nothing_more() -> None:
    process = DecisionProcess(RECORDINGS)
    ended = after(process, started(process, 1), call(LARGE), 0)
    later = after(process, ended, call(CHEAP))
    assert later.called.tolist() == ended.called.tolist()
    assert later.turns.tolist() == ended.turns.tolist()
    assert all(part.item() == 0 for part in process.reward(ended, torch.tensor([call(CHEAP)])).values())
    assert process.cost(ended, torch.tensor([call(CHEAP)])).item() == 0


def test_the_mask_says_which_actions_can_be_taken() -> None:
    process = DecisionProcess(RECORDINGS, horizon=1)
    episodes = started(process, 1)
    assert process.state(episodes).mask.tolist() == [[False] * 4 + [True] * 4]
    called = after(process, episodes, call(SMALL))
    assert process.state(called).mask.tolist() == [[True, False, False, False] + [False] * 4]
    # a call beyond the horizon is not made, and costs nothing
    assert after(process, called, call(CHEAP)).called.tolist() == called.called.tolist()
    assert process.cost(called, torch.tensor([call(CHEAP)])).item() == 0


def test_episodes_of_a_batch_go_their_own_ways() -> None:
    process = DecisionProcess(RECORDINGS)
    episodes = process.transition(started(process, 0, 1, 2), torch.tensor([call(CHEAP), call(SMALL), call(LARGE)]))
    episodes = process.transition(episodes, torch.tensor([0, call(OTHER), 0]))
    assert episodes.done.tolist() == [True, False, True]
    assert episodes.called[:, :2].tolist() == [[CHEAP, -1], [SMALL, OTHER], [LARGE, -1]]
    assert episodes.answered.tolist() == [CHEAP, -1, LARGE]


def test_what_is_masked_is_never_done() -> None:
    """Its logit is minus infinity; where nothing at all can be done, no action stands out."""
    process = DecisionProcess(RECORDINGS)
    drawn = process.draw(held_out_statistics(RECORDINGS, seed=0), 16, torch.Generator().manual_seed(0))
    state = process.state(drawn)
    for cautious in (False, True):
        policy = CompactPolicy().eval()
        policy.config = replace(policy.config, cautious=cautious)
        assessed = policy(state)
        assert torch.equal(torch.isneginf(assessed.logits), ~state.mask)
        assert torch.isfinite(assessed.best_value).all()
        barred = policy(replace(state, allowed=torch.zeros_like(state.allowed)))
        assert not barred.mask.any()
        assert torch.equal(barred.logits, torch.zeros_like(barred.logits))


def test_a_horizon_out_of_range_is_refused() -> None:
    with pytest.raises(SettingError, match="horizon is 0; it must be a whole number from 1 to 4"):
        DecisionProcess(RECORDINGS, horizon=0)
