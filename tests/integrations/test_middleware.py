"""`AtlasMiddleware` in agents of `create_agent`, against a provider on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel
from standins import HELLO, IMAGE, THREAD, Alternating, approve, offered, seeking_approval, shout

from langchain_atlas import NO_TOOL, Constraints, LiveExecutor, Pair, Pool, Tool
from langchain_atlas.errors import ConstraintError, PoolError, SettingError
from langchain_atlas.integrations.agents.middleware import AtlasMiddleware
from langchain_atlas.integrations.agents.record import AgentRecord
from langchain_atlas.integrations.messages import AtlasContext
from langchain_atlas.testing import ScriptedRouter, call_tool

if TYPE_CHECKING:
    from fixture_types import Connect, Echo, Invoke, Reach, Serve


class TestRequests:
    def test_carry_the_pairs_model_and_exactly_its_tools(
        self, serve: Serve, connect: Connect, echo: Echo, agent: Any, call: Invoke
    ) -> None:
        server = serve(echo)
        middleware = AtlasMiddleware(ScriptedRouter("large@@calculator"), connect(server))
        state = call(agent(server, middleware, tools=[shout]), {"messages": [HumanMessage("21?")]})
        assert [body["model"] for body in server.bodies] == ["large", "large"]
        assert [offered(body) for body in server.bodies] == [["double", "shout"]] * 2
        assert state["messages"][-1].content == "large heard 42"
        assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]

    def test_carry_no_tools_for_a_pair_without_where_none_are_kept(
        self, serve: Serve, connect: Connect, echo: Echo, agent: Any, call: Invoke
    ) -> None:
        server = serve(echo)
        middleware = AtlasMiddleware(ScriptedRouter("small@@none"), connect(server), keep_tools=[])
        state = call(agent(server, middleware, tools=[shout]), HELLO)
        (body,) = server.bodies
        assert body["model"] == "small"
        assert "tools" not in body
        assert state["messages"][-1].content == "small heard hello"

    def test_carry_the_agents_tools_that_are_kept(
        self, serve: Serve, connect: Connect, agent: Any, call: Invoke
    ) -> None:
        server = serve(
            lambda body: (
                "done"
                if body["messages"][-1]["role"] == "tool"
                else {"tool_calls": [call_tool("shout", {"text": "a"})]}
            )
        )
        middleware = AtlasMiddleware(ScriptedRouter("small@@calculator"), connect(server), keep_tools=["shout"])
        state = call(agent(server, middleware, tools=[shout]), HELLO)
        assert [offered(body) for body in server.bodies] == [["double", "shout"]] * 2
        assert server.bodies[1]["messages"][-1]["content"] == "A"
        assert state["messages"][-1].content == "done"

    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ({"type": "web_search"}, "web_search"),
            ({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}, "look"),
        ],
    )
    def test_carry_a_providers_own_tool_that_is_kept(
        self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke, given: dict[str, Any], name: str
    ) -> None:
        server = serve("ok")
        other = {"type": "code_interpreter"}
        middleware = AtlasMiddleware(ScriptedRouter("small@@none"), connect(server), keep_tools=[name])
        invoke(agent(server, middleware, tools=[given, other]), HELLO)
        assert server.bodies[0]["tools"] == [given]

    def test_carry_the_invocations_settings(self, serve: Serve, reach: Reach, agent: Any, invoke: Invoke) -> None:
        server = serve(
            lambda body: (
                "done"
                if body["messages"][-1]["role"] == "tool"
                else {"tool_calls": [call_tool("shout", {"text": "a"})]}
            )
        )
        settings = {"system": "Be loud.", "tool_choice": "shout", "options": {"max_tokens": 7}}
        loud = Tool(name="loud", tools=(shout,), settings=settings)
        executor = LiveExecutor(Pool(models=(reach(server),), tools=(loud,)), retries=0)
        middleware = AtlasMiddleware(ScriptedRouter("small@@loud"), executor)
        invoke(agent(server, middleware, system_prompt="You are ours."), HELLO)
        first, second = server.bodies
        assert first["messages"][0] == {"role": "system", "content": "Be loud.\n\nYou are ours."}
        assert first["tool_choice"] == {"type": "function", "function": {"name": "shout"}}
        assert "tool_choice" not in second
        assert [first["max_tokens"], second["max_tokens"]] == [7, 7]

    def test_of_a_pair_that_is_not_native_are_the_executors(
        self, serve: Serve, reach: Reach, agent: Any, call: Invoke
    ) -> None:
        server = serve(lambda body: f"It said {body['messages'][-1]['content']}")
        loud = Tool(name="loud", tools=(shout,), invocation="grounded", settings={"prompt": "{result}!"})
        executor = LiveExecutor(Pool(models=(reach(server),), tools=(loud,)), retries=0)
        middleware = AtlasMiddleware(ScriptedRouter("small@@loud"), executor)
        state = call(agent(server, middleware, system_prompt="Be kind."), HELLO)
        (body,) = server.bodies
        assert [message["content"] for message in body["messages"]] == ["Be kind.", "HELLO!"]
        assert "tools" not in body
        assert state["messages"][-1].content == "It said HELLO!"
        (step,) = state["atlas"]["steps"]
        assert step["observation"]["tool_trace"][0]["output"] == "HELLO"

    def test_with_images_go_to_models_that_read_them(
        self, serve: Serve, reach: Reach, agent: Any, call: Invoke
    ) -> None:
        server = serve("a cat")
        models = (reach(server, "blind"), reach(server, "seeing", modalities={"text", "image"}))
        middleware = AtlasMiddleware(
            Alternating({"blind@@none": 1, "seeing@@none": 0}), LiveExecutor(Pool(models=models))
        )
        call(agent(server, middleware), {"messages": [HumanMessage([{"type": "text", "text": "What is it?"}, IMAGE])]})
        (body,) = server.bodies
        assert body["model"] == "seeing"
        assert body["messages"][0]["content"][1]["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="

    def test_keep_to_what_the_run_allows(
        self, serve: Serve, connect: Connect, echo: Echo, agent: Any, call: Invoke
    ) -> None:
        server = serve(echo)
        middleware = AtlasMiddleware(Alternating({"small@@none": 1, "large@@none": 1}), connect(server))
        ready = agent(server, middleware, context_schema=AtlasContext)
        call(ready, HELLO, context=AtlasContext(pairs=["large@@none"]))
        call(ready, HELLO, config={"configurable": {"pairs": ["large@@none"]}})
        assert [body["model"] for body in server.bodies] == ["large", "large"]

    def test_for_structured_output_bind_its_schema(
        self, serve: Serve, connect: Connect, agent: Any, invoke: Invoke
    ) -> None:
        class Found(BaseModel):
            """What was found."""

            number: int

        server = serve({"tool_calls": [call_tool("Found", {"number": 4})]})
        middleware = AtlasMiddleware(ScriptedRouter("small@@calculator"), connect(server))
        state = invoke(agent(server, middleware, response_format=Found), HELLO)
        assert state["structured_response"] == Found(number=4)
        assert offered(server.bodies[0]) == ["double", "Found"]
        assert server.bodies[0]["model"] == "small"


class TestTools:
    def test_of_one_name_are_kept_apart(self, serve: Serve, reach: Reach, agent: Any, call: Invoke) -> None:
        def finder(place: str) -> Any:
            @tool
            def find(text: str) -> str:
                """Find a text."""
                return f"{text} in {place}"

            return find

        server = serve(
            lambda body: (
                body["messages"][-1]["content"]
                if body["messages"][-1]["role"] == "tool"
                else {"tool_calls": [call_tool("find", {"text": "it"})]}
            )
        )
        places = tuple(Tool(name=place, tools=(finder(place),)) for place in ("attic", "cellar"))
        executor = LiveExecutor(Pool(models=(reach(server),), tools=places), retries=0)
        for place in ("attic", "cellar"):
            middleware = AtlasMiddleware(ScriptedRouter(f"small@@{place}").restrict(executor.pool.pairs), executor)
            state = call(agent(server, middleware, tools=[finder("nowhere")]), HELLO)
            assert state["messages"][-1].content == f"it in {place}"

    def test_may_interrupt_the_agent(self, serve: Serve, reach: Reach, agent: Any, invoke: Invoke) -> None:
        human = Tool(name="human", tools=(approve,))
        server = serve(seeking_approval)
        executor = LiveExecutor(Pool(models=(reach(server),), tools=(human,)))
        middleware = AtlasMiddleware(ScriptedRouter("small@@human"), executor)
        ready = agent(server, middleware, checkpointer=InMemorySaver())
        paused = invoke(ready, HELLO, config=THREAD)
        assert paused["__interrupt__"][0].value == "may I?"
        state = invoke(ready, Command(resume="you may"), config=THREAD)
        assert state["messages"][-1].content == "you may"


class TestRecord:
    def test_stands_in_the_state_and_in_the_message(
        self, serve: Serve, connect: Connect, echo: Echo, agent: Any, call: Invoke
    ) -> None:
        server = serve(echo)
        middleware = AtlasMiddleware(ScriptedRouter("small@@calculator"), connect(server))
        state = call(agent(server, middleware), HELLO)
        record = AgentRecord.from_json(json.loads(json.dumps(state["atlas"])))
        assert record.pair == Pair("small", "calculator")
        assert record.cause is None
        assert record.kept == "loop"
        assert record.calls == 2
        replies = [message for message in state["messages"] if isinstance(message, AIMessage)]
        tokens = sum(reply.usage_metadata["total_tokens"] for reply in replies if reply.usage_metadata)
        assert record.cost_usd == pytest.approx(tokens * 1e-6)
        assert record.steps[0].decision.reason == "The script says so."
        assert record.steps[0].observation is not None
        assert record.steps[0].observation.answer == "small heard 42"
        assert replies[-1].response_metadata["atlas"] == state["atlas"]
        assert replies[0].response_metadata["atlas"]["kept"] is None

    def test_counts_from_zero_for_the_next_ask(
        self, serve: Serve, connect: Connect, echo: Echo, agent: Any, invoke: Invoke
    ) -> None:
        server = serve(echo)
        middleware = AtlasMiddleware(ScriptedRouter("small@@calculator"), connect(server))
        ready = agent(server, middleware, checkpointer=InMemorySaver())
        assert [invoke(ready, HELLO, config=THREAD)["atlas"]["calls"] for _ in range(2)] == [2, 2]

    def test_that_can_not_be_read_counts_as_none(self) -> None:
        assert AgentRecord.of({"atlas": {"pair": 3}}) == AgentRecord()
        assert AgentRecord.of({"atlas": "?"}) == AgentRecord()


def test_a_query_that_no_pair_can_take_is_told(serve: Serve, connect: Connect, agent: Any, invoke: Invoke) -> None:
    server = serve("mine")
    middleware = AtlasMiddleware(ScriptedRouter("small@@none"), connect(server))
    ready = agent(server, middleware, context_schema=AtlasContext)
    with pytest.raises(ConstraintError, match="None of the pairs small@@none can take this request"):
        invoke(ready, HELLO, context=AtlasContext(pairs=["large@@none"]))
    assert not server.requests


def test_bad_settings_are_refused(serve: Serve, connect: Connect) -> None:
    router, executor = ScriptedRouter("small@@none"), connect(serve("ok"))
    bad: dict[str, Any]
    for bad in ({"pin": "always"}, {"switching_cost": 2}, {"max_turns": 0}, {"keep_tools": "shout"}):
        with pytest.raises(SettingError):
            AtlasMiddleware(router, executor, **bad)
    with pytest.raises(PoolError, match="knows none of the executor's pairs"):
        AtlasMiddleware(ScriptedRouter("other@@none"), executor)


def test_settings_of_a_query_survive() -> None:
    assert Constraints(max_cost_usd=1).replace(pairs=frozenset({Pair("a")})).max_cost_usd == 1
    assert NO_TOOL.name == "none"
