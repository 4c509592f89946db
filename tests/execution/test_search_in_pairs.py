"""Search within a pair: what it found, and how it failed, reach the model and the trajectory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas import LiveExecutor, Pair, Pool, Query, Tool
from langchain_atlas.testing import call_tool

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_types import Reach, Run, Serve


NOWHERE = "http://127.0.0.1:9/search"
"""A port that nobody listens at."""
FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "a private address": ({"provider": "searxng", "base_url": NOWHERE}, "not a public address"),
    "a server that is down": (
        {"provider": "searxng", "base_url": NOWHERE, "allowed_hosts": ["127.0.0.1"]},
        "can't be reached",
    ),
    "a retriever that raises": ({"retriever": f"{__name__}:broken"}, "retriever: LookupError: no index"),
}


def broken() -> Any:
    from langchain_core.runnables import RunnableLambda

    def look_up(query: str) -> Any:
        raise LookupError("no index")

    return RunnableLambda(look_up)


def searching(body: dict[str, Any]) -> Any:
    """Search first where the tool is on offer, then say what came back."""
    last = body["messages"][-1]
    if "tools" in body and last["role"] == "user":
        return {"content": None, "tool_calls": [call_tool("search", {"query": "ferry"})]}
    return f"I was told: {last['content']}"


@pytest.mark.parametrize("invocation", ["native", "grounded"])
@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_shown_to_the_model_and_kept(
    serve: Serve, reach: Reach, run: Run, kind: str, invocation: str
) -> None:
    arguments, problem = FAILURES[kind]
    pool_tool = Tool(name="web", use="search", arguments=arguments, invocation=invocation)
    pool = Pool(models=(reach(serve(searching)),), tools=(pool_tool,))
    seen = run(LiveExecutor(pool), Pair("small", "web"), Query(text="When is the ferry?"))
    assert problem in (seen.tool_trace[0].error or "")
    assert problem in (seen.answer or "")
    assert seen.error is None, "the model could still answer"


@pytest.mark.parametrize("invocation", ["native", "grounded"])
def test_what_was_found_reaches_the_model(
    serve: Serve, reach: Reach, run: Run, tmp_path: Path, invocation: str
) -> None:
    (tmp_path / "ferries.md").write_text("The ferry leaves at noon.")
    entries = [{"provider": "searxng", "base_url": NOWHERE}, {"folder": str(tmp_path)}]
    pool_tool = Tool(name="web", use="search", arguments={"provider": entries}, invocation=invocation)
    pool = Pool(models=(reach(serve(searching)),), tools=(pool_tool,))
    seen = run(LiveExecutor(pool), Pair("small", "web"), Query(text="When is the ferry?"))
    assert seen.tool_trace[0].output == "[1] ferries.md\nThe ferry leaves at noon."
    assert "[1] ferries.md\nThe ferry leaves at noon." in (seen.answer or "")
