"""Checkpoints, retries and caches of LangGraph around the node and the graph: nothing is paid twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from langchain_core.messages import HumanMessage, messages_to_dict
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy, Command, RetryPolicy, interrupt
from node_graph import node_graph

from langchain_atlas import AtlasNode, Pair, Query, create_atlas_graph
from langchain_atlas.integrations.graphs.graph import AtlasState
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter
from langchain_atlas.trajectory import START as NOTHING
from langchain_atlas.trajectory import Decision, Trajectory

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_types import Invoke


HELLO = {"messages": [HumanMessage("hello", id="h")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}
QUICK = RetryPolicy(initial_interval=0.01, max_attempts=3, retry_on=ConnectionError)


class Unsteady(ScriptedRouter):
    """Fails once, at the second turn."""

    failed = False

    def decide(self, query: Query, trajectory: Trajectory = NOTHING) -> Decision:
        if len(trajectory.steps) == 1 and not self.failed:
            self.failed = True
            raise ConnectionError("the encoder is gone")
        return super().decide(query, trajectory)


class Dying(ScriptedExecutor):
    """Is killed once, in the middle of a call to ``b``."""

    died = False

    def __init__(self) -> None:
        super().__init__(self._answer)

    def _answer(self, pair: Pair, query: Query) -> str:
        if pair.model == "b" and not self.died:
            self.died = True
            raise KeyboardInterrupt
        return f"{pair.model} on {query.text}"


def asked(executor: ScriptedExecutor) -> list[str]:
    return [pair.model for pair, _ in executor.calls]


def named(pair: Pair, query: Query) -> str:
    return f"{pair.model} on {query.text}"


class TestRetries:
    def test_of_the_node_ask_again(self, invoke: Invoke) -> None:
        executor = ScriptedExecutor(named)
        graph = node_graph(AtlasNode(Unsteady("a@@none", "b@@none"), executor), retry_policy=QUICK).compile()
        assert invoke(graph, HELLO)["messages"][-1].content == "b on hello"
        assert asked(executor) == ["a", "a", "b"], "the node starts over"

    def test_of_the_graph_repeat_one_part_alone(self, invoke: Invoke) -> None:
        executor = ScriptedExecutor(named)
        builder = create_atlas_graph(Unsteady("a@@none", "b@@none"), executor)
        graph = builder.set_node_defaults(retry_policy=QUICK).compile()
        assert invoke(graph, HELLO)["messages"][-1].content == "b on hello"
        assert asked(executor) == ["a", "b"]

    def test_that_are_used_up_raise(self, invoke: Invoke) -> None:
        graph = node_graph(AtlasNode(Unsteady("a@@none", "b@@none"), ScriptedExecutor(named))).compile()
        with pytest.raises(ConnectionError, match="encoder is gone"):
            invoke(graph, HELLO)


class TestCaches:
    def test_of_the_node_answer_without_a_call(self, invoke: Invoke) -> None:
        executor = ScriptedExecutor(named)
        node = AtlasNode(ScriptedRouter("a@@none"), executor)
        graph = node_graph(node, cache_policy=CachePolicy(ttl=60)).compile(cache=InMemoryCache())
        first, second = (invoke(graph, HELLO) for _ in range(2))
        other = invoke(graph, {"messages": [HumanMessage("bye", id="h")]})
        assert first["messages"][-1].content == second["messages"][-1].content == "a on hello"
        assert first["atlas"] == second["atlas"]
        assert other["messages"][-1].content == "a on bye"
        assert len(executor.calls) == 2

    def test_of_a_node_that_goes_on_elsewhere(self, invoke: Invoke) -> None:
        executor = ScriptedExecutor(named)
        node = AtlasNode(ScriptedRouter("a@@none"), executor, goto="after")
        builder = StateGraph(AtlasState)
        builder.add_node("ask", node, cache_policy=CachePolicy(), destinations=("after",))
        builder.add_node("after", lambda _: {"messages": [HumanMessage("thanks")]})
        builder.add_edge(START, "ask")
        graph = builder.compile(cache=InMemoryCache())
        for _ in range(2):
            contents = [message.content for message in invoke(graph, HELLO)["messages"]]
            assert contents == ["hello", "a on hello", "thanks"]
        assert len(executor.calls) == 1

    def test_of_the_graph_answer_without_a_call(self, invoke: Invoke) -> None:
        def key(state: AtlasState) -> str:
            # LangGraph's own key pickles the state, which tells a record that was cached from one that was not.
            return json.dumps({**state, "messages": messages_to_dict(state["messages"])})

        executor = ScriptedExecutor(named)
        builder = create_atlas_graph(ScriptedRouter("a@@none"), executor)
        graph = builder.set_node_defaults(cache_policy=CachePolicy(key_func=key)).compile(cache=InMemoryCache())
        answers = [invoke(graph, HELLO)["messages"][-1].content for _ in range(2)]
        assert answers == ["a on hello"] * 2
        assert len(executor.calls) == 1


Mode = Literal["sync", "async", "exit"]


class TestARunThatWasBrokenOff:
    @pytest.mark.parametrize("mode", ["sync", "async"])
    def test_goes_on_where_it_was(self, invoke: Invoke, mode: Mode) -> None:
        executor = Dying()
        router = ScriptedRouter("a@@none", "b@@none")
        graph = node_graph(AtlasNode(router, executor, durable=True)).compile(checkpointer=InMemorySaver())
        with pytest.raises(KeyboardInterrupt):
            invoke(graph, HELLO, config=THREAD, durability=mode)
        state = invoke(graph, None, config=THREAD, durability=mode)
        assert state["messages"][-1].content == "b on hello"
        assert asked(executor) == ["a", "b", "b"]
        assert state["atlas"]["calls"] == 2

    @pytest.mark.parametrize("mode", ["sync", "async"])
    def test_goes_on_where_it_was_in_the_graph(self, invoke: Invoke, mode: Mode) -> None:
        executor = Dying()
        graph = create_atlas_graph(ScriptedRouter("a@@none", "b@@none"), executor).compile(checkpointer=InMemorySaver())
        with pytest.raises(KeyboardInterrupt):
            invoke(graph, HELLO, config=THREAD, durability=mode)
        assert invoke(graph, None, config=THREAD, durability=mode)["messages"][-1].content == "b on hello"
        assert asked(executor) == ["a", "b", "b"]

    def test_starts_over_unless_told_to_be_durable(self, invoke: Invoke) -> None:
        executor = Dying()
        node = AtlasNode(ScriptedRouter("a@@none", "b@@none"), executor)
        graph = node_graph(node).compile(checkpointer=InMemorySaver())
        with pytest.raises(KeyboardInterrupt):
            invoke(graph, HELLO, config=THREAD)
        assert invoke(graph, None, config=THREAD)["messages"][-1].content == "b on hello"
        assert asked(executor) == ["a", "b", "a", "b"]

    def test_goes_on_after_a_restart(self, tmp_path: Path) -> None:
        executor = Dying()
        node = AtlasNode(ScriptedRouter("a@@none", "b@@none"), executor, durable=True)
        for given in (HELLO, None):
            with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
                graph = node_graph(node).compile(checkpointer=saver)
                if given is not None:
                    with pytest.raises(KeyboardInterrupt):
                        graph.invoke(given, THREAD, durability="sync")
                else:
                    assert graph.invoke(given, THREAD)["messages"][-1].content == "b on hello"
        assert asked(executor) == ["a", "b", "b"]


class TestADurableNode:
    @pytest.mark.parametrize("mode", ["sync", "async", "exit"])
    def test_answers_like_any_other(self, invoke: Invoke, mode: Mode) -> None:
        executor = ScriptedExecutor(named)
        node = AtlasNode(ScriptedRouter("a@@none", "b@@none"), executor, durable=True)
        graph = node_graph(node).compile(checkpointer=InMemorySaver())
        state = invoke(graph, HELLO, config=THREAD, durability=mode)
        assert state["messages"][-1].content == "b on hello"
        assert [step["decision"]["pair"] for step in state["atlas"]["steps"]] == ["a@@none", "b@@none", None]

    def test_works_without_a_checkpointer_and_without_a_graph(self, invoke: Invoke) -> None:
        node = AtlasNode(ScriptedRouter("a@@none"), ScriptedExecutor(named), durable=True)
        assert invoke(node_graph(node).compile(), HELLO)["messages"][-1].content == "a on hello"
        assert invoke(node, HELLO)["messages"][-1].content == "a on hello"

    def test_raises_what_the_router_raises(self, invoke: Invoke) -> None:
        node = AtlasNode(Unsteady("a@@none", "b@@none"), ScriptedExecutor(named), durable=True)
        with pytest.raises(ConnectionError, match="encoder is gone"):
            invoke(node_graph(node).compile(checkpointer=InMemorySaver()), HELLO, config=THREAD)

    def test_lets_a_pair_wait_for_a_human(self, invoke: Invoke) -> None:
        executor = ScriptedExecutor(lambda pair, _: pair.model if pair.model == "a" else interrupt("pay?"))
        node = AtlasNode(ScriptedRouter("a@@none", "b@@none"), executor, durable=True)
        graph = node_graph(node).compile(checkpointer=InMemorySaver())
        assert invoke(graph, HELLO, config=THREAD)["__interrupt__"][0].value == "pay?"
        assert invoke(graph, Command(resume="yes"), config=THREAD)["messages"][-1].content == "yes"
        assert asked(executor) == ["a", "b", "b"]
