"""A pair whose tool is a whole agent keeps what the loop promises, in every integration; it streams and interrupts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import test_conformance as plain
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphInterrupt
from langgraph.types import Command, Interrupt
from node_graph import node_graph
from standins import approve, seeking_approval

from langchain_atlas import AtlasNode, LiveExecutor, Pair, Pool, Tool, create_atlas_graph
from langchain_atlas.testing import ScriptedRouter, call_tool
from langchain_atlas.testing.integrations import LARGE, SMALL, InTurn, Noted

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Reach, Serve
    from langchain_core.runnables import Runnable

    from langchain_atlas import Router

CAREFUL = Pair("small", "careful")
THREAD: Any = {"configurable": {"thread_id": "1"}}


class Agents:
    """Has an agent around each model answer, in place of the bare models."""

    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:
        bare = Tool.agent(create_agent, name="none", description="An agent.")
        pool = executor.pool
        tools = (bare, *(tool for tool in pool.tools if tool.name != "none"))
        chat_models = {model.name: executor.chat_model(model.name) for model in pool.models}
        agents = LiveExecutor(Pool(models=pool.models, tools=tools), chat_models=chat_models)
        made: Runnable[Any, Any] = super().make(router, agents, max_turns)  # type: ignore[misc]  # an integration's
        return made


class OutsideAGraph(Agents):
    """Has no graph around it, so that nobody can answer an agent that interrupts."""

    def test_takes_no_interrupt_for_a_failure(self: Any, way: str, noted: Noted) -> None:
        """The agent's own graph stops, which leaves the call without an answer: another pair is called."""
        stop: Any = GraphInterrupt((Interrupt(value="may I?", id="1"),))
        router = InTurn(noted, SMALL, LARGE)
        came = self._ask(way, noted, router, lambda name: stop if name == "small" else f"from {name}")
        if self.asks_once:
            assert (came.text, noted.calls) == (None, ["small"])
            assert "stopped to ask: may I?" in str(came.error)
        else:
            assert (came.text, noted.calls) == ("from large", ["small", "large"])


class TestSolve(OutsideAGraph, plain.TestSolve):
    pass


class TestNode(Agents, plain.TestNode):
    pass


class TestDurableNode(Agents, plain.TestDurableNode):
    pass


class TestGraph(Agents, plain.TestGraph):
    pass


class TestMiddleware(Agents, plain.TestMiddleware):
    pass


class TestChatModel(OutsideAGraph, plain.TestChatModel):
    pass


class TestChain(OutsideAGraph, plain.TestChain):
    pass


class TestPipe(OutsideAGraph, plain.TestPipe):
    pass


@tool
def multiply(first: int, second: int) -> int:
    """Multiply two numbers."""
    return first * second


def multiplier(model: Any) -> Any:
    """Multiplies."""
    return create_agent(model, tools=[multiply])


def multiplying(body: dict[str, Any]) -> Any:
    last = body["messages"][-1]
    if last["role"] == "tool":
        return f"It is {last['content']}, as 6 times 7 is."
    return {"tool_calls": [call_tool("multiply", {"first": 6, "second": 7})]}


def careful(model: Any) -> Any:
    """Asks a human."""
    return create_agent(model, tools=[approve])


def in_node(executor: LiveExecutor, *, durable: bool = False) -> Any:
    node = AtlasNode(ScriptedRouter(CAREFUL), executor, durable=durable)
    return node_graph(node).compile(checkpointer=InMemorySaver())


def in_graph(executor: LiveExecutor) -> Any:
    return create_atlas_graph(ScriptedRouter(CAREFUL), executor).compile(checkpointer=InMemorySaver())


GRAPHS = [
    pytest.param(in_node, id="node"),
    pytest.param(lambda executor: in_node(executor, durable=True), id="durable node"),
    pytest.param(in_graph, id="graph"),
]


@pytest.mark.parametrize("build", GRAPHS)
@pytest.mark.parametrize("way", ["sync", "async"])
class TestInAGraph:
    def test_interrupts_and_goes_on(
        self, serve: Serve, reach: Reach, build: Callable[[LiveExecutor], Any], way: str
    ) -> None:
        server = serve(seeking_approval)
        model = reach(server, input_cost_per_token=0.01, output_cost_per_token=0.01)
        graph = build(LiveExecutor(Pool(models=(model,), tools=(Tool.agent(careful),))))

        def go(given: Any) -> dict[str, Any]:
            return asyncio.run(graph.ainvoke(given, THREAD)) if way == "async" else graph.invoke(given, THREAD)

        assert go({"messages": [("user", "Go?")]})["__interrupt__"][0].value == "may I?"
        message = go(Command(resume="you may"))["messages"][-1]
        assert message.text == "you may"
        assert len(server.bodies) == 2, "what was asked before the interrupt is not asked again"
        (step, _) = message.response_metadata["atlas"]["steps"]
        seen = step["observation"]
        assert seen["model_calls"] == 2, "the call before the interrupt counts, once"
        assert seen["cost_usd"] == pytest.approx(0.01 * sum(seen["usage"].values()))
        assert [trace["output"] for trace in seen["tool_trace"]] == ["you may"]

    def test_streams_the_answer_alone(
        self, serve: Serve, reach: Reach, build: Callable[[LiveExecutor], Any], way: str
    ) -> None:
        server = serve(multiplying)
        made = Tool.agent(multiplier, name="careful")
        graph = build(LiveExecutor(Pool(models=(reach(server, options={"streaming": True}),), tools=(made,))))
        given = {"messages": [("user", "What is 6 times 7?")]}

        async def astreamed() -> list[Any]:
            return [part async for part in graph.astream(given, THREAD, stream_mode="messages")]

        parts = (
            asyncio.run(astreamed()) if way == "async" else list(graph.stream(given, THREAD, stream_mode="messages"))
        )
        texts = [message.text for message, _ in parts if message.text]
        assert "".join(texts) == "It is 42, as 6 times 7 is."
        assert len(texts) > 1, "word by word"
        assert not any(getattr(message, "tool_call_chunks", None) for message, _ in parts)
        assert len({message.id for message, _ in parts if message.text}) == 1
