"""A human's word before a pair is run, in the node and in the graph."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from node_graph import node_graph

from langchain_atlas import AtlasNode, ClusterRouter, Decision, Pair, Query, create_atlas_graph
from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.integrations.graphs.approval import Approval
from langchain_atlas.pool.pool import Model, Pool, Tool
from langchain_atlas.testing import FakeEncoder, ScriptedExecutor, ScriptedRouter
from langchain_atlas.trajectory import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Invoke
    from node_graph import Graph

    from langchain_atlas import OutcomeTable, Router

    Build = Callable[..., Graph]

HELLO = {"messages": [HumanMessage("hello", id="h")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}
POOL = Pool(models=(Model(name="small"), Model(name="large")), tools=(Tool(name="none", invocation="none"),))


class Told(ScriptedExecutor):
    """Names the pair that answers; has the pairs of `POOL`."""

    def __init__(self) -> None:
        super().__init__(lambda pair, _: f"{pair.model} answers")

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return POOL.pairs

    @property
    def asked(self) -> list[str]:
        return [pair.model for pair, _ in self.calls]


def is_large(query: Query, decision: Decision) -> bool:
    assert query.text
    return decision.pair == Pair("large")


@pytest.fixture(params=["node", "graph"])
def build(request: pytest.FixtureRequest) -> Build:
    """Make a graph with a checkpointer: one with ATLAS as its only node, and the loop as a graph."""

    def node(router: Router, executor: ScriptedExecutor, **settings: Any) -> Graph:
        return node_graph(AtlasNode(router, executor, **settings)).compile(checkpointer=InMemorySaver())

    def graph(router: Router, executor: ScriptedExecutor, **settings: Any) -> Graph:
        return create_atlas_graph(router, executor, **settings).compile(checkpointer=InMemorySaver())

    return node if request.param == "node" else graph


def question(state: dict[str, Any]) -> Any:
    """Return what the human is asked."""
    (interrupted,) = state["__interrupt__"]
    return interrupted.value


class TestAHuman:
    def test_is_asked_before_the_pair_is_run(self, build: Build, invoke: Invoke) -> None:
        executor = Told()
        graph = build(ScriptedRouter("large@@none"), executor, approve=is_large)
        asked = question(invoke(graph, HELLO, config=THREAD))
        assert {name: asked[name] for name in ("kind", "query", "pair", "expected_cost_usd", "spent_usd")} == {
            "kind": "atlas_approval",
            "query": "hello",
            "pair": "large@@none",
            "expected_cost_usd": None,
            "spent_usd": 0.0,
        }
        assert executor.calls == []

    def test_may_approve(self, build: Build, invoke: Invoke) -> None:
        executor = Told()
        graph = build(ScriptedRouter("large@@none"), executor, approve=is_large)
        invoke(graph, HELLO, config=THREAD)
        state = invoke(graph, Command(resume=True), config=THREAD)
        assert state["messages"][-1].content == "large answers"
        assert executor.asked == ["large"]

    @pytest.mark.parametrize("word", ["small@@none", "small", {"pair": "small@@none"}])
    def test_may_send_it_elsewhere(self, build: Build, invoke: Invoke, word: Any) -> None:
        executor = Told()
        graph = build(ScriptedRouter(Decision(kind="route", pair="large", input="Hi!")), executor, approve=is_large)
        invoke(graph, HELLO, config=THREAD)
        state = invoke(graph, Command(resume=word), config=THREAD)
        assert state["messages"][-1].content == "small answers"
        assert [(pair.model, query.text) for pair, query in executor.calls] == [("small", "Hi!")]
        decision = state["atlas"]["steps"][0]["decision"]
        assert (decision["pair"], decision["rule"]) == ("small@@none", "human")
        assert decision["reason"] == "A human chose small@@none in place of large@@none."

    def test_may_refuse(self, build: Build, invoke: Invoke) -> None:
        executor = Told()
        graph = build(ScriptedRouter("large@@none"), executor, approve=is_large)
        invoke(graph, HELLO, config=THREAD)
        state = invoke(graph, Command(resume=False), config=THREAD)
        assert state["messages"][-1].content == (
            "No answer: A human did not approve large@@none. No call returned an answer."
        )
        assert state["atlas"]["steps"][-1]["decision"]["rule"] == "human"
        assert executor.calls == []

    def test_may_refuse_a_second_call_and_gets_the_answer_of_the_first(self, build: Build, invoke: Invoke) -> None:
        executor = Told()
        graph = build(ScriptedRouter("small@@none", "large@@none"), executor, approve=is_large)
        invoke(graph, HELLO, config=THREAD)
        state = invoke(graph, Command(resume=False), config=THREAD)
        assert state["messages"][-1].content == "small answers"
        assert executor.asked == ["small"]

    @pytest.mark.parametrize("word", ["maybe", 42, {"decision": "yes"}, "@@none"])
    def test_is_asked_again_where_the_answer_makes_no_sense(self, build: Build, invoke: Invoke, word: Any) -> None:
        executor = Told()
        graph = build(ScriptedRouter("large@@none"), executor, approve=is_large)
        first = question(invoke(graph, HELLO, config=THREAD))
        again = question(invoke(graph, Command(resume=word), config=THREAD))
        assert again.pop("problem")
        assert again == first
        assert invoke(graph, Command(resume=True), config=THREAD)["messages"][-1].content == "large answers"
        assert executor.asked == ["large"]

    def test_is_not_asked_where_nothing_needs_a_word(self, build: Build, invoke: Invoke) -> None:
        graph = build(ScriptedRouter("small@@none"), Told(), approve=is_large)
        assert invoke(graph, HELLO, config=THREAD)["messages"][-1].content == "small answers"

    def test_is_asked_about_every_pair_that_needs_a_word(self, build: Build, invoke: Invoke) -> None:
        executor = Told()
        graph = build(ScriptedRouter("large@@none", "small@@none", "large@@none"), executor, approve=is_large)
        assert question(invoke(graph, HELLO, config=THREAD))["pair"] == "large@@none"
        assert question(invoke(graph, Command(resume=True), config=THREAD))["pair"] == "large@@none"
        assert executor.asked == ["large", "small"]
        state = invoke(graph, Command(resume=True), config=THREAD)
        assert executor.asked == ["large", "small", "large"]
        assert state["atlas"]["calls"] == 3


class TestResuming:
    def test_repeats_no_call_and_no_decision(self, build: Build, invoke: Invoke) -> None:
        executor, router = Told(), ScriptedRouter("small@@none", "small@@none", "large@@none")
        graph = build(router, executor, approve=is_large)
        invoke(graph, HELLO, config=THREAD)
        assert (executor.asked, len(router.queries)) == (["small", "small"], 3)
        state = invoke(graph, Command(resume=True), config=THREAD)
        assert (executor.asked, len(router.queries)) == (["small", "small", "large"], 4)
        assert [step["decision"]["pair"] for step in state["atlas"]["steps"]] == [
            "small@@none",
            "small@@none",
            "large@@none",
            None,
        ]

    def test_streams_what_was_decided_and_what_the_human_decided(self, build: Build) -> None:
        graph = build(ScriptedRouter("large@@none"), Told(), approve=is_large)
        stream = [graph.stream(given, THREAD, stream_mode="custom") for given in (HELLO, Command(resume="small"))]
        decisions = [[event["atlas_decision"] for event in events] for events in stream]
        assert [[(one["pair"], one["rule"]) for one in some] for some in decisions] == [
            [("large@@none", "script")],
            [("small@@none", "human"), (None, "script-ended")],
        ]

    async def test_streams_on_an_event_loop(self, build: Build) -> None:
        graph = build(ScriptedRouter("large@@none"), Told(), approve=is_large)
        _ = [part async for part in graph.astream(HELLO, THREAD)]
        stream = graph.astream(Command(resume="small"), THREAD, stream_mode="custom")
        assert [event["atlas_decision"]["rule"] async for event in stream] == ["human", "script-ended"]


class TestAPrice:
    @pytest.mark.parametrize(("dollars", "asks"), [(0.003, True), (0.005, False)])
    def test_is_what_the_call_is_expected_to_cost(
        self, build: Build, invoke: Invoke, outcomes: OutcomeTable, dollars: float, asks: bool
    ) -> None:
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        graph = build(router, ScriptedExecutor(lambda pair, _: str(pair)), approve=dollars)
        state = invoke(graph, {"messages": [HumanMessage("hello please say poem to me")]}, config=THREAD)
        assert ("__interrupt__" in state) is asks
        if asks:
            asked = question(state)
            assert asked["pair"] == "large@@none"
            assert asked["expected_cost_usd"] == pytest.approx(0.004)

    def test_that_nobody_knows_is_asked_about(self) -> None:
        approval = Approval(10.0, ())
        decision = Decision(kind="route", pair=Pair("a"))
        assert approval.needed(Query(text="hi"), decision)
        priced = Candidate(pair=Pair("a"), expected_success=0.5, expected_cost_usd=10.0)
        assert not approval.needed(Query(text="hi"), decision.replace(chosen=priced))
        assert not approval.needed(Query(text="hi"), Decision(kind="answer", answer="42"))

    @pytest.mark.parametrize("approve", [-1, "dear", True, [0.1]])
    def test_must_be_one(self, build: Build, approve: Any) -> None:
        with pytest.raises(SettingError, match=r"approve is .*give the dollars above which"):
            build(ScriptedRouter("small@@none"), Told(), approve=approve)


def test_without_a_checkpointer_nothing_is_run(invoke: Invoke) -> None:
    executor = Told()
    graph = create_atlas_graph(ScriptedRouter("large@@none"), executor, approve=is_large).compile()
    assert question(invoke(graph, HELLO))["pair"] == "large@@none"
    assert executor.calls == []


def test_a_pair_that_stands_in_for_the_router_must_exist() -> None:
    with pytest.raises(PoolError, match=r"on_router_error is 'smal@@none'.*Did you mean 'small@@none'"):
        AtlasNode(ScriptedRouter("small@@none"), Told(), on_router_error="smal")


def test_two_threads_wait_for_their_own_words(build: Build) -> None:
    executor = Told()
    graph = build(ScriptedRouter("large@@none"), executor, approve=is_large)
    threads: list[Any] = [{"configurable": {"thread_id": str(number)}} for number in range(4)]

    async def run() -> list[str]:
        await asyncio.gather(*(graph.ainvoke(HELLO, thread) for thread in threads))
        words = [True, "small@@none", False, True]
        states = await asyncio.gather(
            *(graph.ainvoke(Command(resume=word), thread) for word, thread in zip(words, threads, strict=True))
        )
        return [state["messages"][-1].content.split()[0] for state in states]

    assert asyncio.run(run()) == ["large", "small", "No", "large"]
