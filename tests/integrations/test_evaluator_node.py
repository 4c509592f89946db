"""A node records what an evaluator says of the answer before it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_atlas import AtlasNode, EvaluatorNode, Pair, Store
from langchain_atlas.errors import SettingError
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.testing import ScriptedExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fixture_types import Invoke

ASK = {"messages": [HumanMessage("What is 6 times 7?")]}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/atlas.db")
    yield opened
    opened.close()


def graph_of(store: Store, evaluate: Any) -> Any:
    builder = StateGraph(MessagesState)
    executor = ScriptedExecutor({"small@@none": "42"})
    builder.add_node("ask", AtlasNode(SinglePairRouter(Pair("small")), executor, store=store))
    builder.add_node("evaluate", EvaluatorNode(evaluate, store=store, source="unit"))
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "evaluate")
    builder.add_edge("evaluate", END)
    return builder.compile()


def scores(store: Store) -> list[Any]:
    store.flush()
    return [(row["score"], row["score_source"]) for row in store.table(each_apart=True).table.to_pylist()]


def test_records_the_score_of_a_function(store: Store, invoke: Invoke) -> None:
    heard: list[Any] = []

    def evaluate(question: str, answer: str) -> float:
        heard.append((question, answer))
        return 0.75

    done = invoke(graph_of(store, evaluate), ASK)
    assert heard == [("What is 6 times 7?", "42")]
    assert scores(store) == [(0.75, "unit")]
    assert [message.text for message in done["messages"]] == ["What is 6 times 7?", "42"], "the state is as it was"


def test_records_the_score_of_an_async_function(store: Store, invoke: Invoke) -> None:
    async def evaluate(question: str, answer: str) -> bool:
        return answer == "42" and "6" in question

    invoke(graph_of(store, evaluate), ASK)
    assert scores(store) == [(1.0, "unit")]


def test_records_nothing_if_it_cannot_tell(store: Store, invoke: Invoke) -> None:
    invoke(graph_of(store, lambda *_: None), ASK)
    assert scores(store) == [(None, None)]


@pytest.mark.parametrize("wrong", [lambda *_: 1 / 0, lambda *_: 5, lambda *_: "good"])
def test_evaluation_that_fails_does_not_fail_the_graph(
    store: Store, invoke: Invoke, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        done = invoke(graph_of(store, wrong), ASK)
    assert done["messages"][-1].text == "42"
    assert "could not be evaluated" in caplog.text
    assert scores(store) == [(None, None)]


def test_leaves_other_answers_alone(store: Store, invoke: Invoke) -> None:
    node = EvaluatorNode(lambda *_: pytest.fail("nothing to evaluate"), store=store)
    for messages in ([], [HumanMessage("hello")], [HumanMessage("hello"), AIMessage("by another")]):
        assert invoke(node, {"messages": messages}) == {}


def test_refuses_what_it_cannot_call_or_record_in() -> None:
    with pytest.raises(SettingError, match=r"evaluate is 0\.5; give a function"):
        EvaluatorNode(0.5, store="sqlite:///x.db")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="needs a store"):
        EvaluatorNode(lambda *_: 1.0, store=None)  # type: ignore[arg-type]
