"""Tracing as users turn it on: by environment variables, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from traced import PRIVATE

from langchain_atlas.testing import TraceServer

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = """
import sys
from langchain_core.messages import HumanMessage
from langchain_core.tracers.langchain import wait_for_all_tracers
from langsmith.run_trees import get_cached_client
from langchain_atlas import create_atlas_graph
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

executor = ScriptedExecutor({"small@@none": "42"})
graph = create_atlas_graph(ScriptedRouter("small@@none"), executor).compile()
print(graph.invoke({"messages": [HumanMessage(sys.argv[1])]})["messages"][-1].content)
wait_for_all_tracers()
if "otel" in sys.argv:
    from opentelemetry import trace

    trace.get_tracer_provider().force_flush()
"""


@pytest.fixture
def run() -> Callable[..., TraceServer]:
    """Run the program with some variables set, and return the server that they name."""

    def run(*arguments: str, **variables: str) -> TraceServer:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH", "OTEL"))}
        with TraceServer() as server:
            told = {"LANGSMITH_ENDPOINT": server.url, "LANGSMITH_API_KEY": "any", "LANGSMITH_PROJECT": "tests"}
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, PRIVATE, *arguments],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
                env={**clean, **told, **variables},
            )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "42"
        return server

    return run


@pytest.mark.slow
def test_off_sends_nothing(run: Callable[..., TraceServer]) -> None:
    assert run().bodies == []
    assert run(LANGSMITH_TRACING="false").bodies == []


@pytest.mark.slow
def test_on_sends_runs(run: Callable[..., TraceServer]) -> None:
    server = run(LANGSMITH_TRACING="true")
    assert [item.metadata["atlas_kind"] for item in server.named("atlas.decide")] == ["route", "answer"]
    assert server.named("atlas.decide")[0].inputs["query"] == PRIVATE


@pytest.mark.slow
def test_langsmiths_own_switches_leave_tags_and_metadata(run: Callable[..., TraceServer]) -> None:
    server = run(LANGSMITH_TRACING="true", LANGSMITH_HIDE_INPUTS="true", LANGSMITH_HIDE_OUTPUTS="true")
    assert b"Lovelace" not in b"".join(server.bodies)
    decision = server.named("atlas.decide")[0]
    assert (decision.inputs, decision.outputs) == ({}, {})
    assert decision.metadata["atlas_pair"] == "small@@none"
    assert "pair:small@@none" in decision.tags


@pytest.mark.slow
def test_opentelemetry_gets_spans(run: Callable[..., TraceServer]) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra 'otel'")
    server = run("otel", LANGSMITH_TRACING="true", LANGSMITH_TRACING_MODE="otel")
    assert server.runs == []
    spans = {span.id: span for span in server.spans}
    first = next(span for span in server.spans if span.attributes.get("langsmith.metadata.atlas_kind") == "route")
    assert first.name == "atlas.decide"
    assert first.attributes["langsmith.metadata.atlas_pair"] == "small@@none"
    assert "pair:small@@none" in str(first.attributes["langsmith.span.tags"])
    root = first
    while root.parent_id in spans:
        root = spans[root.parent_id]
    assert root.name == "LangGraph"
    assert [span.name for span in server.spans].count("atlas.execute") == 1
