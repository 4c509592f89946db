"""Best of several answers."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from calling import QUESTION, multiply
from langchain_core.tools import tool

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Observation, Pair, Pool, Query, Tool
from langchain_atlas.errors import PoolError
from langchain_atlas.testing import Failure
from langchain_atlas.tools.ranking import FunctionAnswerScorer, RankingTool
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Reach, Run, Serve


PAIR = Pair("small", "best")
LONGEST = RankingTool(scorer=FunctionAnswerScorer(lambda _, answer: len(answer)))


@tool
def odd_ranking(question: str, answers: list[str]) -> str:
    """Rank answers, in a form that nobody reads."""
    return question


def execute(run: Run, model: Model, pool_tool: Tool, query: Query = QUESTION, **pool: Any) -> Observation:
    executor = LiveExecutor(Pool(models=(model,), tools=(NO_TOOL, pool_tool), **pool), retries=0)
    return run(executor, PAIR, query)


def best_of(*tools: Any, **settings: Any) -> Tool:
    return Tool(name="best", tools=tools, invocation="ranked", settings=settings)


def in_any_order(*replies: Any) -> Callable[[Any], Any]:
    lock, left = threading.Lock(), iter(replies)

    def reply(_: Any) -> Any:
        with lock:
            return next(left)

    return reply


def test_gives_the_answer_that_scores_highest(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(in_any_order("a", "abc", "ab", "", "b"))
    model = reach(server, input_cost_per_token=1, output_cost_per_token=10)
    seen = execute(run, model, best_of(LONGEST))
    assert seen.answer == "abc"
    assert seen.model_calls == 5
    assert seen.usage == Usage(input_tokens=5 * 5, output_tokens=4)
    assert seen.cost_usd == pytest.approx(25 * 1 + 4 * 10)
    (trace,) = seen.tool_trace
    assert sorted(trace.arguments["answers"]) == ["a", "ab", "abc", "b"], "an empty answer is none"
    assert sorted(json.loads(trace.output or "")["scores"]) == [1, 1, 2, 3]
    assert seen.message_id is None, "no sample was streamed as the answer"


def test_lets_the_answers_vote_without_a_tool(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(in_any_order("41", "It is 42", "The answer is 42.", "42", "40"))
    seen = execute(run, reach(server), best_of())
    assert seen.answer in {"It is 42", "The answer is 42.", "42"}
    assert seen.tool_trace[0].name == "rank_answers"


def test_draws_as_many_as_told_and_warmer_than_usual(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve("42")
    execute(run, reach(server, options={"temperature": 0}), best_of(LONGEST, samples=3, options={"max_tokens": 9}))
    assert [(body["temperature"], body["max_tokens"]) for body in server.bodies] == [(0.8, 9)] * 3


@pytest.mark.parametrize(
    ("settings", "options", "sent"),
    [
        ({"temperature": 0.5}, {}, 0.5),
        ({"temperature": None}, {}, 0),
        ({"temperature": 0.5}, {"temperature": 1.5}, 1.5),
        ({"options": {"temperature": 0.1}}, {}, 0.1),
    ],
)
def test_takes_its_temperature_from_pair_tool_setting_and_model_in_this_order(
    serve: Serve, reach: Reach, run: Run, settings: dict[str, Any], options: dict[str, Any], sent: float
) -> None:
    server = serve("42")
    model = reach(server, options={"temperature": 0})
    execute(run, model, best_of(LONGEST, samples=2, **settings), pair_options={PAIR: options})
    assert [body["temperature"] for body in server.bodies] == [sent] * 2


def test_does_without_samples_that_fail(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(in_any_order(Failure(400), "ab", Failure(400), "abc", "a"))
    seen = execute(run, reach(server), best_of(LONGEST))
    assert seen.answer == "abc"
    assert seen.model_calls == 5


def test_does_not_rank_an_only_answer(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(in_any_order(Failure(400), "ab", "", Failure(400), ""))
    seen = execute(run, reach(server), best_of(LONGEST))
    assert (seen.answer, seen.tool_trace) == ("ab", ())


def test_fails_where_every_sample_does(serve: Serve, reach: Reach, run: Run) -> None:
    seen = execute(run, reach(serve(Failure(400, "not today"))), best_of(LONGEST))
    assert "not today" in str(seen.error)
    assert seen.model_calls == 5
    assert execute(run, reach(serve("")), best_of(LONGEST)).error == "EmptyAnswer: the model returned no text."


def test_fails_where_nothing_can_be_ranked(serve: Serve, reach: Reach, run: Run) -> None:
    broken = RankingTool(scorer=FunctionAnswerScorer(lambda _, __: 1 / 0))
    seen = execute(run, reach(serve("42")), best_of(broken, samples=2))
    assert "could not be ranked: Error: no answer could be scored" in str(seen.error)
    assert "ZeroDivisionError" in str(seen.tool_trace[0].error)


def test_refuses_a_ranking_that_names_no_answer(serve: Serve, reach: Reach, run: Run) -> None:
    seen = execute(run, reach(serve("42")), best_of(odd_ranking, samples=2))
    assert "it must return JSON with 'best', the number of the best answer, from 0 to 1" in str(seen.error)


def test_hands_the_context_to_the_ranking(serve: Serve, reach: Reach, run: Run) -> None:
    seen = execute(run, reach(serve("42")), best_of(LONGEST, samples=2), Query(text="?", context="in base ten"))
    assert seen.tool_trace[0].arguments == {"question": "?", "answers": ["42", "42"], "context": "in base ten"}


@pytest.mark.parametrize("tools", [(multiply,), (LONGEST, multiply)])
def test_takes_ranking_tools_only(tools: tuple[Any, ...]) -> None:
    with pytest.raises(PoolError, match="takes one tool with the arguments 'question' and 'answers'"):
        LiveExecutor(Pool(models=(Model(name="small"),), tools=(best_of(*tools),)))


@pytest.mark.parametrize("settings", [{"samples": 0}, {"samples": 65}, {"temperature": -1}, {"smaples": 3}])
def test_refuses_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(PoolError, match="invocation 'ranked'"):
        LiveExecutor(Pool(models=(Model(name="small"),), tools=(best_of(LONGEST, **settings),)))
