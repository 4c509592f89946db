"""Every integration stores what it decides and what comes of it, given `store=`; without, nothing of it is touched."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from langchain_atlas import (
    AtlasChain,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    LiveExecutor,
    Pair,
    Store,
    create_atlas_graph,
    solve,
)
from langchain_atlas.errors import SettingError
from langchain_atlas.routers.baselines import RandomRouter, SinglePairRouter
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fixture_types import Connect, Echo, Invoke, Serve


SMALL = Pair("small", "none")
ASK = {"messages": [HumanMessage("hello", id="ask")]}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/atlas.db")
    yield opened
    opened.close()


@pytest.fixture
def executor(serve: Serve, connect: Connect, echo: Echo) -> LiveExecutor:
    return connect(serve(echo))


def stored(store: Store) -> list[dict[str, Any]]:
    assert store.flush()
    rows: list[dict[str, Any]] = store.table(each_apart=True).table.to_pylist()
    return rows


def node_graph(node: AtlasNode, **compiled: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile(**compiled)


def by_node(executor: LiveExecutor, store: Any, invoke: Invoke) -> Any:
    return invoke(node_graph(AtlasNode(SinglePairRouter(SMALL), executor, store=store)), ASK)["messages"][-1]


def by_graph(executor: LiveExecutor, store: Any, invoke: Invoke) -> Any:
    graph = create_atlas_graph(SinglePairRouter(SMALL), executor, store=store).compile()
    return invoke(graph, ASK)["messages"][-1]


def by_chat(executor: LiveExecutor, store: Any, invoke: Invoke) -> Any:
    return invoke(ChatAtlas(router=SinglePairRouter(SMALL), executor=executor, store=store), ASK["messages"])


def by_agent(executor: LiveExecutor, store: Any, invoke: Invoke) -> Any:
    middleware = AtlasMiddleware(SinglePairRouter(SMALL), executor, store=store)
    agent = create_agent(executor.chat_model("large"), middleware=[middleware])
    return invoke(agent, ASK)["messages"][-1]


def by_chain(executor: LiveExecutor, store: Any, invoke: Invoke) -> Any:
    return invoke(AtlasChain(SinglePairRouter(SMALL), executor, store=store), "hello")


WAYS = [by_node, by_graph, by_chat, by_agent, by_chain]


@pytest.mark.parametrize("ask", WAYS)
class TestEveryIntegration:
    def test_stores_the_decision_the_outcome_and_the_score(
        self, ask: Callable[..., Any], executor: LiveExecutor, store: Store, invoke: Invoke
    ) -> None:
        answer = ask(executor, store, invoke)
        decision_id = answer.response_metadata["atlas"]["decision_id"]
        store.record(decision_id, score=0.75)
        (row,) = stored(store)
        assert row["decision_id"] == decision_id
        assert (row["query"], row["model"], row["tool"]) == ("hello", "small", "none")
        assert (row["response"], row["error"], row["score"]) == ("small heard hello", "", 0.75)
        assert row["propensity"] == 1, "this router always takes this pair"
        assert row["cost_usd"] == pytest.approx(4e-6)

    def test_takes_an_address(
        self, ask: Callable[..., Any], executor: LiveExecutor, tmp_path: Path, invoke: Invoke
    ) -> None:
        url = f"sqlite:///{tmp_path}/shared.db"
        ask(executor, url, invoke)
        ask(executor, url, invoke)
        shared = Store.shared(url)
        assert len(stored(shared)) == 2
        shared.close()

    def test_refuses_anything_else(self, ask: Callable[..., Any], executor: LiveExecutor, invoke: Invoke) -> None:
        with pytest.raises(SettingError, match=r"store is \['a'\]; give an address such as 'sqlite:///atlas.db'"):
            ask(executor, ["a"], invoke)

    def test_says_nothing_of_ids_without_a_store(
        self, ask: Callable[..., Any], executor: LiveExecutor, invoke: Invoke
    ) -> None:
        record = ask(executor, None, invoke).response_metadata["atlas"]
        assert "decision_id" not in record
        assert all(not {"id", "propensity"} & set(step["decision"]) for step in record["steps"])


class TestEachCall:
    def test_that_fails_is_stored_too_and_the_record_names_the_one_that_answered(self, store: Store) -> None:
        router = ScriptedRouter("small@@none", "large@@none")
        executor = ScriptedExecutor({"small@@none": TimeoutError("too late"), "large@@none": "hi"})
        trajectory = solve("hello", router, executor, store=store)
        first, second = stored(store)
        assert (first["model"], first["error"], first["response"]) == ("small", "TimeoutError: too late", None)
        assert (second["model"], second["response"]) == ("large", "hi")
        answer = AtlasChain(ScriptedRouter("small@@none", "large@@none"), executor, store=store).invoke("hello")
        assert answer.response_metadata["atlas"]["decision_id"] == stored(store)[-1]["decision_id"]
        assert trajectory.steps[1].decision.id == second["decision_id"]

    def test_that_is_pinned_is_a_decision_of_its_own(
        self, serve: Serve, connect: Connect, store: Store, invoke: Invoke
    ) -> None:
        executor = connect(serve("hi"))
        middleware = AtlasMiddleware(SinglePairRouter(SMALL), executor, pin="thread", store=store)
        agent = create_agent(executor.chat_model("large"), middleware=[middleware], checkpointer=InMemorySaver())
        thread = {"configurable": {"thread_id": "1"}}
        for text in ("one", "two", "three"):
            invoke(agent.with_config(thread), {"messages": [HumanMessage(text)]})
        rows = stored(store)
        assert [row["query"] for row in rows] == ["one", "two", "three"]
        assert len({row["decision_id"] for row in rows}) == 3

    def test_that_is_drawn_has_the_propensity_of_the_draw(self, store: Store) -> None:
        executor = ScriptedExecutor({"small@@none": "hi", "large@@none": "hi"})
        solve("hello", RandomRouter(["small@@none", "large@@none"]), executor, store=store)
        assert stored(store)[0]["propensity"] == 0.5

    def test_of_a_router_that_does_not_say_has_none(self, store: Store) -> None:
        solve("hello", ScriptedRouter("small@@none"), ScriptedExecutor({"small@@none": "hi"}), store=store)
        assert stored(store)[0]["propensity"] is None


class TestResumedRun:
    @pytest.mark.parametrize("build", ["node", "graph"])
    def test_stores_a_decision_once(self, build: str, executor: LiveExecutor, store: Store, invoke: Invoke) -> None:
        router = SinglePairRouter(SMALL)
        if build == "node":
            graph = node_graph(AtlasNode(router, executor, approve=0.0, store=store), checkpointer=InMemorySaver())
        else:
            graph = create_atlas_graph(router, executor, approve=0.0, store=store).compile(checkpointer=InMemorySaver())
        graph = graph.with_config({"configurable": {"thread_id": "1"}})
        invoke(graph, ASK)
        answer = invoke(graph, Command(resume="large@@none"))["messages"][-1]
        (row,) = stored(store)
        assert (row["model"], row["decision_id"]) == ("large", answer.response_metadata["atlas"]["decision_id"])
        assert row["propensity"] is None, "a human chose it"


def test_without_a_store_nothing_of_it_is_imported() -> None:
    program = """
import sys
from langchain_atlas import AtlasChain, Store
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter
AtlasChain(ScriptedRouter("small@@none"), ScriptedExecutor({"small@@none": "hi"})).invoke("hello")
assert not {"sqlalchemy", "alembic", "psycopg"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)
