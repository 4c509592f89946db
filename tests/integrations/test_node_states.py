"""`AtlasNode` with keys of the user's own, and with a place to go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel

from langchain_atlas import AtlasNode
from langchain_atlas.errors import InvalidInputError
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fixture_types import Invoke
    from node_graph import Graph


class Form(TypedDict, total=False):
    question: Any
    answer: str
    atlas: dict[str, Any]


class Validated(BaseModel):
    question: str
    answer: str | None = None


@dataclass
class Plain:
    question: str
    answer: str | None = None


class Both(TypedDict, total=False):
    question: str
    messages: Annotated[list[AnyMessage], add_messages]


@dataclass
class Conversation:
    messages: Annotated[list[AnyMessage], add_messages] = field(default_factory=list)


def node_of(**settings: Any) -> AtlasNode:
    executor = ScriptedExecutor(lambda pair, query: f"{pair.model} heard {query.text}")
    return AtlasNode(ScriptedRouter("small@@none"), executor, **settings)


def graph_of(node: AtlasNode, state: type[Any], **compiled: Any) -> Graph:
    builder = StateGraph(state)
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile(**compiled)


class TestKeys:
    @pytest.mark.parametrize("state", [Form, Validated, Plain])
    def test_may_be_texts(self, invoke: Invoke, state: type[Any]) -> None:
        graph = graph_of(node_of(input_key="question", output_key="answer"), state)
        asked: Any = {"question": "hello"} if state is Form else state(question="hello")
        assert invoke(graph, asked)["answer"] == "small heard hello"

    def test_leave_room_for_the_record(self, invoke: Invoke) -> None:
        graph = graph_of(node_of(input_key="question", output_key="answer"), Form)
        assert invoke(graph, {"question": "hello"})["atlas"]["pair"] == "small@@none"

    def test_may_do_without_the_record(self, invoke: Invoke) -> None:
        graph = graph_of(node_of(input_key="question", output_key="answer", record_key=None), Form)
        assert invoke(graph, {"question": "hello"}) == {"question": "hello", "answer": "small heard hello"}

    @pytest.mark.parametrize("question", [HumanMessage("hello"), [AIMessage("Yes?"), HumanMessage("hello")]])
    def test_may_hold_messages(self, invoke: Invoke, question: Any) -> None:
        graph = graph_of(node_of(input_key="question", output_key="answer"), Form)
        assert invoke(graph, {"question": question})["answer"] == "small heard hello"

    def test_may_be_read_from_one_and_answered_in_the_messages(self, invoke: Invoke) -> None:
        graph = graph_of(node_of(input_key="question"), Both)
        state = invoke(graph, {"question": "hello", "messages": [HumanMessage("something else")]})
        assert [message.content for message in state["messages"]] == ["something else", "small heard hello"]

    def test_may_be_read_from_the_messages_and_answered_in_one(self, invoke: Invoke) -> None:
        class State(TypedDict, total=False):
            messages: Annotated[list[AnyMessage], add_messages]
            answer: str

        state = invoke(graph_of(node_of(output_key="answer"), State), {"messages": [HumanMessage("hello")]})
        assert (len(state["messages"]), state["answer"]) == (1, "small heard hello")

    def test_may_be_those_of_a_dataclass(self, invoke: Invoke) -> None:
        state = invoke(graph_of(node_of(), Conversation), Conversation(messages=[HumanMessage("hello")]))
        assert state["messages"][-1].content == "small heard hello"

    @pytest.mark.parametrize("question", [None, "", " ", 42])
    def test_must_hold_an_ask(self, invoke: Invoke, question: Any) -> None:
        graph = graph_of(node_of(input_key="question", output_key="answer"), Form)
        with pytest.raises(InvalidInputError, match=r"no ask under 'question'; name the right key|has no text|it must"):
            invoke(graph, {"question": question})


class TestMessages:
    def test_stay_as_they_are(self, invoke: Invoke) -> None:
        call = {"name": "search", "args": {"query": "tea"}, "id": "c1"}
        messages = [
            SystemMessage("Be kind.", id="1"),
            HumanMessage("What is tea?", id="2"),
            AIMessage("", tool_calls=[call], id="3"),
            ToolMessage("Tea is a drink. Ask: what is coffee?", tool_call_id="c1", id="4"),
        ]
        executor = ScriptedExecutor(lambda _, query: f"on {query.text}")
        graph = graph_of(
            AtlasNode(ScriptedRouter("small@@none"), executor), MessagesState, checkpointer=InMemorySaver()
        )
        state = invoke(graph, {"messages": messages}, config={"configurable": {"thread_id": "1"}})
        assert state["messages"][:4] == messages
        assert state["messages"][4].content == "on What is tea?", "the human's ask, not the tool's"
        assert len({message.id for message in state["messages"]}) == 5
        ((_, query),) = executor.calls
        assert (query.history, query.since) == ((messages[0],), (messages[2], messages[3]))


class TestGoto:
    def graph(self, node: AtlasNode) -> Graph:
        builder = StateGraph(MessagesState)
        builder.add_node("ask", node, destinations=("praise", "scold"))
        for name in ("praise", "scold"):
            builder.add_node(name, lambda _, name=name: {"messages": [AIMessage(name)]})
        builder.add_edge(START, "ask")
        return builder.compile()

    def test_names_the_next_node(self, invoke: Invoke) -> None:
        state = invoke(self.graph(node_of(goto="scold")), {"messages": [HumanMessage("hello")]})
        assert [message.content for message in state["messages"]] == ["hello", "small heard hello", "scold"]

    @pytest.mark.parametrize(("told", "place"), [("fine", "praise"), (TimeoutError("60 s"), "scold")])
    def test_may_depend_on_what_happened(self, invoke: Invoke, told: Any, place: str) -> None:
        def by_record(record: Mapping[str, Any]) -> str:
            return "praise" if record["answered"] else "scold"

        executor = ScriptedExecutor({"small@@none": told})
        node = AtlasNode(ScriptedRouter("small@@none"), executor, goto=by_record, on_failure="message")
        assert invoke(self.graph(node), {"messages": [HumanMessage("hello")]})["messages"][-1].content == place

    def test_may_end_the_graph(self, invoke: Invoke) -> None:
        state = invoke(self.graph(node_of(goto=END)), {"messages": [HumanMessage("hello")]})
        assert len(state["messages"]) == 2

    def test_is_drawn(self) -> None:
        drawing = self.graph(node_of(goto="scold")).get_graph().draw_mermaid(with_styles=False)
        assert "ask -.-> praise;" in drawing
        assert "ask -.-> scold;" in drawing
