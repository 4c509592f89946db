"""Tool use that goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from calling import in_turn
from langchain_core.tools import tool

from langchain_atlas import LiveExecutor, Model, Observation, Pair, Pool, Query, Tool
from langchain_atlas.testing import call_tool

if TYPE_CHECKING:
    from fixture_types import Reach, Run, Serve


QUESTION = Query(text="What of tea?")


@tool
def look_up(topic: str) -> str:
    """Look a topic up."""
    if topic != "tea":
        raise LookupError(f"no {topic}")
    return "All about tea"


def calls(*topics: str, name: str = "look_up") -> dict[str, Any]:
    return {"tool_calls": [call_tool(name, {"topic": topic}, f"c{topic}") for topic in topics]}


def execute(run: Run, model: Model, **settings: Any) -> Observation:
    pool_tool = Tool(name="t", tools=(look_up,), invocation="backtracked", settings=settings)
    return run(LiveExecutor(Pool(models=(model,), tools=(pool_tool,)), retries=0), Pair("small", "t"), QUESTION)


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


def test_takes_back_calls_that_failed(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(in_turn(calls("coffee"), calls("tea"), "It is a drink."))
    seen = execute(run, reach(server))
    assert seen.answer == "It is a drink."
    assert [trace.error for trace in seen.tool_trace] == ["LookupError: no coffee", None], "the trace keeps them all"
    first, second, third = server.bodies
    assert roles(first) == ["user"]
    assert roles(second) == ["user", "user"], "the failed call is gone from the conversation"
    note = second["messages"][1]["content"]
    assert '- look_up({"topic": "coffee"}): LookupError: no coffee' in note
    assert roles(third) == ["user", "assistant", "tool", "user"], "the note goes along"


def test_goes_on_where_one_of_the_calls_came_to_something(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(in_turn(calls("coffee", "tea"), "It is a drink."))
    assert execute(run, reach(server)).answer == "It is a drink."
    assert roles(server.bodies[1]) == ["user", "assistant", "tool", "tool"]


def test_takes_back_calls_of_tools_that_do_not_exist(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(in_turn(calls("tea", name="look"), calls("tea"), "It is a drink."))
    assert execute(run, reach(server)).answer == "It is a drink."
    assert "- look: There is no tool named 'look'" in server.bodies[1]["messages"][1]["content"]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_goes_back_so_often_and_then_shows_what_failed(serve: Serve, reach: Reach, run: Run, most: int) -> None:
    def reply(body: dict[str, Any]) -> Any:
        return "I don't know." if "tool" in roles(body) else calls("coffee")

    server = serve(reply)
    seen = execute(run, reach(server), max_backtracks=most)
    assert seen.answer == "I don't know."
    assert len(seen.tool_trace) == most + 1


def test_is_bounded(serve: Serve, reach: Reach, run: Run) -> None:
    def reply(body: dict[str, Any]) -> Any:
        return "enough" if body["tool_choice"] == "none" else calls("coffee")

    seen = execute(run, reach(serve(reply)), max_backtracks=2, max_rounds=2)
    assert seen.answer == "enough"
    assert len(seen.tool_trace) == 4


def test_can_ask_whether_a_result_helps(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(in_turn(calls("tea"), "USELESS.", calls("tea"), "Useful", "It is a drink."))
    seen = execute(run, reach(server), check=True)
    assert seen.answer == "It is a drink."
    assert seen.model_calls == 5
    assert "All about tea" in server.bodies[1]["messages"][0]["content"]
    assert "tools" not in server.bodies[1]
    assert roles(server.bodies[2]) == ["user", "user"]


def test_runs_no_more_calls_of_a_reply_than_allowed(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(in_turn(calls("tea", "tea ", "tea  "), "It is a drink."))
    seen = execute(run, reach(server), max_calls=1)
    assert len(seen.tool_trace) == 1
    results = [message["content"] for message in server.bodies[1]["messages"] if message["role"] == "tool"]
    assert results[0] == "All about tea"
    assert all(text.startswith("This call was not made: of one reply, 1 are.") for text in results[1:])
