"""The node and the graph inside larger graphs: subgraphs, parallel branches, the store."""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_store
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, Send, interrupt
from node_graph import node_graph

from langchain_atlas import NO_TOOL, AtlasNode, LiveExecutor, Pair, Pool, Query, Tool, create_atlas_graph
from langchain_atlas.errors import ExecutionError, PoolError
from langchain_atlas.integrations.graphs import durable
from langchain_atlas.integrations.messages import AtlasContext
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter, call_tool

if TYPE_CHECKING:
    from fixture_types import Invoke, Reach, Serve
    from node_graph import Graph


HELLO = {"messages": [HumanMessage("hello", id="h")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}


def named(pair: Pair, query: Query) -> str:
    return f"{pair.model} on {query.text}"


def inner(kind: str, executor: ScriptedExecutor, **settings: Any) -> Graph:
    """Make a graph of ATLAS: with the node, or the loop as a graph."""
    router = ScriptedRouter("a@@none", "b@@none")
    if kind == "graph":
        return create_atlas_graph(router, executor, **settings).compile()
    return node_graph(AtlasNode(router, executor, **settings), context_schema=AtlasContext).compile()


@pytest.mark.parametrize("kind", ["node", "graph"])
class TestAsASubgraph:
    def outer(self, part: Graph) -> Graph:
        builder = StateGraph(MessagesState, context_schema=AtlasContext)
        builder.add_node("atlas", part)
        builder.add_node("thank", lambda _: {"messages": [HumanMessage("thanks", id="t")]})
        builder.add_edge(START, "atlas")
        builder.add_edge("atlas", "thank")
        return builder.compile(checkpointer=InMemorySaver())

    def test_answers_in_the_parents_messages(self, kind: str, invoke: Invoke) -> None:
        state = invoke(self.outer(inner(kind, ScriptedExecutor(named))), HELLO, config=THREAD)
        assert [message.content for message in state["messages"]] == ["hello", "b on hello", "thanks"]
        assert "atlas" not in state, "the record stays inside, and in the message"
        assert state["messages"][1].response_metadata["atlas"]["calls"] == 2

    def test_waits_for_a_human_and_repeats_no_call(self, kind: str, invoke: Invoke) -> None:
        executor = ScriptedExecutor(named)
        graph = self.outer(inner(kind, executor, approve=lambda _, decision: decision.pair == Pair("b")))
        (waiting,) = invoke(graph, HELLO, config=THREAD)["__interrupt__"]
        assert waiting.value["pair"] == "b@@none"
        state = invoke(graph, Command(resume="c@@none"), config=THREAD)
        assert [message.content for message in state["messages"]] == ["hello", "c on hello", "thanks"]
        assert [pair.model for pair, _ in executor.calls] == ["a", "c"]

    def test_heeds_the_context_of_the_parent(self, kind: str, invoke: Invoke) -> None:
        router = ScriptedRouter("a@@none")
        builder = StateGraph(MessagesState, context_schema=AtlasContext)
        executor = ScriptedExecutor(named)
        builder.add_node(
            "atlas",
            create_atlas_graph(router, executor).compile() if kind == "graph" else AtlasNode(router, executor),
        )
        builder.add_edge(START, "atlas")
        invoke(builder.compile(), HELLO, context=AtlasContext(cost_weight=0.3, pairs=["a@@none"]))
        assert router.queries[0].cost_weight == 0.3
        assert router.queries[0].constraints.pairs == {Pair("a")}

    def test_streams_decisions_through_the_parent(self, kind: str) -> None:
        graph = self.outer(inner(kind, ScriptedExecutor(named)))
        events = [event for _, event in graph.stream(HELLO, THREAD, stream_mode="custom", subgraphs=True)]
        assert [event["atlas_decision"]["pair"] for event in events] == ["a@@none", "b@@none", None]


class Branches(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    first: str
    second: str


class Batch(TypedDict, total=False):
    questions: list[str]
    question: str
    answers: Annotated[list[str], add]


class TestInParallel:
    def test_two_branches_answer_side_by_side(self, invoke: Invoke) -> None:
        builder = StateGraph(Branches)
        for name, model in (("first", "a"), ("second", "b")):
            node = AtlasNode(ScriptedRouter(Pair(model)), ScriptedExecutor(named), output_key=name, record_key=None)
            builder.add_node(f"ask_{name}", node)
            builder.add_edge(START, f"ask_{name}")
        state = invoke(builder.compile(), HELLO)
        assert (state["first"], state["second"]) == ("a on hello", "b on hello")

    def test_two_branches_answer_into_one_conversation(self, invoke: Invoke) -> None:
        builder = StateGraph(MessagesState)
        for model in ("a", "b"):
            builder.add_node(model, AtlasNode(ScriptedRouter(Pair(model)), ScriptedExecutor(named)))
            builder.add_edge(START, model)
        messages = invoke(builder.compile(), HELLO)["messages"]
        assert [message.content for message in messages] == ["hello", "a on hello", "b on hello"]
        assert len({message.id for message in messages}) == 3

    def test_many_are_sent_at_once(self, invoke: Invoke) -> None:
        node = AtlasNode(
            ScriptedRouter("a@@none", "b@@none"),
            ScriptedExecutor(named),
            input_key="question",
            output_key="answer",
            record_key=None,
            durable=True,
        )
        chain = node | (lambda update: {"answers": [update["answer"]]})
        builder = StateGraph(Batch)
        builder.add_node("ask", chain)
        builder.add_conditional_edges(
            START, lambda state: [Send("ask", {"question": question}) for question in state["questions"]], ["ask"]
        )
        questions = [f"q{number}" for number in range(20)]
        state = invoke(builder.compile(checkpointer=InMemorySaver()), {"questions": questions}, config=THREAD)
        assert state["answers"] == [f"b on {question}" for question in questions]

    def test_humans_are_asked_side_by_side(self, invoke: Invoke) -> None:
        executor = ScriptedExecutor(named)
        builder = StateGraph(MessagesState)
        for model in ("a", "b"):
            builder.add_node(model, AtlasNode(ScriptedRouter(Pair(model)), executor, approve=0.0))
            builder.add_edge(START, model)
        graph = builder.compile(checkpointer=InMemorySaver())
        waiting = invoke(graph, HELLO, config=THREAD)["__interrupt__"]
        words = {one.id: one.value["pair"] == "a@@none" for one in waiting}
        messages = invoke(graph, Command(resume=words), config=THREAD)["messages"]
        assert messages[1].content == "a on hello"
        assert messages[2].content.startswith("No answer: A human did not approve b@@none.")
        assert len(executor.calls) == 1


@pytest.mark.parametrize("kind", ["node", "durable node", "graph"])
def test_tools_reach_the_store(kind: str, invoke: Invoke, serve: Serve, reach: Reach) -> None:
    def remember(fact: str) -> str:
        """Remember a fact."""
        get_store().put(("facts",), "1", {"fact": fact})
        return "done"

    def reply(body: dict[str, Any]) -> Any:
        last = body["messages"][-1]
        return "Noted." if last["role"] == "tool" else {"tool_calls": [call_tool("remember", {"fact": "tea"})]}

    pool = Pool(models=(reach(serve(reply)),), tools=(NO_TOOL, Tool(name="memory", tools=(remember,))))
    router, executor = ScriptedRouter("small@@memory"), LiveExecutor(pool, retries=0)
    store = InMemoryStore()
    if kind == "graph":
        graph = create_atlas_graph(router, executor).compile(store=store)
    else:
        graph = node_graph(AtlasNode(router, executor, durable=kind == "durable node")).compile(store=store)
    assert invoke(graph, HELLO)["messages"][-1].content == "Noted."
    found = store.get(("facts",), "1")
    assert found is not None
    assert found.value == {"fact": "tea"}


class TestWhereNoThreadIsFree:
    """Two branches hold both threads of a synchronous run."""

    def graph(self, executor: ScriptedExecutor) -> Graph:
        builder = StateGraph(MessagesState)
        for model in ("a", "b"):
            builder.add_node(model, AtlasNode(ScriptedRouter(Pair(model)), executor, durable=True))
            builder.add_edge(START, model)
        return builder.compile(checkpointer=InMemorySaver())

    def test_the_work_is_done_all_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(durable, "PATIENCE_S", 0.05)
        executor = ScriptedExecutor(named)
        state = self.graph(executor).invoke(HELLO, {**THREAD, "max_concurrency": 2})
        assert [message.content for message in state["messages"][1:]] == ["a on hello", "b on hello"]
        assert len(executor.calls) == 2

    def test_what_fails_is_raised(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(pair: Pair, _: Query) -> str:
            raise PoolError(f"who is {pair.model}?")

        monkeypatch.setattr(durable, "PATIENCE_S", 0.05)
        with pytest.raises(PoolError, match=r"who is [ab]"):
            self.graph(ScriptedExecutor(fail)).invoke(HELLO, {**THREAD, "max_concurrency": 2})

    def test_a_tool_that_waits_for_a_human_needs_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(durable, "PATIENCE_S", 0.05)
        graph = self.graph(ScriptedExecutor(lambda *_: interrupt("pay?")))
        with pytest.raises(ExecutionError, match=r"'execute' wants to interrupt.*'max_concurrency' above"):
            graph.invoke(HELLO, {**THREAD, "max_concurrency": 2})
        other: Any = {"configurable": {"thread_id": "2"}, "max_concurrency": 5}
        assert len(graph.invoke(HELLO, other)["__interrupt__"]) == 2
