"""What was said stays as it was said: order of text and images, detail; and what a tool shows is seen, or said."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from pictures import data_url, picture

from langchain_atlas import (
    NO_TOOL,
    AtlasChain,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    LiveExecutor,
    Pool,
    Query,
    Tool,
    create_atlas_graph,
)
from langchain_atlas.errors import InvalidInputError
from langchain_atlas.integrations.messages import read_query
from langchain_atlas.testing import OpenAIServer, ScriptedRouter, call_tool, images_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import Model

PNG, JPEG = picture("a", size=(4, 4)), picture("b", kind="JPEG", size=(4, 4))
SVG = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
URLS = [data_url(PNG), data_url(JPEG, "image/jpeg")]
SAID: list[dict[str, Any]] = [
    {"type": "text", "text": "Before:"},
    {"type": "image_url", "image_url": {"url": URLS[0], "detail": "high"}},
    {"type": "text", "text": "After:"},
    {"type": "image", "base64": URLS[1].partition(",")[2], "mime_type": "image/png"},
    {"type": "text", "text": "What changed?"},
]
SENT = [
    SAID[0],
    SAID[1],
    SAID[2],
    {"type": "image_url", "image_url": {"url": URLS[1]}},
    SAID[4],
]


@tool
def plot(topic: str) -> list[dict[str, Any]]:
    """Plot something."""
    return [
        {"type": "text", "text": f"A plot of {topic}"},
        {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"},
        {"type": "text", "text": "by month"},
    ]


def node(pair: str, live: LiveExecutor) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("atlas", AtlasNode(ScriptedRouter(pair), live))
    graph.add_edge(START, "atlas")
    graph.add_edge("atlas", END)
    return graph.compile()


INTEGRATIONS: dict[str, Callable[[str, LiveExecutor], Any]] = {
    "node": node,
    "graph": lambda pair, live: create_atlas_graph(ScriptedRouter(pair), live).compile(),
    "middleware": lambda pair, live: create_agent(
        live.chat_model("small"), middleware=[AtlasMiddleware(ScriptedRouter(pair), live, fail_open=False)]
    ),
    "chat": lambda pair, live: ChatAtlas(router=ScriptedRouter(pair), executor=live),
    "chain": lambda pair, live: AtlasChain(ScriptedRouter(pair), live),
}


def asked(integration: str, pair: str, live: LiveExecutor, messages: list[Any], invoke: Any) -> str:
    made = INTEGRATIONS[integration](pair, live)
    if integration in ("node", "graph", "middleware"):
        return str(invoke(made, {"messages": messages})["messages"][-1].text)
    return str(invoke(made, messages).text)


def executor(model: Model, *tools: Tool) -> LiveExecutor:
    return LiveExecutor(Pool(models=(model,), tools=(NO_TOOL, *tools)), retries=0)


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_order_and_detail_are_kept_and_the_bytes_tell_the_type(
    integration: str, serve: Any, reach: Any, invoke: Any
) -> None:
    server: OpenAIServer = serve("The colour.")
    live = executor(reach(server, modalities={"text", "image"}))
    asked(integration, "small@@none", live, [HumanMessage(SAID)], invoke)
    asked(integration, "small@@none", live, [HumanMessage(SAID), AIMessage("The colour."), HumanMessage("?")], invoke)
    assert [body["messages"][0]["content"] for body in server.bodies] == [SENT, SENT]


def test_the_router_reads_texts_that_are_not_glued() -> None:
    query = read_query([HumanMessage(SAID)], {})
    assert query.text == "Before:\nAfter:\nWhat changed?"
    assert query.images == tuple(URLS)
    assert Query.from_json(query.to_json()) == query
    plain = read_query([HumanMessage(["What is", {"type": "text", "text": "6 x 7?"}])], {})
    assert (plain.text, plain.content) == ("What is\n6 x 7?", ())


def test_another_input_comes_in_place_of_the_texts(serve: Any, reach: Any) -> None:
    server: OpenAIServer = serve("Two.")
    live = executor(reach(server, modalities={"text", "image"}))
    live.run(live.pairs[0], read_query([HumanMessage(SAID)], {}).replace(text="How many?"))
    live.run(live.pairs[0], read_query([HumanMessage(SAID)], {}).replace(context="Two maps."))
    live.run(live.pairs[0], read_query([HumanMessage(SAID)], {}).replace(images=()))
    contents = [body["messages"][0]["content"] for body in server.bodies]
    assert contents[0] == [{"type": "text", "text": "How many?"}, SENT[1], SENT[3]]
    assert contents[1] == [*SENT, {"type": "text", "text": "Context:\nTwo maps."}]
    assert contents[2] == [SENT[0], SENT[2], SENT[4]]


@pytest.mark.parametrize("integration", INTEGRATIONS)
@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "base64": SVG, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": f"data:image/svg+xml;base64,{SVG}"}},
        {"type": "image_url", "image_url": {"url": URLS[0], "detail": "finest"}},
    ],
)
def test_what_is_no_image_is_refused(integration: str, block: Any, serve: Any, reach: Any, invoke: Any) -> None:
    server = serve("?")
    live = executor(reach(server, modalities={"text", "image"}))
    with pytest.raises(
        InvalidInputError, match=r"Give a PNG, JPEG, GIF or WebP|the detail 'finest'; it is one of auto"
    ):
        asked(integration, "small@@none", live, [HumanMessage([SAID[0], block])], invoke)
    assert server.bodies == []


def plotting(body: dict[str, Any]) -> Any:
    """Have a plot made, and say what is seen of it."""
    if body.get("tools") and body["messages"][-1]["role"] == "user" and not images_of(body):
        return {"tool_calls": [call_tool("plot", {"topic": "rain"})]}
    if not body.get("tools") and "returned" not in str(body["messages"][-1]["content"]) and not images_of(body):
        return '{"tool": "plot", "arguments": {"topic": "rain"}}'
    return "I see it." if images_of(body) else "I was told of it."


WAYS = {
    "native": Tool(name="plot", tools=(plot,)),
    "prompted": Tool(name="plot", tools=(plot,), invocation="prompted"),
    "prompted rounds": Tool(name="plot", tools=(plot,), invocation="prompted", settings={"max_rounds": 2}),
    "grounded": Tool(name="plot", tools=(plot,), invocation="grounded"),
    "backtracked": Tool(name="plot", tools=(plot,), invocation="backtracked"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("integration", ["node", "middleware", "chat"])
def test_an_image_of_a_tool_is_seen_or_said(integration: str, way: str, serve: Any, reach: Any, invoke: Any) -> None:
    if way == "grounded":
        replies: Any = lambda body: "I see it." if images_of(body) else "I was told of it."  # noqa: E731
    else:
        replies = plotting
    server: OpenAIServer = serve(replies)
    seeing = executor(reach(server, modalities={"text", "image"}), WAYS[way])
    blind = executor(reach(server), WAYS[way])
    assert asked(integration, "small@@plot", seeing, [HumanMessage("Plot the rain")], invoke) == "I see it."
    assert images_of(server.bodies[-1]) == [URLS[0]]
    assert asked(integration, "small@@plot", blind, [HumanMessage("Plot the rain")], invoke) == "I was told of it."
    assert images_of(server.bodies[-1]) == []
    assert f"[an image: image/png, {len(PNG)} bytes]" in str(server.bodies[-1]["messages"])
    assert all(
        isinstance(message["content"], str) or message["role"] != "tool" or message["content"][0]["type"] == "text"
        for body in server.bodies
        for message in body["messages"]
    )


def test_the_record_says_what_was_shown_and_holds_no_image(serve: Any, reach: Any) -> None:
    live = executor(reach(serve(plotting), modalities={"text", "image"}), WAYS["native"])
    seen = live.run(live.pairs[1], Query(text="Plot the rain"))
    (trace,) = seen.tool_trace
    assert trace.output == f"A plot of rain\n[an image: image/png, {len(PNG)} bytes]\nby month"
    assert "base64" not in str(seen.to_json())


def test_a_callers_own_tool_shows_its_image_too(serve: Any, reach: Any) -> None:
    server: OpenAIServer = serve("I see it.")
    live = executor(reach(server, modalities={"text", "image"}))
    chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=live).bind_tools([plot])
    call = {"name": "plot", "args": {"topic": "rain"}, "id": "c1", "type": "tool_call"}
    result = ToolMessage(plot.invoke({"topic": "rain"}), tool_call_id="c1", name="plot")
    chat.invoke([HumanMessage("Plot the rain"), AIMessage("", tool_calls=[call]), result])
    (body,) = server.bodies
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "user"]
    assert images_of(body) == [URLS[0]]
