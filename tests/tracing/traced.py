"""A place for traces to go, and something to trace."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from langsmith import Client, tracing_context

from langchain_atlas import NO_TOOL, Decision, LiveExecutor, Pair, Pool, Tool
from langchain_atlas.testing import OpenAIServer, ScriptedRouter, TraceServer, call_tool
from langchain_atlas.trajectory import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_atlas import Model, Router


CALCULATOR = Pair("small", "calculator")
PRIVATE = "What is the salary of Ada Lovelace?"


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@dataclass
class Traces:
    """A server that takes traces, and how to send some there."""

    server: TraceServer

    @contextmanager
    def on(self, **settings: Any) -> Iterator[TraceServer]:
        """Have tracing on; what was traced has arrived when the block ends."""
        client = Client(api_url=self.server.url, api_key="any", **settings)
        with tracing_context(enabled=True, client=client):
            yield self.server
        client.flush()
        client.close()


@pytest.fixture
def traces() -> Iterator[Traces]:
    """Return where traces go; it is gone after the test."""
    with TraceServer() as server:
        yield Traces(server)


@pytest.fixture
def router() -> Router:
    """Return a router that sends everything to the small model with a calculator, and says why."""
    chosen = Candidate(pair=CALCULATOR, expected_success=0.75, evidence=12, expected_cost_usd=0.001)
    return ScriptedRouter(
        Decision(
            kind="route",
            pair=CALCULATOR,
            rule="utility",
            cluster=3,
            chosen=chosen,
            runner_up=Candidate(pair=Pair("small", "none"), expected_success=0.5),
            reason="Best here.",
        )
    )


@pytest.fixture
def executor(serve: Callable[..., OpenAIServer], reach: Callable[..., Model]) -> LiveExecutor:
    """Return an executor whose model doubles 21 with its tool, and then says 42."""

    def reply(body: dict[str, Any]) -> Any:
        if body["messages"][-1]["role"] == "tool":
            return "The answer is 42."
        return {"tool_calls": [call_tool("double", {"number": 21})]} if "tools" in body else "No idea."

    small = reach(serve(reply), "small", input_cost_per_token=1e-6, output_cost_per_token=1e-6)
    return LiveExecutor(Pool(models=(small,), tools=(NO_TOOL, Tool(name="calculator", tools=(double,)))), retries=0)


@pytest.fixture(params=["sync", "async"])
def invoke(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Invoke a runnable: in the foreground and on an event loop."""
    if request.param == "sync":
        return lambda runnable, state, **settings: runnable.invoke(state, **settings)
    return lambda runnable, state, **settings: asyncio.run(runnable.ainvoke(state, **settings))
