"""An agent is not answered with nothing: a reply without a word is a call that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_atlas.errors import ExecutionError
from langchain_atlas.integrations.agents.middleware import AtlasMiddleware
from langchain_atlas.testing import ScriptedRouter, call_tool

if TYPE_CHECKING:
    from fixture_types import Connect, Invoke, Serve

EMPTY = [{"content": ""}, {"content": None}, {"content": "", "finish_reason": "content_filter"}]
ASK = {"messages": [HumanMessage("Anybody there?")]}


@pytest.mark.parametrize("empty", EMPTY, ids=["empty", "null", "filtered"])
def test_another_pair_is_asked(serve: Serve, connect: Connect, agent: Any, call: Invoke, empty: dict[str, Any]) -> None:
    server = serve(lambda body: empty if body["model"] == "small" else "here")
    middleware = AtlasMiddleware(ScriptedRouter("small@@none", "large@@none"), connect(server), fail_open=False)
    state = call(agent(server, middleware), ASK)
    assert state["messages"][-1].text == "here"
    assert [body["model"] for body in server.bodies] == ["small", "large"]


def test_it_is_said_where_no_pair_says_anything(serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
    server = serve({"content": ""})
    middleware = AtlasMiddleware(ScriptedRouter("small@@none"), connect(server), fail_open=False)
    with pytest.raises(ExecutionError, match=r"small@@none: EmptyAnswer"):
        invoke(agent(server, middleware), ASK)


def test_after_a_tools_result_silence_ends_the_loop(serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
    server = serve(
        lambda body: (
            {"content": ""}
            if body["messages"][-1]["role"] == "tool"
            else {"tool_calls": [call_tool("double", {"number": 21})]}
        )
    )
    middleware = AtlasMiddleware(ScriptedRouter("small@@calculator"), connect(server), fail_open=False)
    state = invoke(agent(server, middleware), ASK)
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
