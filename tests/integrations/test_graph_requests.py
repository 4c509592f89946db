"""The requests that leave the node and the graph, and their state in another process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from node_graph import node_graph

from langchain_atlas import AtlasNode, LiveExecutor, create_atlas_graph
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_types import Connect, Echo, Serve
    from node_graph import Graph


HELLO = {"messages": [HumanMessage("21?", id="h")]}


def graph_of(kind: str, pair: str, executor: LiveExecutor) -> Graph:
    router = ScriptedRouter(pair)
    if kind == "graph":
        return create_atlas_graph(router, executor).compile()
    return node_graph(AtlasNode(router, executor, durable=kind == "durable node")).compile()


def run(graph: Graph, way: str) -> None:
    async def astream() -> list[Any]:
        return [part async for part in graph.astream(HELLO, stream_mode="messages")]

    if way == "sync":
        graph.invoke(HELLO)
    elif way == "async":
        asyncio.run(graph.ainvoke(HELLO))
    elif way == "streamed":
        list(graph.stream(HELLO, stream_mode="messages"))
    else:
        asyncio.run(astream())


@pytest.mark.parametrize("way", ["sync", "async", "streamed", "streamed async"])
@pytest.mark.parametrize("kind", ["node", "durable node", "graph"])
class TestRequests:
    @pytest.mark.parametrize("model", ["small", "large"])
    def test_name_the_pairs_model_and_exactly_its_tools(
        self, serve: Serve, connect: Connect, echo: Echo, kind: str, way: str, model: str
    ) -> None:
        server = serve(echo)
        run(graph_of(kind, f"{model}@@calculator", connect(server)), way)
        assert [body["model"] for body in server.bodies] == [model] * 2
        assert [[tool["function"]["name"] for tool in body["tools"]] for body in server.bodies] == [["double"]] * 2
        assert all(bool(body.get("stream")) is way.startswith("streamed") for body in server.bodies)

    def test_name_no_tools_for_a_pair_without(
        self, serve: Serve, connect: Connect, echo: Echo, kind: str, way: str
    ) -> None:
        server = serve(echo)
        run(graph_of(kind, "large@@none", connect(server)), way)
        (body,) = server.bodies
        assert body["model"] == "large"
        assert "tools" not in body


READ = """
import json, sys
from langgraph.checkpoint.sqlite import SqliteSaver
from langchain_atlas import Trajectory, create_atlas_graph
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

thread = {"configurable": {"thread_id": "1"}}
with SqliteSaver.from_conn_string(sys.argv[1]) as saver:
    executor = ScriptedExecutor(lambda pair, query: f"{pair.model} there")
    builder = create_atlas_graph(ScriptedRouter("a@@none", "b@@none"), executor)
    graph = builder.compile(checkpointer=saver, interrupt_before=["execute"])
    waiting = graph.get_state(thread)
    steps = len(Trajectory.from_json({"steps": waiting.values["atlas"]["steps"]}).steps)
    state = graph.invoke(None, thread)
    print(json.dumps([waiting.next, steps, state["messages"][-1].content, len(executor.calls), state["atlas"]]))
"""


def test_a_run_is_loaded_and_gone_on_with_in_another_process(tmp_path: Path) -> None:
    thread: Any = {"configurable": {"thread_id": "1"}}
    path = str(tmp_path / "threads.sqlite")
    with SqliteSaver.from_conn_string(path) as saver:
        executor = ScriptedExecutor(lambda pair, _: f"{pair.model} here")
        builder = create_atlas_graph(ScriptedRouter("a@@none", "b@@none"), executor)
        graph = builder.compile(checkpointer=saver, interrupt_before=["execute"])
        graph.invoke(HELLO, thread)
        graph.invoke(None, thread)
        values = dict(graph.get_state(thread).values)
        del values["messages"]
        assert json.loads(json.dumps(values)) == values
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    waiting, steps, answer, calls, record = json.loads(done.stdout.splitlines()[-1])
    assert (waiting, steps, answer, calls) == (["execute"], 1, "b there", 1)
    assert [step["observation"] and step["observation"]["answer"] for step in record["steps"]] == [
        "a here",
        "b there",
        None,
    ]
