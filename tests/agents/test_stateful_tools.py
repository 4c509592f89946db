"""The Python tool keeps names for the whole trajectory, in a node and around a graph."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from node_graph import node_graph

from langchain_atlas import AtlasNode, LiveExecutor, Model, Pool, Tool, create_atlas_graph
from langchain_atlas.testing import ScriptedRouter
from langchain_atlas.tools import tool_sessions

if TYPE_CHECKING:
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
def test_names_last_in_a_graph_where_the_scope_is_opened_around_it(invoke: Invoke, opened: bool) -> None:
    graph = create_atlas_graph(*parts()).compile(checkpointer=InMemorySaver())
    with tool_sessions() if opened else nullcontext():
        state = invoke(graph, ASK, config=THREAD)
    assert second_output(state) == "21" if opened else "NameError" in second_output(state)
