"""What `AtlasMiddleware` does with a tool loop that stalls, and what agents of one run share."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from priced_threads import Rated, pool_at
from standins import HELLO, THREAD, Alternating

from langchain_atlas import EscalatingRouter, LiveExecutor, Query
from langchain_atlas.errors import SettingError
from langchain_atlas.execution.models.chat_models import build_chat_model
from langchain_atlas.integrations.agents.middleware import AtlasMiddleware
from langchain_atlas.integrations.agents.run_pins import shared_pins
from langchain_atlas.messages.tool_loops import LoopSignals
from langchain_atlas.testing import ScriptedRouter, call_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Invoke, Reach, Serve

ASK = {"messages": [("user", "prove the theorem")]}


@tool
def look(page: str) -> str:
    """Look at a page."""
    if page == "missing":
        raise ValueError("there is no such page")
    return f"the text of page {page}"


@tool
def careful(page: str) -> str:
    """Look at a page, and say what is wrong with it."""
    return f"Error: page {page} is not there" if page.startswith("no") else f"the text of page {page}"


class Cheap(Rated):
    """Begins with the small model."""

    def decide(self, query: Query, *rest: Any) -> Any:
        easy = query.cost_weight != 0 and query.constraints.pairs is not None and len(query.constraints.pairs) > 1
        return super().decide(query.replace(text="easy") if easy else query, *rest)


def looking(body: dict[str, Any], pages: Callable[[str, int], str | None], name: str = "look") -> Any:
    """Call a tool for the page that is next for this model after so many results; None answers."""
    results = sum(message["role"] == "tool" for message in body["messages"])
    page = pages(body["model"], results)
    return "done" if page is None else {"tool_calls": [call_tool(name, {"page": page}, f"call_{results}")]}


class TestStalled:
    def called(
        self,
        serve: Serve,
        agent: Any,
        invoke: Invoke,
        pages: Callable[[str, int], str | None],
        *,
        name: str = "look",
        **settings: Any,
    ) -> tuple[list[str], dict[str, Any]]:
        """Return the models that were called, and the last state."""
        server = serve(lambda body: looking(body, pages, name))
        executor = LiveExecutor(pool_at(server), retries=0)
        middleware = AtlasMiddleware(settings.pop("router", Cheap()), executor, **{"escalate": "stalled", **settings})
        state = invoke(agent(server, middleware, tools=[look, careful]), ASK)
        return [body["model"] for body in server.bodies], state

    def test_by_the_same_call_again_moves_up(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        def pages(model: str, results: int) -> str | None:
            return "1" if model == "small" else None

        models, state = self.called(serve, agent, invoke, pages)
        assert models == ["small", "small", "small", "large"]
        decision = state["atlas"]["steps"][-1]["decision"]
        assert decision["rule"] == "stalled"
        assert decision["reason"].startswith(
            "The tool loop has stalled with small@@none: the same call was made 3 times."
        )
        assert state["atlas"]["kept"] is None

    def test_by_errors_in_a_row_moves_up(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        def pages(model: str, results: int) -> str | None:
            return f"no{results}" if model == "small" else None

        models, state = self.called(serve, agent, invoke, pages, name="careful")
        assert models == ["small"] * 3 + ["large"]
        assert "3 rounds in a row failed" in state["atlas"]["steps"][-1]["decision"]["reason"]

    def test_by_rounds_without_news_moves_up(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        @tool
        def wait(page: str) -> str:
            """Wait for a page."""
            return "nothing yet"

        server = serve(lambda body: looking(body, lambda m, n: str(n) if m == "small" else None, "wait"))
        executor = LiveExecutor(pool_at(server), retries=0)
        invoke(agent(server, AtlasMiddleware(Cheap(), executor, escalate="stalled"), tools=[wait]), ASK)
        assert [body["model"] for body in server.bodies] == ["small"] * 5 + ["large"]

    def test_that_goes_well_again_moves_back_down(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        def pages(model: str, results: int) -> str | None:
            return None if results == 7 else "1" if model == "small" and results < 3 else str(results)

        models, state = self.called(serve, agent, invoke, pages)
        assert models == ["small"] * 3 + ["large"] * 3 + ["small"] * 2
        assert state["atlas"]["steps"][-1]["decision"]["rule"] == "recovered"
        assert state["atlas"]["kept"] == "loop"

    def test_stays_above_where_every_call_is_routed(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        def pages(model: str, results: int) -> str | None:
            return None if results == 7 else "1" if model == "small" and results < 3 else str(results)

        models, _ = self.called(serve, agent, invoke, pages, pin=None)
        assert models == ["small"] * 3 + ["large"] * 3 + ["small"] * 2

    def test_twice_stays_above(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        def pages(model: str, results: int) -> str | None:
            return None if results == 14 else "1" if model == "small" else str(results)

        models, _ = self.called(serve, agent, invoke, pages)
        assert models == ["small"] * 3 + ["large"] * 3 + ["small"] * 3 + ["large"] * 6

    def test_stays_where_nothing_is_stronger(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        def pages(model: str, results: int) -> str | None:
            return "1" if results < 6 else None

        models, state = self.called(serve, agent, invoke, pages, router=Rated())
        assert models == ["large"] * 7
        assert "there is no stronger pair" in state["atlas"]["steps"][-1]["decision"]["reason"]

    def test_is_kept_by_default(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        models, _ = self.called(serve, agent, invoke, lambda _, results: "1" if results < 6 else None, escalate=None)
        assert models == ["small"] * 7

    def test_loop_does_not_pin_the_thread(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        def pages(model: str, results: int) -> str | None:
            return "1" if model == "small" and results < 3 else None

        server = serve(lambda body: looking(body, pages))
        middleware = AtlasMiddleware(
            Cheap(), LiveExecutor(pool_at(server), retries=0), escalate="stalled", pin="thread"
        )
        ready = agent(server, middleware, tools=[look], checkpointer=InMemorySaver())
        invoke(ready, ASK, config=THREAD)
        invoke(ready, HELLO, config=THREAD)
        assert [body["model"] for body in server.bodies] == ["small"] * 3 + ["large", "small"]

    def test_other_limits_are_those_of_a_router_of_ones_own(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        def pages(model: str, results: int) -> str | None:
            return "1" if model == "small" else None

        router = EscalatingRouter(Cheap(), repeats=1)
        models, _ = self.called(serve, agent, invoke, pages, router=router, escalate=None)
        assert models == ["small", "small", "large"]


class TestSignals:
    def loop(self, *made: tuple[str, str, str]) -> Query:
        since: list[Any] = []
        for number, (page, result, status) in enumerate(made):
            call = {"name": "look", "args": {"page": page}, "id": str(number)}
            since.append(AIMessage("", tool_calls=[call]))
            since.append(ToolMessage(result, tool_call_id=str(number), status=status))
        return Query(text="look it up", since=tuple(since))

    def test_are_features_of_the_query(self) -> None:
        query = self.loop(("1", "a", "success"), ("2", "b", "success"), ("2", "b", "success"), ("9", "?", "error"))
        assert LoopSignals.of(query) == LoopSignals(rounds=4, repeats=0, errors=1, stale=0)
        query = self.loop(("1", "a", "success"), ("2", "a", "success"), ("1", " a\n", "success"))
        assert LoopSignals.of(query).features() == {"rounds": 3.0, "repeats": 1.0, "errors": 0.0, "stale": 2.0}
        assert LoopSignals.of(Query(text="hello")) == LoopSignals()

    def test_count_calls_that_are_written_in_another_order_as_the_same(self) -> None:
        calls = [{"name": "look", "args": args, "id": "1"} for args in ({"a": 1, "b": 2}, {"b": 2, "a": 1})]
        since = [
            part for one in calls for part in (AIMessage("", tool_calls=[one]), ToolMessage("x", tool_call_id="1"))
        ]
        assert LoopSignals.of(Query(text="?", since=tuple(since))).repeats == 1

    def test_of_calls_without_results_are_none(self) -> None:
        since = (AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "1"}]), HumanMessage("?"))
        assert LoopSignals.of(Query(text="?", since=since)) == LoopSignals()


def test_routers_may_learn_from_the_signals() -> None:
    """A model of success by the signals: of loops with and without a stall, the small pair finishes the latter."""

    class Learned(Rated):
        weights: ClassVar[dict[str, float]] = {}

        def decide(self, query: Query, *rest: Any) -> Any:
            signs = LoopSignals.of(query).features()
            stuck = sum(self.weights.get(name, 0.0) * value for name, value in signs.items()) > 0.5
            return super().decide(query.replace(text="theorem" if stuck else "easy"), *rest)

    loops = [TestSignals().loop(*[("1", "a", "success")] * times) for times in (1, 2, 3, 4)]
    rows = np.array([list(LoopSignals.of(query).features().values()) for query in loops])
    weights = np.linalg.lstsq(rows, np.array([0.0, 0.0, 1.0, 1.0]), rcond=None)[0]
    Learned.weights = dict(zip(LoopSignals.of(loops[0]).features(), weights, strict=True))
    assert [Learned().decide(query).pair.model for query in loops] == ["small", "small", "large", "large"]


class TestRun:
    """A supervisor calls three subagents; the router alternates between two models with every decision."""

    def models(self, serve: Serve, reach: Reach, pin: Any, *, at_once: bool = False) -> list[str]:
        def reply(body: dict[str, Any]) -> Any:
            if body["messages"][0]["content"] == "You look things up.":
                return "found"
            results = sum(message["role"] == "tool" for message in body["messages"])
            calls = [call_tool("research", {"topic": str(n)}, f"call_{n}") for n in range(3)]
            if results == 3:
                return "done"
            return {"tool_calls": calls if at_once else [calls[results]]}

        server = serve(reply)
        executor = LiveExecutor(pool_at(server), retries=0)
        own = build_chat_model(reach(server, "own"), timeout_s=10, retries=0)
        router = Alternating({"small@@none": 0.5, "large@@none": 0.5})
        below = create_agent(
            own, middleware=[AtlasMiddleware(router, executor, pin=pin)], system_prompt="You look things up."
        )

        @tool
        async def research(topic: str) -> str:
            """Have a topic looked up."""
            state = await below.ainvoke({"messages": [("user", topic)]})
            return json.dumps(state["messages"][-1].text)

        above = AtlasMiddleware(ScriptedRouter("large@@none"), executor, pin=pin)
        asyncio.run(create_agent(own, middleware=[above], tools=[research]).ainvoke(HELLO))
        return [body["model"] for body in server.bodies if body["messages"][0]["content"] == "You look things up."]

    def test_shares_a_pair_between_its_subagents(self, serve: Serve, reach: Reach) -> None:
        assert self.models(serve, reach, "loop") == ["small", "large", "small"]
        assert self.models(serve, reach, "run") == ["small"] * 3

    def test_shares_it_between_subagents_at_once(self, serve: Serve, reach: Reach) -> None:
        assert len(set(self.models(serve, reach, "run", at_once=True))) == 1

    def test_may_be_a_whole_graph(self, serve: Serve, agent: Any, invoke: Invoke) -> None:
        server = serve("ok")
        router = Alternating({"small@@none": 0.5, "large@@none": 0.5})
        ready = agent(server, AtlasMiddleware(router, LiveExecutor(pool_at(server)), pin="run"))
        with shared_pins():
            kept = [invoke(ready, HELLO)["atlas"]["kept"] for _ in range(3)]
        assert kept == [None, "run", "run"]
        invoke(ready, HELLO)
        assert [body["model"] for body in server.bodies] == ["small"] * 3 + ["large"]


def test_bad_settings_are_refused(serve: Serve) -> None:
    executor = LiveExecutor(pool_at(serve("ok")))
    with pytest.raises(SettingError, match="escalate is 'always'"):
        AtlasMiddleware(Rated(), executor, escalate="always")  # type: ignore[arg-type]
    for bad in ({"repeats": 0}, {"errors": True}, {"stale": 1.5}, {"calm": -1}):
        with pytest.raises(SettingError):
            EscalatingRouter(Rated(), **bad)  # type: ignore[arg-type]
