"""Judges and rerankers, through LiteLLM, against a provider on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from provider import serve

from langchain_atlas.errors import SettingError
from langchain_atlas.testing import Failure, OpenAIServer
from langchain_atlas.tools.ranking import AnswerScorer, ChatJudge, RerankScorer, Scores
from langchain_atlas.tools.ranking.judge import read_judgement
from langchain_atlas.trajectory import Query
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fixture_types import Serve

    Score = Callable[[AnswerScorer, Query, Sequence[str]], Scores]

__all__ = ["serve"]

QUESTION = Query(text="What is 6 times 7?", context="in base ten")


@pytest.fixture(params=["sync", "async"])
def score(request: pytest.FixtureRequest) -> Score:
    """Score in the foreground and on an event loop."""
    if request.param == "sync":
        return lambda scorer, query, answers: scorer.score(query, answers)
    return lambda scorer, query, answers: asyncio.run(scorer.ascore(query, answers))


def judge(server: OpenAIServer, name: str = "judge", **settings: Any) -> ChatJudge:
    options = {"api_base": server.url, **settings.pop("options", {})}
    return ChatJudge(f"openai/{name}", options=options, api_key_env="ATLAS_TEST_KEY", **settings)


def text_of(body: dict[str, Any]) -> str:
    (message,) = body["messages"]
    return str(message["content"])


def right(body: dict[str, Any]) -> Any:
    """Judge that 42 is right, and fail on what is not a number."""
    if "many" in text_of(body):
        return Failure(400)
    return '{"score": 9}' if "42" in text_of(body) else 'Hm. {"score": 1.5}'


@pytest.mark.parametrize("kind", [ChatJudge, RerankScorer])
def test_a_key_of_its_own_must_be_there(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # Else LiteLLM would send the provider's usual key, and it might go to another server.
    monkeypatch.setenv("OPENAI_API_KEY", "of another place")
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(SettingError, match="api_key_env names the environment variable 'NOT_SET', which is not set"):
        kind("openai/judge", options={"api_base": "http://127.0.0.1:9"}, api_key_env="NOT_SET")


class TestJudge:
    def test_is_asked_about_every_answer(self, serve: Serve, score: Score) -> None:
        server = serve(right)
        scores = score(judge(server), QUESTION, ["41", "42", "many"])
        assert [one.score for one in scores.answers] == [0.15, 0.9, None]
        assert str(scores.answers[2].error).startswith("BadRequestError")
        assert scores.best == 1
        assert len(server.bodies) == 3
        assert all("What is 6 times 7?\n\nContext:\nin base ten" in text_of(body) for body in server.bodies)
        assert {body["temperature"] for body in server.bodies} == {0}
        assert all("response_format" not in body for body in server.bodies)

    def test_says_what_judging_cost(self, serve: Serve, score: Score) -> None:
        usage = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
        server = serve({"content": '{"score": 5}', "usage": usage})
        options = {"model_kwargs": {"input_cost_per_token": 0.001, "output_cost_per_token": 0.01}}
        scores = score(judge(server, options=options), QUESTION, ["41", "42"])
        assert scores.usage == Usage(input_tokens=2000, output_tokens=20)
        assert scores.cost_usd == pytest.approx(2 * (1 + 0.1))

    def test_whose_price_is_unknown_costs_what_is_unknown(self, serve: Serve, score: Score) -> None:
        assert score(judge(serve('{"score": 5}'), "unpriced"), QUESTION, ["42"]).cost_usd is None

    def test_can_judge_step_by_step(self, serve: Serve, score: Score) -> None:
        server = serve('{"scores": [10, 2]}')
        scores = score(judge(server, by="steps"), QUESTION, ["first\nsecond", "alone"])
        assert scores.answers[0].steps == (1.0, 0.2)
        assert scores.answers[0].score == pytest.approx(0.6)
        assert "not 1 scores" in str(scores.answers[1].error)
        assert any("Step 1: first\nStep 2: second" in text_of(body) for body in server.bodies)

    def test_is_sent_a_schema_where_it_keeps_to_one(self, serve: Serve, score: Score) -> None:
        server = serve('{"score": 5}')
        score(judge(server, structured=True), QUESTION, ["42"])
        assert server.bodies[0]["response_format"]["json_schema"]["schema"]["required"] == ["score"]

    def test_takes_a_prompt_in_which_braces_stay(self, serve: Serve, score: Score) -> None:
        server = serve('{"score": 5}')
        score(judge(server, prompt='{question} -> {answer} {"score": n}'), Query(text="{answer}?"), ["{question}"])
        assert text_of(server.bodies[0]) == '{answer}? -> {question} {"score": n}'

    def test_may_be_a_chat_model(self, score: Score) -> None:
        replies = iter([AIMessage('{"score": 4}')])
        scores = score(ChatJudge(GenericFakeChatModel(messages=replies)), QUESTION, ["42"])
        assert scores.answers[0].score == 0.4
        assert scores.usage == Usage(), "what it used is not known"


class TestJudgement:
    @pytest.mark.parametrize(
        ("text", "score"),
        [
            ('{"score": 10}', 1.0),
            ('So: ```json\n{"score": 0}\n``` and that is it', 0.0),
            ('{"score": "7.5"}', 0.75),
            ('{"score": 11}', None),
            ('{"score": -1}', None),
            ('{"score": true}', None),
            ('{"score": NaN}', None),
            ('{"score": "high"}', None),
            ('{"verdict": 3}', None),
            ("7", None),
            ("", None),
        ],
    )
    def test_is_a_number_from_0_to_10(self, text: str, score: float | None) -> None:
        read = read_judgement(text)
        assert read.score == score
        assert (read.error is None) == (score is not None)

    @pytest.mark.parametrize("text", ['{"scores": [1]}', '{"scores": [1, "x"]}', '{"scores": 3}', "{}", '{"score": 1}'])
    def test_of_steps_has_one_number_a_step(self, text: str) -> None:
        assert "not 2 scores" in str(read_judgement(text, 2).error)

    @given(st.text() | st.from_regex(r'\{"scores?": ?[^}]{0,20}\}'), st.none() | st.integers(0, 4))
    def test_of_any_text_is_a_score_or_an_error(self, text: str, steps: int | None) -> None:
        read = read_judgement(text, steps)
        assert (read.score is None) != (read.error is None)
        assert read.score is None or 0 <= read.score <= 1


class TestRerank:
    def test_asks_once_about_all_answers(self, serve: Serve, score: Score) -> None:
        results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]
        server = serve({"results": results})
        options = {"api_base": server.url.removesuffix("/v1"), "api_key": "secret"}
        scores = score(RerankScorer("infinity/r", options=options), QUESTION, ["41", "42", "43"])
        assert [one.score for one in scores.answers] == [0.2, 0.9, None]
        assert scores.answers[2].error == "the reranker left it out"
        assert scores.best == 1
        (body,) = server.bodies
        assert body["query"] == QUESTION.text
        assert body["documents"] == ["41", "42", "43"]
        assert server.requests[0].path == "/rerank"
