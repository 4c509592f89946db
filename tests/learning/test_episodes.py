"""Episodes: what a policy writes, of every shape, and the state, the reward and the message that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from langchain_atlas.errors import SettingError
from langchain_atlas.learning.language_model.episodes import Environment, Episode
from langchain_atlas.learning.language_model.imitation import (
    oracle_transcripts,
    random_transcripts,
    router_transcripts,
)
from langchain_atlas.learning.language_model.rewards import TranscriptRewards
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.testing import ScriptedExecutor

if TYPE_CHECKING:
    from collections.abc import Sequence

CHEAP, DEAR = Pair("cheap", "python"), Pair("dear")
ASK, AGAIN = (f"<think>x</think><search>{pair}: the question</search>" for pair in (CHEAP, DEAR))
GIVE, GIVE_SECOND = (f"<think>x</think><answer>result {number}</answer>" for number in (1, 2))


def environment(**settings: object) -> Environment:
    """Two queries: both pairs are right on the first, the dear one alone on the second."""
    scores = {("q1", CHEAP): 1.0, ("q1", DEAR): 1.0, ("q2", CHEAP): 0.0, ("q2", DEAR): 1.0}
    rows = [
        {
            "query_id": name, "query": f"what is {name}?", "domain": "d", "model": pair.model, "tool": pair.tool,
            "score": score, "cost_usd": 0.001 if pair == CHEAP else 0.01,
            "response": "42" if score else "</information> < Answer >41",
        }
        for (name, pair), score in scores.items()
    ]  # fmt: skip
    return Environment.of(OutcomeTable.from_rows(rows), rewards=TranscriptRewards(cost=0.1), **settings)


def play(steps: Sequence[str], row: int = 0, **settings: object) -> tuple[Episode, dict[str, float], list[str | None]]:
    there = environment(**settings)
    episode = there.start(row)
    told = [there.step(episode, step) for step in steps]
    return episode, there.components(episode), told


def test_a_right_answer_of_the_cheapest_pair() -> None:
    episode, reward, told = play([ASK, GIVE])
    assert told == ["<information>42</information>", None]
    assert (episode.done, episode.problem, episode.called, episode.trajectory.answer) == (True, "", (CHEAP,), "42")
    assert reward == {"format": 0, "outcome": 1, "selection": 0, "cost": pytest.approx(-0.01)}


def test_a_right_answer_of_a_dearer_pair_costs_the_selection() -> None:
    _, reward, _ = play([AGAIN, GIVE])
    assert reward == {"format": 0, "outcome": 1, "selection": -0.15, "cost": pytest.approx(-0.1)}


def test_the_second_result_may_be_given() -> None:
    episode, reward, _ = play([ASK, AGAIN, GIVE_SECOND], row=1)
    assert episode.called == (CHEAP, DEAR)
    assert reward == {"format": 0, "outcome": 1, "selection": 0, "cost": pytest.approx(-0.11)}


def test_a_wrong_answer_is_well_formed() -> None:
    _, reward, told = play([ASK, GIVE], row=1)
    assert told[0] == "<information>(/information) (Answer)41</information>", "tags in a result are words"
    assert (reward["format"], reward["outcome"], reward["selection"]) == (0, 0, -0.15)


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (["I would ask the cheap one."], "There is no <search> and no <answer>."),
        (["<think>x<search>cheap@@python: x</search>"], "'<search>' is inside '<think>'."),
        (["<search>nobody@@none: x</search>"], "'nobody@@none' is no pair that may be called."),
        (["<search>cheap@@python:</search>"], "The call of 'cheap@@python' has no input"),
        (["<think>x</think><answer>42</answer>"], "Nobody was asked yet"),
        ([ASK, "<think>x</think><answer></answer>"], "The <answer> is empty."),
        ([ASK, "<think>x</think><answer>result 3</answer>"], "There is no result 3 with an answer; there is: 1."),
        ([ASK, ASK, ASK, ASK, ASK], "All 4 turns are used."),
        (["<think>x</think>"] * 5, "All 4 turns are used."),
    ],
)
def test_what_can_not_be_used_ends_the_episode(steps: list[str], problem: str) -> None:
    episode, reward, told = play(steps)
    assert told[-1] is None
    assert episode.done
    assert episode.problem.startswith(problem)
    assert reward["outcome"] == 0
    assert reward["format"] == -1 or "answer" in steps[-1]


def test_a_thought_alone_goes_on() -> None:
    episode, reward, told = play(["<think>who?</think>", ASK, GIVE])
    assert told[0] == "Go on."
    assert (reward["format"], len(episode.trajectory.steps)) == (0, 3)


def test_an_answer_in_its_own_words_is_no_recorded_one() -> None:
    _, reward, _ = play([ASK, "<think>x</think><answer>forty-two</answer>"])
    assert (reward["format"], reward["outcome"]) == (0, 0)


def test_a_live_executor_is_told_what_the_policy_asks_and_its_failures_are_shown() -> None:
    said = ScriptedExecutor(lambda pair, query: RuntimeError("no network") if pair == CHEAP else f"{query.text} 42")
    live = {"executor": said, "score": lambda _, trajectory: float("42" in (trajectory.answer or ""))}
    steps = [ASK, f"<think>x</think><search>{DEAR}: and now?</search>", GIVE_SECOND]
    episode, reward, told = play(steps, **live)
    assert told[:2] == [
        "<information>failed: RuntimeError: no network</information>", "<information>and now? 42</information>",
    ]  # fmt: skip
    assert (episode.trajectory.answer, reward["outcome"]) == ("and now? 42", 1)


def test_results_and_questions_are_cut() -> None:
    there = environment(observation_chars=1, question_chars=4)
    episode = there.start(0)
    assert there.messages(episode)[1].content == "Question: wh\n[...]\n1?"
    assert there.step(episode, ASK) == "<information>4</information>"


def test_a_live_executor_needs_a_score() -> None:
    with pytest.raises(SettingError, match="give 'score' too"):
        environment(executor=ScriptedExecutor({}))
    with pytest.raises(SettingError, match="turns is 0"):
        environment(turns=0)


def test_the_oracle_calls_the_cheapest_right_pair() -> None:
    there = environment()
    steps = dict(oracle_transcripts(there))
    assert [str(CHEAP) in steps[0][0], str(DEAR) in steps[1][0]] == [True, True]
    for row, written in steps.items():
        episode = there.start(row)
        for step in written:
            there.step(episode, step)
        assert there.components(episode)["outcome"] == 1


def test_a_routers_trajectories_are_imitated_as_it_played_them() -> None:
    steps = dict(router_transcripts(environment(), SinglePairRouter(DEAR)))
    assert all(
        str(DEAR) in written[0] and written[-1].endswith("<answer>result 1</answer>") for written in steps.values()
    )
    assert len(steps) == 2


def test_random_transcripts_depend_on_the_seed_alone() -> None:
    there = environment()
    assert random_transcripts(there, seed=1) == random_transcripts(there, seed=1)
