"""Tools of a pool that belong to a graph: its state, store and runtime reach them, and their commands reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.store.base import BaseStore  # noqa: TC002  # LangGraph reads it
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

from langchain_atlas import NO_TOOL, AtlasChain, AtlasNode, ChatAtlas, LiveExecutor, Pool, Tool, create_atlas_graph
from langchain_atlas.errors import ConstraintError
from langchain_atlas.testing import OpenAIServer, ScriptedRouter, call_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import Model


class State(MessagesState, total=False):
    """A conversation, and for whom it is."""

    user: str
    basket: str
    visited: str


@tool
def whose(item: str, user: Annotated[str, InjectedState("user")]) -> str:
    """Say whose an item is."""
    return f"{item} of {user}"


@tool
def said(word: str, state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Say what was said first."""
    return f"{word}: {state['messages'][0].text}"


@tool
def recalled(key: str, store: Annotated[BaseStore, InjectedStore()]) -> str:
    """Recall something."""
    found = store.get(("notes",), key)
    return "nothing" if found is None else str(found.value["text"])


@tool
def running(key: str, runtime: ToolRuntime) -> str:
    """Look at what runs."""
    found = runtime.store.get(("notes",), key) if runtime.store else None
    return f"{runtime.context['tone']} {found.value['text'] if found else ''} {len(runtime.state['messages'])}"


@tool
async def running_slowly(key: str, runtime: ToolRuntime) -> str:
    """Look at what runs, on the event loop."""
    return f"{key} {runtime.context['tone']} {len(runtime.state['messages'])}"


@tool
def put(item: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[str]:
    """Put something into the basket."""
    return Command(update={"basket": item, "messages": [ToolMessage(f"{item} is in", tool_call_id=tool_call_id)]})


@tool
def leave(item: str) -> Command[str]:
    """Go somewhere else."""
    return Command(update={"basket": item}, goto="elsewhere")


CASES: list[tuple[Any, dict[str, Any], str]] = [
    (whose, {"item": "hat"}, "hat of Ada"),
    (said, {"word": "first"}, "first: Please"),
    (recalled, {"key": "k"}, "kept"),
    (running, {"key": "k"}, "kind kept 1"),
    (running_slowly, {"key": "k"}, "k kind 1"),
    (put, {"item": "hat"}, "hat is in"),
]


def calling(member: Any, arguments: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    """Call a tool, and say what it returned."""

    def reply(body: dict[str, Any]) -> Any:
        last = body["messages"][-1]
        if last["role"] != "tool":
            return {"tool_calls": [call_tool(member.name, arguments)]}
        return f"It said: {last['content']}"

    return reply


def executor(model: Model, member: Any) -> LiveExecutor:
    return LiveExecutor(Pool(models=(model,), tools=(NO_TOOL, Tool.of(member, name="it"))), retries=0)


def node(live: LiveExecutor, **settings: Any) -> StateGraph[Any]:
    graph = StateGraph(State, context_schema=dict)  # type: ignore[type-var]
    graph.add_node("atlas", AtlasNode(ScriptedRouter("small@@it"), live, record_key=None, **settings))
    graph.add_node("elsewhere", lambda _: {"visited": "elsewhere"})
    graph.add_edge(START, "atlas")
    graph.add_edge("elsewhere", END)
    return graph


@pytest.mark.parametrize(("member", "arguments", "result"), CASES, ids=[case[0].name for case in CASES])
@pytest.mark.parametrize("durable", [False, True])
def test_reach_what_they_ask_for_in_a_node(
    member: Any, arguments: Any, result: str, durable: bool, serve: Any, reach: Any, invoke: Any
) -> None:
    store = InMemoryStore()
    store.put(("notes",), "k", {"text": "kept"})
    live = executor(reach(serve(calling(member, arguments))), member)
    graph = node(live, durable=durable).compile(store=store, checkpointer=InMemorySaver() if durable else None)
    state = {"messages": [HumanMessage("Please")], "user": "Ada"}
    config = {"configurable": {"thread_id": "1"}}
    done = invoke(graph, state, config=config, context={"tone": "kind"})
    assert done["messages"][-1].text == f"It said: {result}"
    assert [message.type for message in done["messages"]] == ["human", "ai"], "no result is left without its call"
    assert done.get("basket") == ("hat" if member is put else None)


@pytest.mark.parametrize("member", [said, put])
def test_reach_what_they_ask_for_in_the_graph(member: Any, serve: Any, reach: Any, invoke: Any) -> None:
    (arguments, result) = next(case[1:] for case in CASES if case[0] is member)
    live = executor(reach(serve(calling(member, arguments))), member)
    graph = create_atlas_graph(ScriptedRouter("small@@it"), live).compile()
    done = invoke(graph, {"messages": [HumanMessage("Please")]})
    assert done["messages"][-1].text == f"It said: {result}"


def test_a_command_sends_the_graph_elsewhere(serve: Any, reach: Any, invoke: Any) -> None:
    live = executor(reach(serve(calling(leave, {"item": "hat"}))), leave)
    done = invoke(node(live).compile(), {"messages": [HumanMessage("Please")]})
    assert (done["basket"], done["visited"], done["messages"][-1].text) == ("hat", "elsewhere", "It said: Done.")


def test_the_model_can_not_forge_what_the_graph_gives(serve: Any, reach: Any) -> None:
    server: OpenAIServer = serve(calling(whose, {"item": "hat", "user": "Eve"}))
    done = node(executor(reach(server), whose)).compile().invoke({"messages": [HumanMessage("Please")], "user": "Ada"})
    assert done["messages"][-1].text == "It said: hat of Ada"
    (shown,) = server.bodies[0]["tools"]
    assert list(shown["function"]["parameters"]["properties"]) == ["item"]


@pytest.mark.parametrize("member", [whose, recalled, running])
def test_outside_of_a_graph_their_pairs_are_not_offered(member: Any, serve: Any, reach: Any) -> None:
    live = executor(reach(serve("by myself")), member)
    for made in (
        ChatAtlas(router=ScriptedRouter("small@@it"), executor=live),
        AtlasChain(ScriptedRouter("small@@it"), live),
    ):
        with pytest.raises(
            ConstraintError, match=f"the tool {member.name} takes its state from a graph; use an AtlasNode"
        ):
            made.invoke("Please")


def test_a_command_outside_of_a_graph_is_a_failure_of_the_tool(serve: Any, reach: Any) -> None:
    live = executor(reach(serve(calling(leave, {"item": "hat"}))), leave)
    reply = ChatAtlas(router=ScriptedRouter("small@@it"), executor=live).invoke("Please")
    assert "which only a graph can carry out" in reply.text
