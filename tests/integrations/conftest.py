"""A local provider, and an executor that reaches it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from chatting import WAYS
from langchain.agents import create_agent
from provider import reach, serve

from langchain_atlas import NO_TOOL, LiveExecutor, Pool, Tool
from langchain_atlas.execution.models.chat_models import build_chat_model
from langchain_atlas.testing import call_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.messages import AIMessage

    from langchain_atlas import Model
    from langchain_atlas.integrations.agents.middleware import AtlasMiddleware
    from langchain_atlas.testing import OpenAIServer

__all__ = ["call", "connect", "echo", "invoke", "reach", "serve"]


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@pytest.fixture
def connect(reach: Callable[..., Model]) -> Callable[..., LiveExecutor]:
    """Make an executor of two priced models, ``small`` and ``large``, with and without a calculator."""

    def executor(server: OpenAIServer, **settings: Any) -> LiveExecutor:
        small = reach(server, "small", input_cost_per_token=1e-6, output_cost_per_token=1e-6)
        large = reach(server, "large", input_cost_per_token=1e-4, output_cost_per_token=1e-4)
        calculator = Tool(name="calculator", tools=(double,))
        pool = Pool(models=(small, large), tools=(NO_TOOL, calculator))
        return LiveExecutor(pool, **{"retries": 0, **settings})

    return executor


@pytest.fixture
def echo() -> Callable[[dict[str, Any]], Any]:
    """Say which model was asked what; with a tool on offer, call it first."""

    def reply(body: dict[str, Any]) -> Any:
        last = body["messages"][-1]
        if "tools" in body and last["role"] == "user":
            return {"content": "One moment.", "tool_calls": [call_tool("double", {"number": 21})]}
        return f"{body['model']} heard {last['content']}"

    return reply


@pytest.fixture(params=["sync", "async"])
def invoke(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Invoke a graph: in the foreground and on an event loop."""
    if request.param == "sync":
        return lambda graph, state, **settings: graph.invoke(state, **settings)
    return lambda graph, state, **settings: asyncio.run(graph.ainvoke(state, **settings))


@pytest.fixture(params=["sync", "async", "stream", "astream"])
def call(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Run a graph in every way there is, and return its last state."""
    return {"sync": _invoke, "async": _ainvoke, "stream": _stream, "astream": _astream}[request.param]


def _invoke(graph: Any, state: Any, **settings: Any) -> Any:
    return graph.invoke(state, **settings)


def _ainvoke(graph: Any, state: Any, **settings: Any) -> Any:
    return asyncio.run(graph.ainvoke(state, **settings))


def _stream(graph: Any, state: Any, **settings: Any) -> Any:
    return _last(graph.stream(state, stream_mode=["values", "messages"], **settings))


def _astream(graph: Any, state: Any, **settings: Any) -> Any:
    async def collect() -> list[Any]:
        return [event async for event in graph.astream(state, stream_mode=["values", "messages"], **settings)]

    return _last(asyncio.run(collect()))


def _last(events: Any) -> Any:
    """Return the last state of a stream, after a look at whether its tokens make up the last message."""
    texts: dict[str, str] = {}
    last: Any = None
    for mode, value in events:
        if mode == "values":
            last = value
        elif value[0].type in ("AIMessageChunk", "ai"):
            texts[value[0].id] = texts.get(value[0].id, "") + value[0].text
    message = last["messages"][-1]
    assert texts[message.id] == message.text
    return last


@pytest.fixture
def agent(reach: Callable[..., Model]) -> Callable[..., Any]:
    """Make an agent whose own model is ``own``."""

    def make(server: OpenAIServer, middleware: AtlasMiddleware, **settings: Any) -> Any:
        own = build_chat_model(reach(server, "own"), timeout_s=10, retries=0)
        return create_agent(own, middleware=[middleware], **settings)

    return make


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream", "batch", "abatch"])
def ask(request: pytest.FixtureRequest) -> Callable[..., AIMessage]:
    """Ask a chat model in every way there is; the chunks of a stream are put together."""

    def run(chat: Any, asked: Any, /, **settings: Any) -> AIMessage:
        message: AIMessage = WAYS[request.param](chat, asked, settings)
        return message

    return run
