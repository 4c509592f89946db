"""Limits hold over runs, threads, users and days, whichever integration the calls come through."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_atlas import (
    AtlasChain,
    AtlasContext,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    Limits,
    LiveExecutor,
    Pair,
    Query,
    Store,
    create_atlas_graph,
)
from langchain_atlas.errors import ConstraintError, LimitError, SettingError
from langchain_atlas.routers.base import Router
from langchain_atlas.testing import Failure, ScriptedExecutor
from langchain_atlas.trajectory import START as NOTHING
from langchain_atlas.trajectory import Candidate, Decision, Observation, Trajectory, last_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fixture_types import Connect, Echo, Invoke, Serve

SMALL, LARGE = Pair("small", "none"), Pair("large", "none")
ASK = {"messages": [HumanMessage("hello", id="ask")]}
TODAY = time.strftime("%Y-%m-%d", time.gmtime())


class Priced(Router):
    """Routes to the dearest of its pairs that the query allows and that has not failed."""

    def __init__(self, **usd: float | None) -> None:
        self.usd = usd

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(Pair(model) for model in self.usd)

    @property
    def takes_first_answer(self) -> bool:
        return True

    @property
    def failures_are_turns(self) -> bool:
        return False

    def decide(self, query: Query, trajectory: Trajectory = NOTHING) -> Decision:
        if any(not seen.failed for seen in trajectory.observations):
            return last_answer(trajectory, rule="once", reason="One pair is asked.")
        limits, failed = query.constraints, {seen.pair for seen in trajectory.observations}
        left = {
            Pair(model): usd
            for model, usd in self.usd.items()
            if (limits.pairs is None or Pair(model) in limits.pairs)
            and Pair(model) not in failed
            and (limits.max_cost_usd is None or (usd is not None and usd <= limits.max_cost_usd))
        }
        if not left and failed:
            return last_answer(trajectory, rule="failovers-used", reason="No other pair is left to try.")
        if not left:
            raise ConstraintError("No pair fits.")
        pair = max(left, key=lambda one: left[one] or 0)
        chosen = Candidate(pair=pair, expected_success=0.5, expected_cost_usd=left[pair], expected_latency_s=0.1)
        return Decision(kind="route", pair=pair, chosen=chosen)


def costing(**usd: float | None) -> ScriptedExecutor:
    return ScriptedExecutor(
        lambda pair, _: Observation(pair=pair, answer=f"by {pair.model}", cost_usd=usd[pair.model], latency_s=0.25)
    )


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store | None]:
    if request.param == "memory":
        yield None
        return
    opened = Store(f"sqlite:///{tmp_path}/atlas.db")
    yield opened
    opened.close()


def config(**names: str) -> Any:
    return {"configurable": names}


def node_graph(node: AtlasNode, **compiled: Any) -> Any:
    builder = StateGraph(MessagesState, context_schema=AtlasContext)
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile(**compiled)


def by_node(router: Router, executor: LiveExecutor, **given: Any) -> Any:
    graph = node_graph(AtlasNode(router, executor, **given))
    return lambda invoke, **settings: invoke(graph, ASK, **settings)["messages"][-1]


def by_durable_node(router: Router, executor: LiveExecutor, **given: Any) -> Any:
    graph = node_graph(AtlasNode(router, executor, durable=True, **given), checkpointer=InMemorySaver())

    def ask(invoke: Invoke, config: Any = None, **settings: Any) -> Any:
        names = {"thread_id": "t", **(config or {}).get("configurable", {})}
        return invoke(graph, ASK, config={"configurable": names}, **settings)["messages"][-1]

    return ask


def by_graph(router: Router, executor: LiveExecutor, **given: Any) -> Any:
    graph = create_atlas_graph(router, executor, **given).compile()
    return lambda invoke, **settings: invoke(graph, ASK, **settings)["messages"][-1]


def by_chat(router: Router, executor: LiveExecutor, **given: Any) -> Any:
    model = ChatAtlas(router=router, executor=executor, **given)
    return lambda invoke, **settings: invoke(model, ASK["messages"], **settings)


def by_agent(router: Router, executor: LiveExecutor, **given: Any) -> Any:
    middleware = AtlasMiddleware(router, executor, **given)
    agent = create_agent(executor.chat_model("large"), middleware=[middleware], context_schema=AtlasContext)
    return lambda invoke, **settings: invoke(agent, ASK, **settings)["messages"][-1]


def by_chain(router: Router, executor: LiveExecutor, **given: Any) -> Any:
    chain = AtlasChain(router, executor, **given)
    return lambda invoke, **settings: invoke(chain, "hello", **settings)


WAYS = [by_node, by_durable_node, by_graph, by_chat, by_agent, by_chain]


@pytest.mark.parametrize("way", WAYS)
class TestEveryIntegration:
    def test_calls_no_more_than_the_limit_and_then_says_which(
        self, way: Callable[..., Any], serve: Serve, connect: Connect, echo: Echo, invoke: Invoke, store: Store | None
    ) -> None:
        server = serve(echo)
        ask = way(Priced(small=1e-6), connect(server), store=store, limits=Limits(day_calls=2))
        for _ in range(2):
            assert ask(invoke).text == "small heard hello"
        with pytest.raises(LimitError, match=r"day_calls is 2, and 2 calls are used today"):
            ask(invoke)
        assert len(server.requests) == 2

    def test_takes_a_cheaper_pair_when_the_dear_one_no_longer_fits(
        self, way: Callable[..., Any], serve: Serve, connect: Connect, echo: Echo, invoke: Invoke, store: Store | None
    ) -> None:
        limits = Limits(user_usd=0.01)
        ask = way(Priced(small=0.004, large=0.008), connect(serve(echo)), store=store, limits=limits)
        given = config(user_id="ada")
        ledger = limits.memory if store is None else store.ledger
        ledger.charge("before", _use(0.003), _caps_of(limits, f"user:{TODAY}:ada"))
        assert ask(invoke, config=given).text == "small heard hello", "0.007 are left"
        assert ask(invoke, config=config(user_id="bob")).text == "large heard hello", "each has their own"

    def test_counts_what_calls_really_cost(
        self, way: Callable[..., Any], serve: Serve, connect: Connect, echo: Echo, invoke: Invoke, store: Store | None
    ) -> None:
        limits = Limits(day_usd=1, run_calls=5)
        ask = way(Priced(small=0.5), connect(serve(echo)), store=store, limits=limits)
        ask(invoke, config=config(run_id="r"))
        ledger = limits.memory if store is None else store.ledger
        used = ledger.used([f"day:{TODAY}", "run:r"])
        assert used[f"day:{TODAY}"].usd == pytest.approx(4e-6), "and not the expected half dollar"
        assert used["run:r"].calls == 1
        assert 0 < used["run:r"].seconds < 10

    def test_sends_private_queries_only_where_they_may_go(
        self, way: Callable[..., Any], serve: Serve, connect: Connect, echo: Echo, invoke: Invoke
    ) -> None:
        server = serve(echo)
        limits = Limits(private_members=["small"], private=lambda query: "secret" in query.text)
        ask = way(Priced(small=1e-6, large=1e-3), connect(server), limits=limits)
        assert ask(invoke).text == "large heard hello"
        assert ask(invoke, config=config(private=True)).text == "small heard hello"
        nobody = way(Priced(large=1e-3), connect(server), limits=limits)
        with pytest.raises(LimitError, match=r"None of the pairs large@@none is among the private_members"):
            nobody(invoke, config=config(private=True))
        unruled = way(Priced(small=1e-6), connect(server))
        with pytest.raises(LimitError, match="nothing says which members may see it"):
            unruled(invoke, config=config(private=True))
        assert [body["model"] for body in server.bodies] == ["large", "small"]

    def test_leaves_a_failing_model_out_for_a_while(
        self, way: Callable[..., Any], serve: Serve, connect: Connect, invoke: Invoke, store: Store | None
    ) -> None:
        server = serve(lambda body: Failure(503) if body["model"] == "large" else "here")
        router = Priced(small=1e-6, large=1e-3)
        limits = Limits(cooldown_s=60, cooldown_after=1)
        ask = way(router, connect(server, retries=0), store=store, limits=limits)
        for _ in range(3):
            assert ask(invoke).text == "here"
        assert [body["model"] for body in server.bodies] == ["large", "small", "small", "small"]

    def test_refuses_what_is_no_limits(
        self, way: Callable[..., Any], serve: Serve, connect: Connect, echo: Echo
    ) -> None:
        with pytest.raises(SettingError, match=r"limits is \{'day_usd': 1\}; give Limits"):
            way(Priced(small=1), connect(serve(echo)), limits={"day_usd": 1})
        with pytest.raises(SettingError, match=r"private_members names 'smal'. Did you mean 'small'\?"):
            way(Priced(small=1), connect(serve(echo)), limits=Limits(private_members=["smal"]))


def _use(usd: float) -> Any:
    from langchain_atlas.amounts import Use

    return Use(usd, 0.0, 1)


def _caps_of(limits: Limits, scope: str) -> Any:
    return {scope: next(iter(limits.caps.values()))}
