"""Which of several answers is best: the tool, the vote, functions, and what a pool file can say."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import ToolMessage
from langchain_tests.unit_tests import ToolsUnitTests

from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.tools.ranking import (
    AnswerScore,
    AnswerScorer,
    FunctionAnswerScorer,
    RankingTool,
    Scores,
    Vote,
    split_steps,
)
from langchain_atlas.tools.registry import build_tools
from langchain_atlas.trajectory import Query
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.tools import BaseTool

    Score = Callable[[AnswerScorer, Query, Sequence[str]], Scores]

QUESTION = Query(text="What is 6 times 7?")
FUNCTIONS = json.dumps([{"name": "add", "parameters": {"type": "object", "properties": {"a": {}, "b": {}}}}])


@pytest.fixture(params=["sync", "async"])
def score(request: pytest.FixtureRequest) -> Score:
    """Score in the foreground and on an event loop."""
    if request.param == "sync":
        return lambda scorer, query, answers: scorer.score(query, answers)
    return lambda scorer, query, answers: asyncio.run(scorer.ascore(query, answers))


def length(question: str, answer: str) -> float:
    if "bad" in answer:
        raise ValueError("bad answer")
    return len(answer)


async def alength(question: str, answer: str) -> float:
    return len(answer)


def step_lengths(question: str, steps: list[str]) -> list[float]:
    return [len(step) for step in steps]


SHORTEST = FunctionAnswerScorer(lambda _, answer: -len(answer))


class TestVote:
    def test_scores_by_the_share_that_says_the_same(self, score: Score) -> None:
        answers = ["The answer is 42", "41", "$42.00", "I don't know", "42"]
        scores = score(Vote(), QUESTION, answers)
        assert [one.score for one in scores.answers] == [0.6, 0.2, 0.6, 0.0, 0.6]
        assert scores.best == 0
        assert (scores.cost_usd, scores.usage) == (0.0, Usage(input_tokens=0, output_tokens=0))

    def test_reads_function_calls_where_functions_are_on_offer(self) -> None:
        query = Query(text="Add 1 and 2", context=FUNCTIONS)
        answers = ["add(a=2, b=2)", "add(a=1, b=2)", '{"name": "add", "arguments": {"b": 2, "a": 1}}']
        assert [one.score for one in Vote().score(query, answers).answers] == pytest.approx([1 / 3, 2 / 3, 2 / 3])

    def test_gives_the_first_of_equals(self) -> None:
        assert Vote().score(QUESTION, ["1", "2"]).best == 0

    @given(st.lists(st.text(max_size=20), min_size=1, max_size=8))
    def test_never_gives_an_answer_that_fewer_say_than_another(self, answers: list[str]) -> None:
        scores = Vote().score(QUESTION, answers)
        assert scores.best is not None
        best = scores.answers[scores.best].score
        assert best == max(one.score or 0 for one in scores.answers)


class TestFunction:
    def test_scores_whole_answers(self, score: Score) -> None:
        scores = score(FunctionAnswerScorer(length), QUESTION, ["a", "bad", "abc"])
        assert [one.score for one in scores.answers] == [1, None, 3]
        assert scores.answers[1].error == "ValueError: bad answer"
        assert scores.best == 2

    def test_scores_steps_and_takes_their_mean(self, score: Score) -> None:
        scores = score(FunctionAnswerScorer(step_lengths, by="steps"), QUESTION, ["ab\nabcd", "a\n\nabcde\n\nabc", ""])
        assert [one.steps for one in scores.answers] == [(2, 4), (1, 5, 3), ()]
        assert [one.score for one in scores.answers] == [3, 3, None]
        assert scores.answers[2].error == "it has no steps"

    def test_may_be_a_coroutine_function_for_asynchronous_runs(self) -> None:
        scorer = FunctionAnswerScorer(alength)
        assert [one.score for one in asyncio.run(scorer.ascore(QUESTION, ["a", "abc"])).answers] == [1, 3]
        (one,) = scorer.score(QUESTION, ["a"]).answers
        assert "only an asynchronous run can call" in str(one.error)

    @pytest.mark.parametrize("settings", [{"function": 3}, {"function": length, "by": "words"}])
    def test_that_makes_no_sense_is_refused(self, settings: dict[str, Any]) -> None:
        with pytest.raises(SettingError, match="give a function of question and answer"):
            FunctionAnswerScorer(**settings)


class TestSteps:
    @pytest.mark.parametrize(
        ("answer", "steps"),
        [
            ("one\ntwo", ["one", "two"]),
            ("one\nstill one\n\n \n two", ["one\nstill one", "two"]),
            ("  only  ", ["only"]),
            ("\n \n", []),
        ],
    )
    def test_are_paragraphs_or_else_lines(self, answer: str, steps: list[str]) -> None:
        assert split_steps(answer) == steps

    @given(st.text())
    def test_lose_nothing_but_space(self, answer: str) -> None:
        assert "".join("".join(split_steps(answer)).split()) == "".join(answer.split())


class TestScores:
    def test_best_is_the_first_of_the_highest(self) -> None:
        answers = tuple(AnswerScore(score=score) for score in (0.1, 0.5, None, 0.5))
        assert Scores(answers=answers).best == 1
        assert Scores(answers=(AnswerScore(error="no"),)).best is None


class TestTool:
    def test_says_which_is_best_and_keeps_the_scores(self) -> None:
        call = {"question": "?", "answers": ["abc", "a", "ab"]}
        message = RankingTool(scorer=SHORTEST).invoke({"name": "t", "args": call, "id": "1", "type": "tool_call"})
        assert isinstance(message, ToolMessage)
        assert json.loads(str(message.content)) == {"best": 1, "scores": [-3, -1, -2]}
        assert isinstance(message.artifact, Scores)

    def test_says_why_an_answer_has_no_score(self) -> None:
        said = json.loads(
            RankingTool(scorer=FunctionAnswerScorer(length)).invoke({"question": "?", "answers": ["bad", "a"]})
        )
        assert said == {"best": 1, "scores": [None, 1], "errors": {"0": "ValueError: bad answer"}}

    def test_shows_the_scores_of_steps(self) -> None:
        tool = RankingTool(scorer=FunctionAnswerScorer(step_lengths, by="steps"))
        assert json.loads(tool.invoke({"question": "?", "answers": ["a\nabc"]}))["steps"] == [[1, 3]]

    def test_answers_with_an_error_where_nothing_can_be_scored(self) -> None:
        tool = RankingTool(scorer=FunctionAnswerScorer(length))
        call = {"name": "t", "args": {"question": "?", "answers": ["bad"]}, "id": "1", "type": "tool_call"}
        for message in (tool.invoke(call), asyncio.run(tool.ainvoke(call))):
            assert message.status == "error"
            assert message.content == 'Error: no answer could be scored: {"0": "ValueError: bad answer"}'

    @pytest.mark.parametrize("answers", [[], ["a"] * 65, "text"])
    def test_refuses_no_answers_and_too_many(self, answers: Any) -> None:
        assert RankingTool().invoke({"question": "?", "answers": answers}).startswith("Error: answers")


class TestPoolFile:
    @pytest.mark.parametrize(
        ("arguments", "kind"),
        [
            ({}, "Vote"),
            ({"scorer": "vote", "tolerance": 0.1}, "Vote"),
            ({"scorer": "judge", "model": "openai/m", "by": "steps"}, "ChatJudge"),
            ({"scorer": "rerank", "model": "cohere/r"}, "RerankScorer"),
            ({"scorer": "reward-model", "model": "some/model", "by": "steps"}, "RewardModel"),
            ({"scorer": f"{__name__}:length"}, "FunctionAnswerScorer"),
            ({"scorer": f"{__name__}:step_lengths", "by": "steps"}, "FunctionAnswerScorer"),
            ({"scorer": f"{__name__}:SHORTEST"}, "FunctionAnswerScorer"),
        ],
    )
    def test_names_scorers(self, arguments: dict[str, Any], kind: str) -> None:
        (tool,) = build_tools("ranking", arguments)
        assert isinstance(tool, RankingTool)
        assert type(tool.scorer).__name__ == kind

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"scorer": "votes"}, "no scorer 'votes'. Did you mean 'vote'"),
            ({"scorer": "vote", "tolerence": 1}, "unexpected keyword argument 'tolerence'. It takes: 'tolerance'"),
            ({"scorer": "judge"}, "missing a required argument: 'model'"),
            ({"scorer": "no_such_module:f"}, "can't find the scorer"),
            ({"scorer": f"{__name__}:no"}, "can't find the scorer"),
            ({"scorer": f"{__name__}:FUNCTIONS"}, "must be a Scorer or a function"),
        ],
    )
    def test_that_names_none_is_refused(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(PoolError, match=message):
            build_tools("ranking", arguments)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"scorer": "judge", "model": "m", "by": "words"},
            {"scorer": "judge", "model": "m", "prompt": "Good?"},
            {"scorer": "vote", "tolerance": -1},
            {"scorer": "reward-model", "model": "m", "by": "words"},
            {"scorer": "reward-model", "model": "m", "kind": "token"},
            {"scorer": "reward-model", "model": "m", "batch_size": 0},
        ],
    )
    def test_with_values_out_of_range_is_refused(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(SettingError):
            build_tools("ranking", arguments)


class TestStandard(ToolsUnitTests):
    """LangChain's own tests."""

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return RankingTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"question": "What is 6 times 7?", "answers": ["42", "41", "42"]}


class Down(AnswerScorer):
    def score(self, query: Query, answers: Sequence[str]) -> Scores:
        raise ConnectionError(f"no scores for {len(answers)} answers to {query.text!r}")


class TestFailures:
    def test_what_is_no_number_is_no_score(self, score: Score) -> None:
        scorer = FunctionAnswerScorer(lambda _, answer: float("nan") if answer == "bad" else 0.5)
        scores = score(scorer, QUESTION, ["bad", "good"])
        assert scores.best == 1
        assert scores.answers[0].error == "its scorer returned nan, which is not a finite number"

    def test_no_score_of_another_scorer_wins_by_being_no_number(self) -> None:
        answers = (AnswerScore(score=float("nan")), AnswerScore(score=0.1))
        assert Scores(answers=answers, usage=Usage(), cost_usd=None).best == 1

    def test_a_score_a_step_is_wanted(self, score: Score) -> None:
        scores = score(
            FunctionAnswerScorer(lambda _, steps: [float(len(steps[0]))], by="steps"), QUESTION, ["a\n\nb", "c"]
        )
        assert scores.answers[0].error == "its scorer returned 1 scores for 2 steps"
        assert scores.best == 1

    async def test_a_scorer_that_fails_is_an_answer(self) -> None:
        asked = {"question": "?", "answers": ["41", "42"]}
        told = "Error: the answers could not be scored: ConnectionError: no scores for 2 answers to '?'"
        assert RankingTool(scorer=Down()).invoke(asked) == told
        assert await RankingTool(scorer=Down()).ainvoke(asked) == told
