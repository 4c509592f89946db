"""Whose tools an agent's model calls carry: the chosen pair's, the agent's, those of other middlewares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from standins import HELLO, Alternating, approve, offered, shout

from langchain_atlas import NO_TOOL, LiveExecutor, Pool, Tool
from langchain_atlas.execution.models.chat_models import build_chat_model
from langchain_atlas.integrations.agents.middleware import AtlasMiddleware
from langchain_atlas.testing import call_tool

if TYPE_CHECKING:
    from fixture_types import Connect, Reach, Serve


class Asking(AgentMiddleware[Any, Any, Any]):
    """A middleware that brings a tool of its own."""

    tools = (approve,)


WEB = {"type": "web_search"}


def names(body: dict[str, Any]) -> set[str]:
    return {tool.get("function", tool).get("name", tool["type"]) for tool in body.get("tools", [])}


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ({}, {"shout", "approve", "web_search"}),
        ({"keep_tools": "all"}, {"shout", "approve", "web_search"}),
        ({"keep_tools": ["approve"]}, {"approve"}),
        ({"keep_tools": []}, set()),
    ],
)
@pytest.mark.parametrize(("pair", "bound"), [("small@@none", set()), ("large@@calculator", {"double"})])
def test_tools_of_the_agent_and_of_other_middlewares_are_kept(
    serve: Serve, connect: Connect, reach: Reach, pair: str, bound: set[str], keep: dict[str, Any], kept: set[str]
) -> None:
    server = serve("ok")
    worth = {name: float(name == pair) for name in (pair, "small@@calculator")}
    middleware = AtlasMiddleware(Alternating(worth), connect(server), **keep)
    own = build_chat_model(reach(server, "own"), timeout_s=10, retries=0)
    create_agent(own, middleware=[Asking(), middleware], tools=[shout, WEB]).invoke(HELLO)
    (body,) = server.bodies
    assert body["model"] == pair.split("@@", maxsplit=1)[0]
    assert names(body) == bound | kept


def test_a_tool_of_another_middleware_is_run(serve: Serve, connect: Connect, reach: Reach) -> None:
    def reply(body: dict[str, Any]) -> Any:
        last = body["messages"][-1]
        return (
            f"heard {last['content']}"
            if last["role"] == "tool"
            else {"tool_calls": [call_tool("shout", {"text": "a"})]}
        )

    class Shouting(AgentMiddleware[Any, Any, Any]):
        tools = (shout,)

    server = serve(reply)
    own = build_chat_model(reach(server, "own"), timeout_s=10, retries=0)
    middleware = AtlasMiddleware(Alternating({"small@@calculator": 1}), connect(server))
    state = create_agent(own, middleware=[middleware, Shouting()]).invoke(HELLO)
    assert state["messages"][-1].text == "heard A"


def test_pairs_that_can_not_carry_them_are_passed_over(serve: Serve, reach: Reach) -> None:
    server = serve("ok")
    loud = Tool(name="loud", tools=(shout,), invocation="grounded", settings={"prompt": "{result}!"})
    executor = LiveExecutor(Pool(models=(reach(server),), tools=(NO_TOOL, loud)), retries=0)
    router = Alternating({"small@@loud": 1, "small@@none": 0})
    own = build_chat_model(reach(server, "own"), timeout_s=10, retries=0)
    state = create_agent(own, middleware=[AtlasMiddleware(router, executor)], tools=[approve]).invoke(HELLO)
    assert state["atlas"]["pair"] == "small@@none"
    assert [offered(body) for body in server.bodies] == [["approve"]]
    grounded = AtlasMiddleware(router, executor, keep_tools=[])
    router.asked = 0
    state = create_agent(own, middleware=[grounded], tools=[approve]).invoke(HELLO)
    assert state["atlas"]["pair"] == "small@@loud"
