"""For how long `AtlasMiddleware` keeps a pair, and what it does when something fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from standins import HELLO, IMAGE, THREAD, Alternating, Broken, offered, shout

from langchain_atlas import ClusterRouter, LiveExecutor, Pair, Pool, Router
from langchain_atlas.errors import ExecutionError
from langchain_atlas.integrations.agents.middleware import AtlasMiddleware
from langchain_atlas.integrations.agents.record import AgentRecord
from langchain_atlas.testing import Failure, FakeEncoder, ScriptedRouter, call_tool
from langchain_atlas.trajectory import Decision

if TYPE_CHECKING:
    from fixture_types import Connect, Invoke, Reach, Serve

    from langchain_atlas import OutcomeTable


class TestPin:
    """The router alternates between two models with every decision."""

    def models(self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke, **settings: Any) -> list[str]:
        """Return the models that were called for three asks; each starts a tool loop of two calls."""
        server = serve(
            lambda body: (
                "ok" if body["messages"][-1]["role"] == "tool" else {"tool_calls": [call_tool("double", {"number": 1})]}
            )
        )
        worth = {"small@@calculator": 0.5, "large@@calculator": 0.6}
        middleware = AtlasMiddleware(Alternating(worth), connect(server), **settings)
        ready = agent(server, middleware, checkpointer=InMemorySaver())
        for text in ("one", "two", "three"):
            invoke(ready, {"messages": [HumanMessage(text)]}, config=THREAD)
        return [body["model"] for body in server.bodies]

    def test_none_decides_every_call(self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
        models = self.models(serve, connect, agent, invoke, pin=None)
        assert models == ["small", "large"] * 3

    def test_loop_decides_every_ask(self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
        models = self.models(serve, connect, agent, invoke, pin="loop")
        assert models == ["small", "small", "large", "large", "small", "small"]

    def test_thread_decides_once(self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
        assert self.models(serve, connect, agent, invoke, pin="thread") == ["small"] * 6

    def test_switching_must_pay(self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
        models = self.models(serve, connect, agent, invoke, switching_cost=0.05)
        assert models == ["small", "small", "large", "large", "large", "large"], "0.1 better pays, 0.1 worse does not"
        assert self.models(serve, connect, agent, invoke, switching_cost=0.2) == ["small"] * 6

    def test_says_why_a_pair_was_kept(self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
        server = serve("ok")
        for settings, why in (({"pin": "thread"}, "thread"), ({"switching_cost": 0.2}, "switching-cost")):
            middleware = AtlasMiddleware(
                Alternating({"small@@none": 0.5, "large@@none": 0.6}), connect(server), **settings
            )
            ready = agent(server, middleware, checkpointer=InMemorySaver())
            kept = [invoke(ready, HELLO, config=THREAD)["atlas"]["kept"] for _ in range(2)]
            assert kept == [None, why]

    def test_yields_to_what_an_ask_needs(self, serve: Serve, reach: Reach, agent: Any, invoke: Invoke) -> None:
        server = serve("ok")
        models = (reach(server, "blind"), reach(server, "seeing", modalities={"text", "image"}))
        router = Alternating({"blind@@none": 1, "seeing@@none": 0})
        ready = agent(
            server,
            AtlasMiddleware(router, LiveExecutor(Pool(models=models)), pin="thread"),
            checkpointer=InMemorySaver(),
        )
        invoke(ready, HELLO, config=THREAD)
        invoke(ready, {"messages": [HumanMessage([{"type": "text", "text": "What is it?"}, IMAGE])]}, config=THREAD)
        assert [body["model"] for body in server.bodies] == ["blind", "seeing"]


class TestFailure:
    def test_of_a_model_leads_to_the_routers_next_choice(
        self, serve: Serve, connect: Connect, agent: Any, call: Invoke, outcomes: OutcomeTable
    ) -> None:
        server = serve(lambda body: Failure(400) if body["model"] == "small" else "from the large one")
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        state = call(
            agent(server, AtlasMiddleware(router, connect(server))), {"messages": [HumanMessage("numbers sum add two")]}
        )
        assert state["messages"][-1].content == "from the large one"
        record = AgentRecord.from_json(state["atlas"])
        assert [str(step.decision.pair) for step in record.steps] == ["small@@calculator", "large@@none"]
        assert record.steps[0].observation is not None
        assert "BadRequestError" in str(record.steps[0].observation.error)
        assert record.cost_usd is None, "what the failed call cost is not known"

    def test_of_every_pair_leads_to_the_agents_own_model(
        self, serve: Serve, connect: Connect, agent: Any, call: Invoke, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = serve(lambda body: "mine" if body["model"] == "own" else Failure(400, "not today"))
        middleware = AtlasMiddleware(ScriptedRouter("small@@none", "large@@calculator"), connect(server))
        with caplog.at_level(logging.WARNING, "langchain_atlas"):
            state = call(agent(server, middleware, tools=[shout]), HELLO)
        assert state["messages"][-1].content == "mine"
        assert state["atlas"]["pair"] is None
        assert state["atlas"]["cause"].startswith("small@@none: BadRequestError")
        assert "large@@calculator: BadRequestError" in state["atlas"]["cause"]
        assert "not today" in caplog.text
        assert offered(server.bodies[-1]) == ["double", "shout"], "as if there were no middleware"

    @pytest.mark.parametrize("failing", ["router", "encoder"])
    def test_to_decide_leads_to_the_agents_own_model(
        self,
        serve: Serve,
        connect: Connect,
        agent: Any,
        call: Invoke,
        outcomes: OutcomeTable,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        failing: str,
    ) -> None:
        server = serve(lambda body: f"{body['model']} here")
        router: Router = Broken()
        if failing == "encoder":
            encoder = FakeEncoder()
            router = ClusterRouter(encoder, n_clusters=3).fit(outcomes)
            monkeypatch.setattr(encoder, "_encode", lambda _: 1 / 0)
        with caplog.at_level(logging.WARNING, "langchain_atlas"):
            state = call(agent(server, AtlasMiddleware(router, connect(server))), HELLO)
        assert state["messages"][-1].content == "own here"
        error = {"router": "RuntimeError: the encoder is gone", "encoder": "ZeroDivisionError: division by zero"}[
            failing
        ]
        assert state["atlas"]["cause"] == error
        assert error in caplog.text

    def test_stays_with_the_own_model_for_the_loop(
        self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke
    ) -> None:
        server = serve(
            lambda body: (
                "ok" if body["messages"][-1]["role"] == "tool" else {"tool_calls": [call_tool("double", {"number": 1})]}
            )
        )
        router = Alternating({"small@@none": 1})
        router.worth.clear()
        middleware = AtlasMiddleware(router, connect(server))
        ready = agent(server, middleware, checkpointer=InMemorySaver())
        state = invoke(ready, HELLO, config=THREAD)
        assert [body["model"] for body in server.bodies] == ["own", "own"]
        assert state["atlas"]["calls"] == 2
        assert state["atlas"]["cost_usd"] is None
        router.worth[Pair("small", "none")] = 1.0
        invoke(ready, HELLO, config=THREAD)
        assert server.bodies[-1]["model"] == "small", "the next ask is routed again"

    def test_of_all_is_raised_where_told_so(self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
        server = serve(Failure(400, "not today"))
        with pytest.raises(ExecutionError, match=r"No pair replied. small@@none: BadRequestError.*not today"):
            invoke(
                agent(server, AtlasMiddleware(ScriptedRouter("small@@none"), connect(server), fail_open=False)), HELLO
            )
        with pytest.raises(RuntimeError, match="the encoder is gone"):
            invoke(agent(server, AtlasMiddleware(Broken(), connect(server), fail_open=False)), HELLO)

    def test_to_answer_without_a_call_is_told(self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
        server = serve("mine")
        state = invoke(agent(server, AtlasMiddleware(ScriptedRouter(), connect(server))), HELLO)
        assert state["messages"][-1].content == "mine"
        assert state["atlas"]["cause"].startswith("The router chose to answer without a call.")

    def test_to_read_the_ask_leads_to_the_agents_own_model(
        self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke
    ) -> None:
        server = serve("mine")
        state = invoke(
            agent(server, AtlasMiddleware(ScriptedRouter("small@@none"), connect(server))),
            {"messages": [AIMessage("hm")]},
        )
        assert state["messages"][-1].content == "mine"
        assert state["atlas"]["cause"].startswith("InvalidInputError: The messages hold no human message")

    def test_thoughts_come_before_the_call(self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
        server = serve("ok")
        router = ScriptedRouter(Decision(kind="think", answer="hm"), "small@@none")
        state = invoke(agent(server, AtlasMiddleware(router, connect(server))), HELLO)
        assert [step["decision"]["kind"] for step in state["atlas"]["steps"]] == ["think", "route"]
        router = ScriptedRouter(*[Decision(kind="think", answer="hm")] * 5, "small@@none")
        state = invoke(agent(server, AtlasMiddleware(router, connect(server), max_turns=3)), HELLO)
        assert "All 3 turns are used" in state["atlas"]["cause"]
