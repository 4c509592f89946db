"""The Python tool keeps names for the whole trajectory, in a node and around a graph."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from chatting import joined
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from node_graph import node_graph

from langchain_atlas import AtlasNode, ChatAtlas, LiveExecutor, Model, Pool, Tool, create_atlas_graph
from langchain_atlas.testing import ScriptedRouter
from langchain_atlas.tools import tool_sessions
from langchain_atlas.tools.python.sessions import current_sessions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixture_types import Invoke


ASK = {"messages": [HumanMessage("?", id="h")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}


class Scripted(GenericFakeChatModel):
    def bind_tools(self, tools: object, **options: object) -> Scripted:  # type: ignore[override]
        del tools, options
        return self


def parts() -> tuple[ScriptedRouter, LiveExecutor]:
    """Ask one pair twice: it gives a variable a value, and later asks for it."""
    replies = [
        AIMessage("", tool_calls=[{"name": "python", "args": {"code": "x = 20"}, "id": "1", "type": "tool_call"}]),
        AIMessage("noted"),
        AIMessage("", tool_calls=[{"name": "python", "args": {"code": "x + 1"}, "id": "2", "type": "tool_call"}]),
        AIMessage("so it is"),
    ]
    pool = Pool(
        models=(Model(name="m", litellm="openai/m"),),
        tools=(Tool(name="python", use="python", arguments={"stateful": True}),),
    )
    executor = LiveExecutor(pool, chat_models={"m": Scripted(messages=iter(replies))})
    return ScriptedRouter("m@@python", "m@@python"), executor


def second_output(state: dict[str, Any]) -> str:
    (trace,) = state["atlas"]["steps"][1]["observation"]["tool_trace"]
    return str(trace["output"] or trace["error"])


@pytest.mark.parametrize("durable", [False, True])
def test_names_last_in_a_node(invoke: Invoke, durable: bool) -> None:
    graph = node_graph(AtlasNode(*parts(), durable=durable)).compile(checkpointer=InMemorySaver())
    state = invoke(graph, ASK, config=THREAD)
    assert second_output(state) == "21"


@pytest.mark.parametrize("opened", [False, True])
def test_names_last_in_a_graph_from_node_to_node(invoke: Invoke, opened: bool) -> None:
    graph = create_atlas_graph(*parts()).compile(checkpointer=InMemorySaver())
    with tool_sessions() if opened else nullcontext():
        state = invoke(graph, ASK, config=THREAD)
    assert second_output(state) == "21"


def test_names_last_in_a_graph_while_a_human_is_asked(invoke: Invoke) -> None:
    graph = create_atlas_graph(*parts(), approve=0.0).compile(checkpointer=InMemorySaver())
    invoke(graph, ASK, config=THREAD)
    invoke(graph, Command(resume=True), config=THREAD)
    state = invoke(graph, Command(resume=True), config=THREAD)
    assert second_output(state) == "21"


def test_names_are_forgotten_at_the_end_of_a_graph(invoke: Invoke) -> None:
    executor = parts()[1]
    script = iter(["x = 20", "x + 1"])

    def reply() -> Iterator[AIMessage]:
        for code in script:
            yield AIMessage("", tool_calls=[{"name": "python", "args": {"code": code}, "id": "1", "type": "tool_call"}])
            yield AIMessage("so it is")

    executor = LiveExecutor(executor.pool, chat_models={"m": Scripted(messages=reply())})
    graph = create_atlas_graph(ScriptedRouter("m@@python"), executor).compile(checkpointer=InMemorySaver())
    invoke(graph, ASK, config=THREAD)
    again = invoke(graph, {"messages": [HumanMessage("again", id="i")]}, config=THREAD)
    (trace,) = again["atlas"]["steps"][0]["observation"]["tool_trace"]
    assert "NameError" in (trace["output"] or trace["error"])


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_names_last_in_a_chat_model(way: str) -> None:
    router, executor = parts()
    chat = ChatAtlas(router=router, executor=executor)
    message = chat.invoke("?") if way == "invoke" else joined(list(chat.stream("?")))
    assert second_output({"atlas": message.response_metadata["atlas"]}) == "21"


def test_a_stream_that_nobody_reads_to_its_end_is_closed_where_it_was_opened() -> None:
    chat = ChatAtlas(router=parts()[0], executor=parts()[1])
    reply = chat.stream("?")
    next(reply)
    reply.close()  # type: ignore[attr-defined]  # a generator
    assert current_sessions() is None


async def test_so_is_one_on_an_event_loop() -> None:
    chat = ChatAtlas(router=parts()[0], executor=parts()[1])
    reply = chat.astream("?")
    await anext(reply)
    await reply.aclose()  # type: ignore[attr-defined]  # a generator
    assert current_sessions() is None
