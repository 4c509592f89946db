"""`AtlasNode` in other people's graphs, against a provider on this machine."""

from __future__ import annotations

import asyncio
import json
from operator import add
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel

from langchain_atlas import AtlasNode, ClusterRouter, Decision, LiveExecutor, Pair, Pool, Query, Tool
from langchain_atlas.errors import ConstraintError, InvalidInputError, SettingError
from langchain_atlas.integrations.messages import AtlasContext
from langchain_atlas.testing import Failure, FakeEncoder, ScriptedExecutor, ScriptedRouter, call_tool

if TYPE_CHECKING:
    from fixture_types import Connect, Echo, Invoke, Reach, Serve
    from node_graph import Graph

    from langchain_atlas import OutcomeTable


SUM = {"messages": [HumanMessage("numbers sum add two")]}


class WithRecord(MessagesState):
    atlas: dict[str, Any]


def graph_of(node: AtlasNode, state: type[Any] = MessagesState, **compiled: Any) -> Graph:
    builder = StateGraph(state, context_schema=AtlasContext)
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile(**compiled)


class TestAnswer:
    def test_is_appended_and_carries_the_record(
        self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke
    ) -> None:
        server = serve(echo)
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), connect(server)), WithRecord)
        state = invoke(graph, {"messages": [HumanMessage("hello")]})
        asked, answered = state["messages"]
        assert asked.content == "hello"
        assert isinstance(answered, AIMessage)
        assert answered.content == "small heard hello"
        assert answered.usage_metadata == {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4}
        assert state["atlas"] == answered.response_metadata["atlas"]
        assert state["atlas"]["pair"] == "small@@none"
        assert state["atlas"]["cost_usd"] == pytest.approx(4e-6)
        assert json.loads(json.dumps(state["atlas"])) == state["atlas"]

    def test_goes_into_states_without_a_place_for_the_record(
        self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke
    ) -> None:
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), connect(serve(echo))))
        state = invoke(graph, {"messages": [HumanMessage("hello")]})
        assert set(state) == {"messages"}
        assert state["messages"][-1].response_metadata["atlas"]["answered"]

    def test_comes_from_the_pair_and_binds_its_tools_alone(
        self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke
    ) -> None:
        server = serve(echo)
        graph = graph_of(AtlasNode(ScriptedRouter("large@@calculator"), connect(server)))
        state = invoke(graph, {"messages": [HumanMessage("21?")]})
        assert state["messages"][-1].content == "large heard 42"
        assert {body["model"] for body in server.bodies} == {"large"}
        assert [[entry["function"]["name"] for entry in body["tools"]] for body in server.bodies] == [["double"]] * 2

    def test_takes_history_and_system_messages_along(
        self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke
    ) -> None:
        server = serve(echo)
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), connect(server)))
        messages = [SystemMessage("Be kind."), HumanMessage("one"), AIMessage("two"), HumanMessage("three")]
        invoke(graph, {"messages": messages})
        assert [(message["role"], message["content"]) for message in server.bodies[0]["messages"]] == [
            ("system", "Be kind."),
            ("user", "one"),
            ("assistant", "two"),
            ("user", "three"),
        ]

    def test_takes_images_along(self, serve: Serve, connect: Connect, invoke: Invoke) -> None:
        server = serve("a cat")
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), connect(server)))
        content = [
            {"type": "text", "text": "What is it?"},
            {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"},
        ]
        invoke(graph, {"messages": [HumanMessage(content)]})
        assert server.bodies[0]["messages"][0]["content"] == [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ]

    def test_says_what_failed_where_that_is_asked_for_and_the_graph_goes_on(
        self, serve: Serve, connect: Connect, invoke: Invoke
    ) -> None:
        executor = connect(serve(Failure(401, "who are you?")))
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), executor, on_failure="message"))
        answer = invoke(graph, {"messages": [HumanMessage("hello")]})["messages"][-1]
        assert answer.content.startswith("No answer: every call failed (small@@none: AuthenticationError")
        assert "who are you?" in answer.content
        assert answer.response_metadata["atlas"]["answered"] is False
        assert answer.usage_metadata is None

    def test_comes_from_the_next_model_where_one_fails(
        self, serve: Serve, connect: Connect, invoke: Invoke, outcomes: OutcomeTable
    ) -> None:
        server = serve(lambda body: Failure(400) if body["model"] == "small" else "from the large one")
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        executor = connect(server)
        graph = graph_of(AtlasNode(router.restrict(executor.pool.pairs), executor))
        state = invoke(graph, {"messages": [HumanMessage("numbers sum add two")]})
        assert state["messages"][-1].content == "from the large one"
        steps = state["messages"][-1].response_metadata["atlas"]["steps"]
        assert [step["decision"]["pair"] for step in steps] == ["small@@calculator", "large@@none", None]

    def test_ends_at_the_limit_of_turns(self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke) -> None:
        server = serve(echo)
        router = ScriptedRouter("small@@none", Decision(kind="think", answer="hm"), "large@@none", "small@@none")
        graph = graph_of(AtlasNode(router, connect(server), max_turns=3))
        answer = invoke(graph, {"messages": [HumanMessage("hello")]})["messages"][-1]
        assert answer.content == "large heard hello"
        assert answer.response_metadata["atlas"]["steps"][-1]["decision"]["rule"] == "turn-limit"
        assert len(server.bodies) == 2


class Chat(TypedDict):
    chat: Annotated[list[AnyMessage], add_messages]
    route: dict[str, Any]


class Validated(BaseModel):
    messages: Annotated[list[AnyMessage], add_messages]
    atlas: dict[str, Any] | None = None


class Plain(TypedDict):
    messages: Annotated[list[Any], add]


class TestState:
    def test_may_have_keys_of_its_own(self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke) -> None:
        node = AtlasNode(ScriptedRouter("small@@none"), connect(serve(echo)), messages_key="chat", record_key="route")
        state = invoke(graph_of(node, Chat), {"chat": [HumanMessage("hello")]})
        assert state["chat"][-1].content == "small heard hello"
        assert state["route"]["pair"] == "small@@none"

    def test_may_be_a_pydantic_model(self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke) -> None:
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), connect(serve(echo))), Validated)
        state = invoke(graph, Validated(messages=[HumanMessage("hello")]))
        assert state["messages"][-1].content == "small heard hello"
        assert state["atlas"]["answered"]

    def test_may_hold_plain_dicts(self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke) -> None:
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), connect(serve(echo))), Plain)
        state = invoke(graph, {"messages": [{"role": "user", "content": "hello"}]})
        assert state["messages"][-1].content == "small heard hello"

    def test_needs_messages_where_the_node_looks(self, invoke: Invoke) -> None:
        node = AtlasNode(ScriptedRouter("a@@none"), ScriptedExecutor({}), messages_key="chat")
        with pytest.raises(InvalidInputError, match="no messages under 'chat'; name the right key"):
            invoke(graph_of(node), {"messages": [HumanMessage("hello")]})

    def test_needs_a_human_message(self, invoke: Invoke) -> None:
        node = AtlasNode(ScriptedRouter("a@@none"), ScriptedExecutor({}))
        with pytest.raises(InvalidInputError, match="hold no human message"):
            invoke(graph_of(node), {"messages": [AIMessage("hello")]})


class TestRun:
    """What one run may set, by LangGraph's context or by its config."""

    @pytest.fixture
    def graph(self, outcomes: OutcomeTable) -> Graph:
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        return graph_of(AtlasNode(router, ScriptedExecutor(lambda pair, _: str(pair))))

    def test_sets_nothing_by_default(self, graph: Graph, invoke: Invoke) -> None:
        assert invoke(graph, SUM)["messages"][-1].content == "small@@calculator"

    @pytest.mark.parametrize("context", [AtlasContext(pairs=["large@@none"]), {"pairs": ["large@@none"]}])
    def test_may_name_the_pairs(self, graph: Graph, invoke: Invoke, context: Any) -> None:
        assert invoke(graph, SUM, context=context)["messages"][-1].content == "large@@none"

    def test_reaches_tools_outside_of_a_graph_too(self, serve: Serve, reach: Reach, invoke: Invoke) -> None:
        @tool
        def who(config: RunnableConfig) -> str:
            """Say whose run this is."""
            return f"{config['configurable'].get('user')} {config.get('tags')}"

        def reply(body: dict[str, Any]) -> Any:
            last = body["messages"][-1]
            return last["content"] if last["role"] == "tool" else {"tool_calls": [call_tool("who", {})]}

        executor = LiveExecutor(Pool(models=(reach(serve(reply)),), tools=(Tool(name="who", tools=(who,)),)))
        node = AtlasNode(ScriptedRouter("small@@who"), executor)
        config = {"configurable": {"user": "ann"}, "tags": ["blue"]}
        assert invoke(node, SUM, config=config)["messages"][-1].content == "ann ['blue']"

    def test_may_name_them_in_the_config(self, graph: Graph, invoke: Invoke) -> None:
        config = {"configurable": {"pairs": ["large@@none"]}}
        assert invoke(graph, SUM, config=config)["messages"][-1].content == "large@@none"

    def test_heeds_the_context_before_the_config(self, graph: Graph, invoke: Invoke) -> None:
        config = {"configurable": {"pairs": ["large@@none"], "max_cost_usd": 1.0}}
        context = AtlasContext(pairs=["small@@search"])
        assert invoke(graph, SUM, config=config, context=context)["messages"][-1].content == "small@@search"

    def test_may_weigh_the_cost(self, outcomes: OutcomeTable, invoke: Invoke) -> None:
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        graph = graph_of(AtlasNode(router, ScriptedExecutor(lambda pair, _: str(pair))))
        talk = {"messages": [HumanMessage("hello please say poem to me")]}
        assert invoke(graph, talk)["messages"][-1].content == "large@@none"
        cheap = invoke(graph, talk, context=AtlasContext(cost_weight=1.0))
        assert cheap["messages"][-1].content == "small@@calculator"

    def test_may_cap_the_cost(self, graph: Graph, invoke: Invoke) -> None:
        talk = {"messages": [HumanMessage("hello please say poem to me")]}
        answer = invoke(graph, talk, context=AtlasContext(max_cost_usd=0.003))["messages"][-1]
        assert answer.content in ("small@@calculator", "small@@search")

    def test_that_allows_nothing_is_the_callers_mistake(self, graph: Graph, invoke: Invoke) -> None:
        with pytest.raises(ConstraintError, match="stay within"):
            invoke(graph, SUM, context=AtlasContext(max_cost_usd=1e-9))
        with pytest.raises(ConstraintError, match="huge@@none"):
            invoke(graph, SUM, context=AtlasContext(pairs=["huge@@none"]))
        with pytest.raises(InvalidInputError, match="cost_weight"):
            invoke(graph, SUM, context=AtlasContext(cost_weight=7))


class TestStream:
    def test_of_messages_gives_the_tokens_once(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), connect(serve(echo))), checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        parts = list(graph.stream({"messages": [HumanMessage("hello")]}, config, stream_mode="messages"))
        pieces = [part for part, _ in parts if part.content]
        assert [part.content for part in pieces] == ["small ", "heard ", "hello"]
        assert {metadata["langgraph_node"] for _, metadata in parts} == {"ask"}
        answer = graph.get_state(config).values["messages"][-1]
        assert {part.id for part in pieces} == {answer.id}
        assert answer.usage_metadata == {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4}

    async def test_works_on_an_event_loop(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), connect(serve(echo))))
        stream = graph.astream({"messages": [HumanMessage("hello")]}, stream_mode="messages")
        assert [part.content async for part, _ in stream if part.content] == ["small ", "heard ", "hello"]

    def test_of_messages_gives_an_answer_that_was_not_streamed(self, serve: Serve, connect: Connect) -> None:
        node = AtlasNode(ScriptedRouter("small@@none"), connect(serve(Failure(400))), on_failure="message")
        graph = graph_of(node)
        parts = list(graph.stream({"messages": [HumanMessage("hello")]}, stream_mode="messages"))
        assert [part.content[:10] for part, _ in parts if part.content] == ["No answer:"]

    def test_of_updates_gives_the_answer(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), connect(serve(echo))))
        (update,) = graph.stream({"messages": [HumanMessage("hello")]}, stream_mode="updates")
        assert update["ask"]["messages"][0].content == "small heard hello"


class _Starts(BaseCallbackHandler):
    def __init__(self) -> None:
        self.models = 0

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.models += 1


class TestRunnable:
    """A node is a Runnable like any other, inside a graph or not."""

    def test_works_without_a_graph(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        node = AtlasNode(ScriptedRouter("small@@none"), connect(serve(echo)))
        watcher = _Starts()
        update = node.invoke({"messages": [("user", "hello")]}, {"callbacks": [watcher]})
        assert update["messages"][0].content == "small heard hello"
        assert watcher.models == 1, "the caller's callbacks see the model that the node calls"

    async def test_works_without_a_graph_on_an_event_loop(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        node = AtlasNode(ScriptedRouter("small@@none"), connect(serve(echo)))
        watcher = _Starts()
        update = await node.ainvoke({"messages": [("user", "hello")]}, {"callbacks": [watcher]})
        assert update["messages"][0].content == "small heard hello"
        assert watcher.models == 1

    def test_works_in_a_chain(self) -> None:
        node = AtlasNode(ScriptedRouter("a@@none"), ScriptedExecutor({"a@@none": "ay"}))
        chain = (
            RunnableLambda(lambda text: {"messages": [("user", text)]})
            | node
            | RunnableLambda(lambda update: update["messages"][0].content)
        )
        assert chain.invoke("hello") == "ay"

    def test_takes_settings_bound_to_it(self, outcomes: OutcomeTable) -> None:
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        node = AtlasNode(router, ScriptedExecutor(lambda pair, _: str(pair)))
        bound = node.with_config(configurable={"pairs": ["large@@none"]})
        assert bound.invoke({"messages": [("user", "numbers sum add two")]})["messages"][0].content == "large@@none"

    def test_is_named_in_traces(self) -> None:
        assert AtlasNode(ScriptedRouter("a@@none"), ScriptedExecutor({})).get_name() == "atlas"

    def test_refuses_a_loop_without_turns(self) -> None:
        with pytest.raises(SettingError, match="max_turns is 0"):
            AtlasNode(ScriptedRouter("a@@none"), ScriptedExecutor({}), max_turns=0)


class TestConcurrency:
    async def test_runs_do_not_cross(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        server = serve(echo, delay_s=0.05)
        executor = connect(server)
        graph = graph_of(AtlasNode(ScriptedRouter("small@@none"), executor))
        await asyncio.to_thread(executor.run, Pair("small"), Query(text="hello"))  # loads LiteLLM
        states = await asyncio.gather(*(graph.ainvoke({"messages": [HumanMessage(f"number {n}")]}) for n in range(100)))
        assert [state["messages"][-1].content for state in states] == [f"small heard number {n}" for n in range(100)]
