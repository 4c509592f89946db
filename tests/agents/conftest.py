"""A local provider, and an executor that reaches it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from provider import reach, serve

from langchain_atlas import NO_TOOL, LiveExecutor, Pool, Tool
from langchain_atlas.testing import call_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import Model
    from langchain_atlas.testing import OpenAIServer

__all__ = ["connect", "echo", "invoke", "reach", "serve"]


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
