"""What is charged for stays within the limit: nothing that was answered is asked again, and no run goes on past it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from misbehaving import Misbehaving, hang_up

from langchain_atlas import NO_TOOL, AtlasNode, ChatAtlas, LiveExecutor, Model, Pair, Pool, Query, Tool, solve
from langchain_atlas.errors import AtlasError
from langchain_atlas.routers.base import Router
from langchain_atlas.testing import Failure, call_tool
from langchain_atlas.trajectory import START, Candidate, Constraints, Decision, Trajectory, last_answer

if TYPE_CHECKING:
    import socket
    import threading

    from fixture_types import Reach, Run, Serve

PAIR = Pair("small", "double")
USAGE = {"prompt_tokens": 500, "completion_tokens": 500, "total_tokens": 1000}
CALL_USD = 0.001


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


class Once(Router):
    """Asks one pair, and answers with what comes of it; knows of no limits.

    Args:
        expected_usd: what it expects a call to take; None for nothing.
    """

    def __init__(self, expected_usd: float | None) -> None:
        self.expected_usd = expected_usd

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return (PAIR,)

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        if query.constraints.max_cost_usd is not None and trajectory.calls:
            return last_answer(trajectory, rule="once", reason="Asked once.")
        chosen = Candidate(pair=PAIR, expected_success=0.5, expected_cost_usd=self.expected_usd)
        return Decision(kind="route", pair=PAIR, chosen=chosen)


def calling(usage: Any) -> Any:
    return lambda _: {"content": "", "tool_calls": [call_tool("double", {"number": 21})], "usage": usage}


def executor_with(model: Model) -> LiveExecutor:
    return LiveExecutor(Pool(models=(model,), tools=(NO_TOOL, Tool(name="double", tools=(double,)))), retries=0)


def priced(reach: Reach, server: Any) -> Model:
    return reach(server, input_cost_per_token=1e-6, output_cost_per_token=1e-6)


@pytest.mark.parametrize("usage", [USAGE, None, {"prompt_tokens": -1_000_000, "completion_tokens": -5000}])
@pytest.mark.parametrize("limit", [0.5, 1.5, 2.5])
def test_a_run_calls_its_model_no_more_once_the_limit_is_passed(
    serve: Serve, reach: Reach, limit: float, usage: Any
) -> None:
    server = serve(calling(usage))
    query = Query(text="21?", constraints=Constraints(max_cost_usd=limit * CALL_USD))
    trajectory = solve(query, Once(CALL_USD), executor_with(priced(reach, server)))
    (seen,) = trajectory.observations
    assert str(seen.error).startswith("ConstraintError: ")
    assert "Raise max_cost_usd" in str(seen.error)
    assert len(server.requests) == seen.model_calls == int(limit) + 1, "the call in flight"


def test_a_run_of_unknown_cost_of_which_nothing_is_expected_makes_one_call(serve: Serve, reach: Reach) -> None:
    server = serve(calling(None))
    query = Query(text="21?", constraints=Constraints(max_cost_usd=1.0))
    (seen,) = solve(query, Once(None), executor_with(reach(server))).observations
    assert "Give the model's prices in the pool" in str(seen.error)
    assert len(server.requests) == 1


def test_a_run_without_a_limit_goes_on(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(calling(None))
    run(executor_with(priced(reach, server)), PAIR, Query(text="21?"))
    assert len(server.requests) == 5


@pytest.mark.parametrize("way", ["node", "chat model"])
def test_the_limit_of_a_message_holds_for_runs_with_tools(serve: Serve, reach: Reach, way: str) -> None:
    server = serve(calling(USAGE))
    router, executor = Once(CALL_USD), executor_with(priced(reach, server))
    config: Any = {"configurable": {"max_cost_usd": 1.5 * CALL_USD}}
    if way == "node":
        from langgraph.graph import START as FIRST
        from langgraph.graph import StateGraph

        from langchain_atlas.integrations.graphs.graph import AtlasState

        builder = StateGraph(AtlasState)
        builder.add_node("answer", AtlasNode(router, executor))
        builder.add_edge(FIRST, "answer")
        ask: Any = lambda: builder.compile().invoke({"messages": [HumanMessage("21?")]}, config)  # noqa: E731
    else:
        ask = lambda: ChatAtlas(router=router, executor=executor).invoke("21?", config)  # noqa: E731
    with pytest.raises(AtlasError, match="dollars are used"):
        ask()
    assert len(server.requests) == 2


def break_off(connection: socket.socket, closing: threading.Event) -> None:
    del closing
    connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"id": "x",')
    hang_up(connection)


def no_json(connection: socket.socket, closing: threading.Event) -> None:
    del closing
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\n<h")
    hang_up(connection)


def cut_json(connection: socket.socket, closing: threading.Event) -> None:
    del closing
    connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 6\r\n\r\n{"id":')
    hang_up(connection)


@pytest.mark.parametrize("script", [break_off, no_json, cut_json])
def test_what_was_answered_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, run: Run, script: Any) -> None:
    monkeypatch.setenv("ATLAS_TEST_KEY", "secret")
    with Misbehaving(script) as server:
        model = Model(
            name="small", litellm="openai/small", options={"api_base": server.url}, api_key_env="ATLAS_TEST_KEY"
        )
        seen = run(LiveExecutor(Pool(models=(model,)), retries=2), Pair("small"), Query(text="Hi."))
        assert seen.failed
        assert seen.cost_usd is None, "it may be charged for"
        assert server.connections == 1


def test_what_was_refused_is_asked_again(serve: Serve, reach: Reach, run: Run, short_pauses: None) -> None:
    del short_pauses
    replies = iter([Failure(503), "fine"])
    server = serve(lambda _: next(replies))
    executor = LiveExecutor(Pool(models=(reach(server),)), retries=1)
    assert run(executor, Pair("small"), Query(text="Hi.")).answer == "fine"
