"""Feedback in LangSmith on traced answers becomes scores in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tracers.langchain import LangChainTracer, wait_for_all_tracers
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langsmith import Client

from langchain_atlas import AtlasNode, Pair, Store
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.testing import ScriptedExecutor, TraceServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "lsv2_pt_abcdef0123456789"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TraceServer]:
    with TraceServer() as started:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", started.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
        yield started


@pytest.fixture
def store(tmp_path: Path, open_store: Callable[..., Store]) -> Store:
    return open_store(f"sqlite:///{tmp_path}/atlas.db")


def traced(store: Store, server: TraceServer, turns: int) -> None:
    """Trace a thread of some turns."""
    builder = StateGraph(MessagesState)
    executor = ScriptedExecutor(lambda _, query: f"to {query.text}")
    builder.add_node("ask", AtlasNode(SinglePairRouter(Pair("small")), executor, store=store))
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    graph = builder.compile(checkpointer=InMemorySaver())
    client = Client(api_url=server.url, api_key=KEY)
    for turn in range(turns):
        config: Any = {"configurable": {"thread_id": "t"}, "callbacks": [LangChainTracer(client=client)]}
        graph.invoke({"messages": [HumanMessage(f"question {turn}")]}, config)
    wait_for_all_tracers()
    client.flush()


def given(server: TraceServer, *feedback: Any) -> None:
    """Give feedback on the roots, in the order of their start."""
    roots = sorted((run for run in server.runs if run.parent_id is None), key=lambda run: run.order)
    server.serve(
        [
            {
                "id": root.id,
                "trace_id": root.trace_id,
                "session_id": root.id,
                "name": root.name,
                "run_type": root.run_type,
                "start_time": "2026-05-01T12:00:00",
                "inputs": root.inputs,
                "outputs": root.outputs,
                "parent_run_id": None,
                "dotted_order": f"20260501T120000000000Z{root.id}",
                "feedback_stats": told,
            }
            for root, told in zip(roots, feedback, strict=True)
        ]
    )


def scores(store: Store) -> dict[str, tuple[Any, Any]]:
    store.flush()
    rows = store.table(each_apart=True).table.to_pylist()
    return {row["query"]: (row["score"], row["score_source"]) for row in rows}


def test_becomes_the_score_of_the_turn_that_was_traced(server: TraceServer, store: Store) -> None:
    traced(store, server, 3)
    given(server, {"thumb": {"n": 1, "avg": 1.0}}, None, {"thumb": {"n": 2, "avg": -1.0}, "tone": {"n": 1, "avg": 4.0}})
    assert store.record_langsmith("bot", keys=["thumb"]) == {"thumb": 2}
    assert scores(store) == {
        "question 0": (1.0, "langsmith:thumb"),
        "question 1": (None, None),
        "question 2": (0.0, "langsmith:thumb"),
    }
    assert store.record_langsmith("bot", keys=["tone"], scale="stars") == {"tone": 1}
    assert scores(store)["question 2"] == (0.75, "langsmith:tone")
    assert store.record_langsmith("bot") == {"thumb": 2, "tone": 1}


def test_on_other_traces_is_left_alone(server: TraceServer, store: Store) -> None:
    server.serve([])
    assert store.record_langsmith("bot") == {}
    with pytest.raises(SettingError, match="The scale is 'colour'"):
        traced(store, server, 1)
        given(server, {"thumb": {"n": 1, "avg": 1.0}})
        store.record_langsmith("bot", scale="colour")


def test_project_that_can_not_be_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
    with pytest.raises(OutcomeError, match="Can't read the project 'nowhere' from LangSmith") as raised:
        store.record_langsmith("nowhere")
    assert KEY not in str(raised.value)
