"""The ready graphs, as ``langgraph dev`` serves them: started for real, and talked to with LangGraph's own client."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas.demo import POOL
from langchain_atlas.pool.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
GRAPHS = ["agent", "atlas", "multi_step", "supervisor"]
START_S = 120

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start ``langgraph dev`` on a free port, in a folder of its own, and end it with all its processes."""
    for module in ("langgraph_cli", "langgraph_api", "xllamacpp", "langchain"):
        pytest.importorskip(module, reason="needs the extras 'studio', 'local' and 'agents'")
    folder = tmp_path_factory.mktemp("served")
    (folder / "graphs").symlink_to(ROOT / "graphs")
    (folder / "langgraph.json").write_text((ROOT / "langgraph.json").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = {"LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **names}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and process.poll() is None and not listens(port):
            time.sleep(0.2)
        assert listens(port), (folder / "log").read_text()[-3000:]
        yield f"http://127.0.0.1:{port}"
        assert "BlockingError" not in (folder / "log").read_text(), "nothing blocks the server's event loop"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ask(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def stream(server: str, graph: str, text: str, **settings: Any) -> tuple[list[Any], dict[str, Any]]:
    """Ask a served graph on a thread of its own; return what was streamed, and the thread's state."""
    from langgraph_sdk import get_client

    client = get_client(url=server)
    thread = (await client.threads.create())["thread_id"]
    modes: Any = ["updates", "messages-tuple", "custom"]
    parts = [part async for part in client.runs.stream(thread, graph, input=ask(text), stream_mode=modes, **settings)]
    errors = [part.data for part in parts if part.event == "error"]
    assert errors == []
    return parts, dict(await client.threads.get_state(thread))


def events(parts: list[Any], kind: str) -> list[Any]:
    return [part.data for part in parts if part.event == kind]


async def test_all_graphs_are_served(server: str) -> None:
    from langgraph_sdk import get_client

    client = get_client(url=server)
    assistants = await client.assistants.search()
    assert sorted(one["graph_id"] for one in assistants) == GRAPHS
    drawn = await client.assistants.get_graph("multi_step")
    assert {node["id"] for node in drawn["nodes"]} >= {"decide", "approve", "execute", "answer"}


async def test_the_loop_streams_updates_tokens_and_decisions(server: str) -> None:
    parts, state = await stream(server, "atlas", "Which animal barks?")
    assert [next(iter(update)) for update in events(parts, "updates")] == ["decide", "execute", "answer"]
    decisions = [event["atlas_decision"]["kind"] for event in events(parts, "custom")]
    assert decisions == ["route", "answer"]
    answer = state["values"]["messages"][-1]
    tokens = "".join(message["content"] for message, _ in events(parts, "messages"))
    assert tokens.strip() == answer["content"]
    assert state["next"] == []
    assert answer["response_metadata"]["atlas"] == state["values"]["atlas"]


async def test_the_context_of_a_run_is_heeded(server: str) -> None:
    for pair in ("smollm2-135m@@none", "gemma-3-270m@@none"):
        _, state = await stream(server, "atlas", "Which animal barks?", context={"pairs": [pair]})
        assert state["values"]["atlas"]["pair"] == pair


async def test_a_run_can_be_taken_again_from_before_a_call(server: str) -> None:
    from langgraph_sdk import get_client

    client = get_client(url=server)
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "atlas", input=ask("Which animal barks?"), context={"pairs": ["smollm2-135m@@none"]})
    before = next(old for old in await client.threads.get_history(thread) if old["next"] == ["execute"])
    pending: Any = before["values"]["atlas_next"]  # type: ignore[call-overload]
    decision = {**pending["decision"], "pair": "gemma-3-270m@@none", "rule": "human"}
    fork = await client.threads.update_state(
        thread, {"atlas_next": {**pending, "decision": decision}}, checkpoint=before["checkpoint"]
    )
    values: Any = await client.runs.wait(thread, "atlas", input=None, checkpoint=fork["checkpoint"])
    assert values["atlas"]["pair"] == "gemma-3-270m@@none"
    assert len(values["messages"]) == 2


async def test_runs_side_by_side_do_not_cross(server: str) -> None:
    questions = {f"What is {number} times 3?": str(3 * number) for number in (38, 52, 71, 94)}
    context = {"pairs": ["smollm2-135m@@calculator"]}
    states = await asyncio.gather(*(stream(server, "atlas", question, context=context) for question in questions))
    for (_, state), question in zip(states, questions, strict=True):
        asked, answered = state["values"]["messages"]
        assert asked["content"] == question
        traces = answered["response_metadata"]["atlas"]["steps"][0]["observation"]["tool_trace"]
        assert question.split()[2] in json.dumps(traces), "it worked on its own numbers"


async def test_the_policy_goes_round(server: str) -> None:
    parts, state = await stream(server, "multi_step", "What is 38 times 27?", context={"cost_weight": 0.0})
    steps = state["values"]["atlas"]["steps"]
    assert steps[-1]["decision"]["kind"] == "answer"
    assert 1 <= state["values"]["atlas"]["calls"] <= 4
    updates = [next(iter(update)) for update in events(parts, "updates")]
    assert updates[:3] == ["decide", "approve", "execute"]


async def test_the_supervisor_hands_work_to_both_workers(server: str) -> None:
    from langgraph_sdk import get_client

    client = get_client(url=server)
    thread = (await client.threads.create())["thread_id"]
    pairs = {"pairs": ["smollm2-135m@@none"]}
    values: Any = await client.runs.wait(thread, "supervisor", input=ask("Which animal barks?"), context=pairs)
    cost = values["atlas"]["cost_usd"]
    assert cost > 0
    values = await client.runs.wait(thread, "supervisor", input=ask("What did that cost?"))
    assert values["messages"][-1]["content"] == f"1 answers so far, for ${cost:.6f}."
    assert values["messages"][-1]["name"] == "bookkeeper"


async def test_the_agent_answers_with_a_pair(server: str) -> None:
    _, state = await stream(server, "agent", "Which animal barks?", context={"pairs": ["gemma-3-270m@@none"]})
    assert state["values"]["atlas"]["pair"] == "gemma-3-270m@@none"
    assert state["values"]["messages"][-1]["content"]


def test_the_pool_of_the_graphs_has_the_pairs_that_are_named_here() -> None:
    names = {str(pair) for pair in Pool.load(POOL).pairs}
    assert names >= {"smollm2-135m@@none", "gemma-3-270m@@none", "smollm2-135m@@calculator"}
