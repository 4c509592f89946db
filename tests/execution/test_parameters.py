"""Parameters that nobody asked for are left out where a model does not take them; those that somebody set are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from calling import QUESTION, multiply

from langchain_atlas import LiveExecutor, Pair, Pool, Tool
from langchain_atlas.evaluation.doctor.pool_check import check_pool
from langchain_atlas.pool.parameters import taken
from langchain_atlas.testing import Failure, call_tool
from langchain_atlas.tools.ranking.judge import ChatJudge

if TYPE_CHECKING:
    from fixture_types import Reach, Run, Serve

OURS = ("temperature", "stop", "tool_choice")
PICKY = Failure(400, "Unsupported parameter: this model takes neither 'temperature' nor 'stop'.")
REACT = 'Action: multiply\nAction Input: {"first": 6, "second": 7}\nObservation: 43\nFinal answer: 43'


def picky(body: dict[str, Any]) -> Any:
    """Refuse what gpt-5 refuses; call the tool, and go on as if it had returned something."""
    if any(name in body for name in ("temperature", "stop")):
        return PICKY
    return "42" if "42" in str(body["messages"][-1]["content"]) else REACT


def execute(run: Run, model: Any, tool: Tool) -> Any:
    return run(LiveExecutor(Pool(models=(model,), tools=(tool,)), retries=0), Pair("small", tool.name), QUESTION)


def best(**settings: Any) -> Tool:
    return Tool(name="best", invocation="ranked", settings={"samples": 2, **settings})


def react(**settings: Any) -> Tool:
    return Tool(name="react", tools=(multiply,), invocation="prompted", settings={"format": "react", **settings})


@pytest.mark.parametrize("name", ["openai/gpt-5", "openai/gpt-5-mini"])
def test_ranked_and_react_work_with_a_model_that_takes_neither(serve: Serve, reach: Reach, run: Run, name: str) -> None:
    server = serve(picky)
    assert execute(run, reach(server, litellm=name), best()).answer is not None
    seen = execute(run, reach(server, litellm=name), react())
    assert (seen.error, seen.answer) == (None, "42")
    assert [trace.output for trace in seen.tool_trace] == ["42"], "what the model made up after its call is cut off"


def test_a_model_can_be_said_to_refuse_them(serve: Serve, reach: Reach, run: Run) -> None:
    model = reach(serve(picky), refuses={"temperature", "stop"})
    assert execute(run, model, best()).error is None
    assert execute(run, model, react()).answer == "42"


def test_others_are_sent_them(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve("42")
    execute(run, reach(server), best(samples=1))
    execute(run, reach(server), react(tool_choice="auto"))
    assert [{name: body[name] for name in OURS if name in body} for body in server.bodies] == [
        {"temperature": 0.8},
        {"stop": ["\nObservation:"]},
    ]


def test_what_somebody_set_is_sent_whatever_comes_of_it(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(picky)
    assert "UnsupportedParams" in execute(run, reach(server, litellm="openai/gpt-5"), best(temperature=0.8)).error
    assert "Unsupported parameter" in execute(run, reach(server), best(temperature=0.2)).error


def test_an_unasked_tool_choice_is_left_out(serve: Serve, reach: Reach, run: Run) -> None:
    def reply(body: dict[str, Any]) -> Any:
        if "tool_choice" in body:
            return Failure(400, "tool_choice is not supported")
        done = body["messages"][-1]["role"] == "tool"
        return "42" if done else {"tool_calls": [call_tool("multiply", {"first": 6, "second": 7})]}

    model = reach(serve(reply), refuses={"tool_choice"})
    assert execute(run, model, Tool(name="native", tools=(multiply,), settings={"max_rounds": 1})).answer == "42"


def test_a_judge_that_takes_no_temperature_judges(serve: Serve) -> None:
    server = serve(lambda body: PICKY if "temperature" in body else '{"score": 9}')
    judge = ChatJudge("openai/gpt-5", options={"api_base": server.url}, api_key_env="ATLAS_TEST_KEY")
    assert judge.score(QUESTION, ["42"]).answers[0].score == 0.9


@pytest.mark.parametrize(
    ("model", "given", "left"),
    [
        ("openai/gpt-5", {}, []),
        ("openrouter/openai/gpt-5", {}, []),
        ("openai/o3-mini", {}, ["stop"]),
        ("openai/gpt-4o", {}, ["temperature", "stop"]),
        ("openai/gpt-5.1", {}, ["temperature"]),
        ("openai/gpt-5.1", {"reasoning_effort": "high"}, []),
        ("anthropic/claude-opus-4-7", {}, ["stop"]),
        ("nobody/knows-it", {}, ["temperature", "stop"]),
    ],
)
def test_litellm_knows_what_models_take(model: str, given: dict[str, Any], left: list[str]) -> None:
    assert list(taken(model, {"temperature": 0.8, "stop": ["x"]}, given=given)) == left


def test_the_doctor_tries_them_where_a_tool_sends_them(serve: Serve, reach: Reach) -> None:
    server = serve(lambda body: PICKY if "temperature" in body or "stop" in body else "ready")
    check = check_pool(Pool(models=(reach(server),), tools=(best(), react())))
    assert check.models[0].refuses == ("temperature", "stop")
    finding = next(each for each in check.findings if each.kind == "refused-parameters")
    assert "set 'refuses: [temperature, stop]'" in finding.message
    assert [pair.works for pair in check.pairs] == [False, False]
    mended = check_pool(Pool(models=(reach(server, refuses={"temperature", "stop"}),), tools=(best(), react())))
    assert [pair.works for pair in mended.pairs] == [True, True]


def test_the_doctor_does_not_try_them_where_no_tool_sends_them(serve: Serve, reach: Reach) -> None:
    server = serve("ready")
    check_pool(Pool(models=(reach(server),)))
    assert not any("temperature" in body or "stop" in body for body in server.bodies)
