"""What the node and the graph do when the router, its encoder, the model or the budget fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from node_graph import node_graph

from langchain_atlas import AtlasNode, ClusterRouter, Observation, Pair, create_atlas_graph
from langchain_atlas.errors import ConstraintError, ExecutionError
from langchain_atlas.integrations.messages import AtlasContext
from langchain_atlas.testing import Failure, FakeEncoder, ScriptedExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Connect, Invoke, Serve
    from node_graph import Graph

    from langchain_atlas import Executor, OutcomeTable, Router

    Build = Callable[..., Graph]

TALK = {"messages": [HumanMessage("hello please say poem to me")]}


class Unloadable(FakeEncoder):
    """Works while a router is fitted, and then no more."""

    gone = False

    def _encode(self, texts: list[str]) -> Any:
        if self.gone:
            raise OSError("the weights are gone")
        return super()._encode(texts)


@pytest.fixture(params=["node", "graph"])
def build(request: pytest.FixtureRequest) -> Build:
    def graph(router: Router, executor: Executor, **settings: Any) -> Graph:
        if request.param == "graph":
            return create_atlas_graph(router, executor, **settings).compile()
        return node_graph(AtlasNode(router, executor, **settings), context_schema=AtlasContext).compile()

    return graph


@pytest.fixture
def broken(outcomes: OutcomeTable) -> Router:
    """Return a router whose encoder fails."""
    encoder = Unloadable(cache_size=0)
    router = ClusterRouter(encoder, n_clusters=3).fit(outcomes)
    encoder.gone = True
    return router


class TestARouterThatFails:
    def test_is_raised(self, build: Build, broken: Router, invoke: Invoke) -> None:
        executor = ScriptedExecutor(lambda pair, _: str(pair))
        with pytest.raises(OSError, match="weights are gone"):
            invoke(build(broken, executor), TALK)
        assert executor.calls == []

    @pytest.mark.parametrize("pair", ["large@@none", "large", Pair("large")])
    def test_is_replaced_by_the_pair_that_is_named(
        self, build: Build, broken: Router, invoke: Invoke, pair: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        executor = ScriptedExecutor(lambda pair, _: str(pair))
        state = invoke(build(broken, executor, on_router_error=pair), TALK)
        assert state["messages"][-1].content == "large@@none"
        first, last = state["atlas"]["steps"]
        assert (first["decision"]["rule"], last["decision"]["kind"]) == ("router-failed", "answer")
        assert "OSError: the weights are gone" in first["decision"]["reason"]
        assert "stands in for it" in caplog.text
        assert len(executor.calls) == 1

    def test_is_not_replaced_by_a_pair_that_the_run_forbids(self, build: Build, broken: Router, invoke: Invoke) -> None:
        graph = build(broken, ScriptedExecutor({}), on_router_error="large")
        with pytest.raises(OSError, match="weights are gone"):
            invoke(graph, TALK, context={"pairs": ["small@@search"]})


class TestAModelThatFails:
    def test_is_told_when_no_other_can_answer(
        self, build: Build, serve: Serve, connect: Connect, outcomes: OutcomeTable, invoke: Invoke
    ) -> None:
        executor = connect(serve(Failure(401, "who are you?")))
        router = ClusterRouter(FakeEncoder(), n_clusters=3).fit(outcomes).restrict(executor.pool.pairs)
        state = invoke(build(router, executor, on_failure="message"), TALK)
        assert state["messages"][-1].content.startswith("No answer: every call failed (")
        assert state["atlas"]["answered"] is False
        assert {step["decision"]["pair"] for step in state["atlas"]["steps"]} == {
            "large@@none",
            "small@@calculator",
            None,
        }

    def test_is_raised_where_the_executor_is_told_to(
        self, build: Build, serve: Serve, connect: Connect, outcomes: OutcomeTable, invoke: Invoke
    ) -> None:
        executor = connect(serve(Failure(401, "who are you?")), raise_errors=True)
        router = ClusterRouter(FakeEncoder(), n_clusters=3).fit(outcomes).restrict(executor.pool.pairs)
        with pytest.raises(ExecutionError, match=r"who are you\?"):
            invoke(build(router, executor), TALK)


class TestABudget:
    @pytest.mark.parametrize("stand_in", ["raise", "large@@none"])
    def test_that_allows_nothing_is_the_callers_mistake(
        self, build: Build, outcomes: OutcomeTable, invoke: Invoke, stand_in: str
    ) -> None:
        executor = ScriptedExecutor(lambda pair, _: str(pair))
        router = ClusterRouter(FakeEncoder(), n_clusters=3).fit(outcomes)
        with pytest.raises(ConstraintError, match="stay within"):
            invoke(build(router, executor, on_router_error=stand_in), TALK, context={"max_cost_usd": 1e-9})
        assert executor.calls == [], "no pair stands in for a router that kept to its limits"

    def test_that_is_used_up_on_the_way_ends_the_loop(
        self, build: Build, outcomes: OutcomeTable, invoke: Invoke
    ) -> None:
        executor = ScriptedExecutor(lambda pair, _: Observation(pair=pair, error="Timeout: 60 s", cost_usd=0.004))
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        state = invoke(build(router, executor, on_failure="message"), TALK, context={"max_cost_usd": 0.0045})
        assert len(executor.calls) == 1
        assert state["atlas"]["answered"] is False
