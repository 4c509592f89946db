"""Limits hold for a user's message, whichever integration it comes through, and nobody gets around them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_atlas import AtlasNode, ChatAtlas, Constraints, Pair, Query, solve
from langchain_atlas.errors import AtlasError, ConstraintError, InvalidInputError
from langchain_atlas.integrations.agents.middleware import AtlasMiddleware
from langchain_atlas.integrations.messages import AtlasContext
from langchain_atlas.routers.base import Router
from langchain_atlas.testing import Failure, ScriptedRouter, call_tool
from langchain_atlas.trajectory import START, Candidate, Decision, Trajectory

if TYPE_CHECKING:
    from fixture_types import Connect, Invoke, Serve

ASK = {"messages": [HumanMessage("21?")]}
USAGE = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
CALL_USD = 1e-4
"""What a call of the small model costs that takes so many tokens."""


class Knowing(Router):
    """Routes to one pair, as long as another call of it fits; knows what one costs."""

    def __init__(self, name: str = "small@@calculator", cost_usd: float = CALL_USD) -> None:
        self.pair, self.cost_usd = Pair.parse(name), cost_usd

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return (self.pair,)

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        limits, spent = query.constraints, sum(seen.cost_usd or 0 for seen in trajectory.observations)
        if limits.max_cost_usd is not None and spent + self.cost_usd > limits.max_cost_usd * (1 + 1e-9):
            raise ConstraintError(f"{limits.max_cost_usd} is too little")
        if any(not seen.failed for seen in trajectory.observations):
            return Decision(kind="answer", answer=trajectory.observations[-1].answer)
        chosen = Candidate(pair=self.pair, expected_success=0.5, expected_cost_usd=self.cost_usd)
        return Decision(kind="route", pair=self.pair, chosen=chosen)


def calling_for_ever(body: dict[str, Any]) -> dict[str, Any]:
    del body
    return {"content": "", "tool_calls": [call_tool("double", {"number": 21})], "usage": USAGE}


def always(name: str) -> Router:
    """Make a router that knows of no limits."""

    class Always(Router):
        @property
        def pairs(self) -> tuple[Pair, ...]:
            return ()

        def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:  # noqa: ARG002
            return Decision(kind="route", pair=Pair.parse(name))

    return Always()


class TestOfAnAgent:
    @pytest.mark.parametrize("pin", ["loop", "thread", None])
    @pytest.mark.parametrize("fail_open", [True, False])
    def test_hold_for_the_whole_tool_loop(
        self, serve: Serve, connect: Connect, agent: Any, call: Invoke, pin: Any, *, fail_open: bool
    ) -> None:
        server = serve(calling_for_ever)
        middleware = AtlasMiddleware(Knowing(), connect(server), pin=pin, fail_open=fail_open)
        ready = agent(server, middleware, context_schema=AtlasContext)
        with pytest.raises(ConstraintError):
            call(ready, ASK, context=AtlasContext(max_cost_usd=1.5 * CALL_USD))
        assert len(server.requests) == 1

    def test_hold_under_a_router_that_knows_of_none(
        self, serve: Serve, connect: Connect, agent: Any, call: Invoke
    ) -> None:
        server = serve(calling_for_ever)
        middleware = AtlasMiddleware(always("small@@calculator"), connect(server))
        ready = agent(server, middleware, context_schema=AtlasContext)
        with pytest.raises(ConstraintError, match="are used for this message"):
            call(ready, ASK, context=AtlasContext(max_cost_usd=1.5 * CALL_USD))
        assert len(server.requests) == 2, "by no more than the call in flight"

    def test_count_anew_for_the_next_message(self, serve: Serve, connect: Connect, agent: Any, call: Invoke) -> None:
        server = serve({"content": "42", "usage": USAGE})
        middleware = AtlasMiddleware(Knowing(), connect(server))
        ready = agent(server, middleware, context_schema=AtlasContext, checkpointer=InMemorySaver())
        thread = {"configurable": {"thread_id": "1"}}
        for _ in range(2):
            new = {"messages": [HumanMessage("21?")]}
            call(ready, new, config=thread, context=AtlasContext(max_cost_usd=1.5 * CALL_USD))
        assert len(server.requests) == 2

    @pytest.mark.parametrize(
        "settings",
        [
            {"cost_weight": "abc"},
            {"cost_weight": 7},
            {"max_cost_usd": -1},
            {"max_cost_usd": 1e-9},
            {"pairs": ["large@@none"]},
            {"pairs": []},
            {"pairs": ["no pair"]},
            {"max_latency_s": 0},
        ],
    )
    def test_never_fail_open(
        self, serve: Serve, connect: Connect, agent: Any, call: Invoke, settings: dict[str, Any]
    ) -> None:
        server = serve("mine")
        ready = agent(server, AtlasMiddleware(Knowing(), connect(server), fail_open=True))
        with pytest.raises(InvalidInputError):
            call(ready, ASK, config={"configurable": settings})
        assert not server.requests

    def test_never_fail_open_where_the_allowed_pair_fails(
        self, serve: Serve, connect: Connect, agent: Any, call: Invoke
    ) -> None:
        server = serve(lambda body: Failure(500) if body["model"] == "small" else "mine")
        ready = agent(server, AtlasMiddleware(always("small@@none"), connect(server), fail_open=True))
        with pytest.raises(AtlasError):
            call(ready, ASK, config={"configurable": {"pairs": ["small@@none"]}})
        assert {body["model"] for body in server.bodies} == {"small"}

    def test_fail_open_where_there_are_none(self, serve: Serve, connect: Connect, agent: Any, call: Invoke) -> None:
        server = serve(lambda body: Failure(500) if body["model"] == "small" else "mine")
        state = call(agent(server, AtlasMiddleware(ScriptedRouter("small@@none"), connect(server))), ASK)
        assert state["messages"][-1].text == "mine"


class TestOfTheLoop:
    def test_pairs_that_are_not_allowed_are_not_called(self, serve: Serve, connect: Connect) -> None:
        server = serve("hi")
        query = Query(text="hi", constraints=Constraints(pairs=frozenset({Pair("small")})))
        with pytest.raises(ConstraintError, match="'large@@none', which is not among the pairs"):
            solve(query, always("large@@none"), connect(server))
        assert not server.requests

    def test_nothing_is_called_once_they_are_passed(self, serve: Serve, connect: Connect) -> None:
        server = serve({"content": "hi", "usage": USAGE})
        query = Query(text="hi", constraints=Constraints(max_cost_usd=1.5 * CALL_USD))
        ended = solve(query, always("small@@none"), connect(server))
        assert len(server.requests) == 2
        assert ended.answer == "hi"
        assert ended.steps[-1].decision.rule == "limit-reached"

    @pytest.mark.parametrize("way", ["solve", "node", "chat"])
    def test_a_limit_of_time_is_a_deadline(self, serve: Serve, connect: Connect, way: str) -> None:
        server = serve(Failure(429, headers={"retry-after": "29"}))
        executor = connect(server, timeout_s=30.0, retries=2)
        executor.chat_model("small")
        router, start = ScriptedRouter("small@@none", "small@@none", "small@@none"), time.perf_counter()
        with pytest.raises((AtlasError, AssertionError)):
            if way == "solve":
                query = Query(text="hi", constraints=Constraints(max_latency_s=1))
                assert solve(query, router, executor).answer
            elif way == "node":
                config = {"configurable": {"max_latency_s": 1}}
                assert AtlasNode(router, executor).invoke(ASK, config)["atlas"]["answered"]
            else:
                ChatAtlas(router=router, executor=executor).invoke("hi", max_latency_s=1)
        assert time.perf_counter() - start < 8, "and what is imported only once"

    def test_a_slow_reply_is_not_waited_for(self, serve: Serve, connect: Connect) -> None:
        server = serve("late", delay_s=20)
        executor = connect(server, timeout_s=30.0)
        executor.chat_model("small")
        query = Query(text="hi", constraints=Constraints(max_latency_s=2))
        start = time.perf_counter()
        seen = solve(query, ScriptedRouter("small@@none"), executor)
        assert seen.answer is None
        assert "Timeout" in str(seen.observations[0].error)
        assert time.perf_counter() - start < 10
