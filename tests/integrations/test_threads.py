"""A thread goes on whatever it holds: what no provider takes is closed or left out before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from strict_provider import strictly

from langchain_atlas import AtlasChain, AtlasMiddleware, AtlasNode, ChatAtlas, create_atlas_graph
from langchain_atlas.testing import OpenAIServer, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import LiveExecutor

NONE, TOOL = "small@@none", "small@@calculator"
CALL = {"name": "double", "args": {"number": 21}, "id": "c1", "type": "tool_call"}
OTHER = {**CALL, "id": "c2"}
RESULT = ToolMessage("42", tool_call_id="c1")
HISTORIES: dict[str, list[Any]] = {
    "a call that was never answered": [HumanMessage("Double 21"), AIMessage("", tool_calls=[CALL])],
    "one of two calls answered": [HumanMessage("Double 21"), AIMessage("", tool_calls=[CALL, OTHER]), RESULT],
    "a result too late": [AIMessage("", tool_calls=[CALL]), HumanMessage("Hello?"), RESULT],
    "a result whose call was trimmed away": [RESULT, AIMessage("42")],
    "a result twice": [HumanMessage("Double 21"), AIMessage("", tool_calls=[CALL]), RESULT, RESULT],
    "an empty result": [AIMessage("", tool_calls=[CALL]), ToolMessage("", tool_call_id="c1")],
    "an assistant that said nothing": [HumanMessage("Hello"), AIMessage("")],
    "a human that said nothing": [HumanMessage(" "), AIMessage("Yes?")],
    "blank blocks": [HumanMessage([{"type": "text", "text": ""}]), AIMessage([{"type": "text", "text": " "}])],
    "a call that could not be read": [
        AIMessage(
            "",
            invalid_tool_calls=[{"name": "double", "args": "{", "id": "c1", "error": "", "type": "invalid_tool_call"}],
        ),
        RESULT,
    ],
    "a call that could not be read, unanswered": [
        AIMessage(
            "",
            invalid_tool_calls=[{"name": "double", "args": "{", "id": "c1", "error": "", "type": "invalid_tool_call"}],
        )
    ],
    "function_call blocks": [
        AIMessage([{"type": "function_call", "name": "double", "arguments": '{"number": 21}', "call_id": "c1"}])
    ],
    "tool_use blocks": [AIMessage([{"type": "tool_use", "id": "c1", "name": "double", "input": {}}]), RESULT],
    "a function of old": [
        AIMessage("", additional_kwargs={"function_call": {"name": "double", "arguments": '{"number": 21}'}}),
        FunctionMessage("42", name="double"),
    ],
    "calls without ids": [AIMessage("", tool_calls=[{**CALL, "id": None}]), ToolMessage("42", tool_call_id="")],
    "calls of one id": [AIMessage("", tool_calls=[CALL, CALL]), RESULT, RESULT],
    "one id in two turns": [AIMessage("", tool_calls=[CALL]), RESULT, AIMessage("", tool_calls=[CALL])],
    "thoughts alone": [AIMessage([{"type": "thinking", "thinking": "Hm.", "signature": "x"}])],
    "blocks of one provider": [
        AIMessage(
            [{"type": "output_text", "text": "A"}, {"type": "web_search_call", "id": "w", "status": "completed"}]
        ),
        AIMessage([{"type": "text", "text": "B", "annotations": [], "index": 0}]),
    ],
    "blocks that no provider takes": [
        HumanMessage(["bare", {"type": "text-plain", "text": "doc"}, {"type": "video", "url": "http://x/v.mp4"}]),
        HumanMessage([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "doc"}}]),
        AIMessage("", tool_calls=[{**CALL, "id": "toolu:1/2"}]),
        ToolMessage([{"type": "json", "json": {"a": 1}}], tool_call_id="toolu:1/2"),
    ],
    "the system in between": [SystemMessage("Be kind."), HumanMessage("Hello"), SystemMessage("Be brief.")],
}


def node(executor: LiveExecutor, pair: str) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("atlas", AtlasNode(ScriptedRouter(pair), executor))
    graph.add_edge(START, "atlas")
    graph.add_edge("atlas", END)
    return graph.compile()


def agent(executor: LiveExecutor, pair: str) -> Any:
    middleware = AtlasMiddleware(ScriptedRouter(pair), executor, fail_open=False)
    return create_agent(executor.chat_model("large"), middleware=[middleware])


INTEGRATIONS: dict[str, Callable[[LiveExecutor, str], Any]] = {
    "node": node,
    "graph": lambda executor, pair: create_atlas_graph(ScriptedRouter(pair), executor).compile(),
    "middleware": agent,
    "chat": lambda executor, pair: ChatAtlas(router=ScriptedRouter(pair), executor=executor),
    "chat with tools": lambda executor, pair: ChatAtlas(router=ScriptedRouter(pair), executor=executor).bind_tools(
        [{"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}]
    ),
    "chain": lambda executor, pair: AtlasChain(ScriptedRouter(pair), executor),
}


def answered(integration: str, made: Any, messages: list[Any], invoke: Any) -> str:
    if integration in ("node", "graph", "middleware"):
        return str(invoke(made, {"messages": messages})["messages"][-1].text)
    return str(invoke(made, messages).text)


@pytest.mark.parametrize("integration", INTEGRATIONS)
@pytest.mark.parametrize("pair", [NONE, TOOL])
def test_a_thread_with_anything_in_it_goes_on(
    integration: str, pair: str, serve: Callable[..., OpenAIServer], connect: Any, invoke: Any
) -> None:
    server = serve(strictly())
    made = INTEGRATIONS[integration](connect(server), pair)
    for name, history in HISTORIES.items():
        assert answered(integration, made, [*history, HumanMessage("And now?")], invoke) == "Fine.", name


@pytest.mark.parametrize("integration", [*INTEGRATIONS])
def test_what_the_system_says_last_is_sent(
    integration: str, serve: Callable[..., OpenAIServer], connect: Any, invoke: Any
) -> None:
    server = serve(strictly())
    made = INTEGRATIONS[integration](connect(server), NONE)
    messages = [SystemMessage("Be kind."), HumanMessage("Hello"), SystemMessage("Answer in French.")]
    assert answered(integration, made, messages, invoke) == "Fine."
    (body,) = server.bodies
    assert body["messages"] == [
        {"role": "system", "content": "Be kind.\n\nAnswer in French."},
        {"role": "user", "content": "Hello"},
    ]


def test_a_system_message_last_does_not_keep_the_tools_away(
    serve: Callable[..., OpenAIServer], connect: Any, echo: Any
) -> None:
    server = serve(strictly(echo))
    chat = ChatAtlas(router=ScriptedRouter(TOOL), executor=connect(server))
    reply = chat.invoke([HumanMessage("Double 21"), SystemMessage("Be brief.")])
    assert reply.text == "small heard 42"
    assert [call["name"] for call in reply.response_metadata["atlas"]["steps"][0]["observation"]["tool_trace"]] == [
        "double"
    ]


def test_a_thread_that_was_stopped_at_a_tool_call_lives_on(serve: Callable[..., OpenAIServer], connect: Any) -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("atlas", AtlasNode(ScriptedRouter(NONE), connect(serve(strictly()))))
    graph.add_edge(START, "atlas")
    thread = graph.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    thread.update_state(config, {"messages": [HumanMessage("Double 21"), AIMessage("", tool_calls=[CALL])]})
    for text in ("Well?", "And now?"):
        state = thread.invoke({"messages": [HumanMessage(text)]}, config)
        assert state["messages"][-1].text == "Fine."
