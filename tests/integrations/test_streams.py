"""What streams of a graph get: the tokens of the answer and no others, and decisions as custom events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from chatting import weather
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from node_graph import node_graph

from langchain_atlas import (
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    Decision,
    LiveExecutor,
    Pair,
    Pool,
    Router,
    Tool,
    create_atlas_graph,
)
from langchain_atlas.errors import BrokenStreamError, SettingError
from langchain_atlas.testing import Broken, Failure, ScriptedRouter
from langchain_atlas.trajectory import START as NOTHING
from langchain_atlas.trajectory import Query, Trajectory, last_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Connect, Echo, Reach, Serve

HELLO = {"messages": [HumanMessage("hello", id="1")]}
FRAGMENT = "half of an answer that never"


class InTurn(Router):
    """Asks small and then large until one answers, or, where it compares, both."""

    def __init__(self, *, compares: bool = False) -> None:
        self.compares = compares

    @property
    def takes_first_answer(self) -> bool:
        return not self.compares

    def decide(self, query: Query, trajectory: Trajectory = NOTHING) -> Decision:  # noqa: ARG002
        seen = trajectory.observations
        if len(seen) == 2 or (seen and not seen[-1].failed and not self.compares):
            first = next((number for number, one in enumerate(seen) if not one.failed), None)
            if self.compares and first is not None:
                return Decision(kind="answer", answer=seen[first].answer, source=first)
            return last_answer(trajectory, rule="", reason="")
        return Decision(kind="route", pair=Pair(("small", "large")[len(seen)]))


def built(name: str, router: Router, executor: Any, agent: Callable[..., Any], server: Any, **settings: Any) -> Any:
    saver = InMemorySaver()
    if name == "graph":
        return create_atlas_graph(router, executor, **settings).compile(checkpointer=saver)
    if name == "middleware":
        return agent(server, AtlasMiddleware(router, executor, **settings), checkpointer=saver)
    node = AtlasNode(router, executor, durable=name == "durable", **settings)
    return node_graph(node).compile(checkpointer=saver)


def streamed(graph: Any, way: str, mode: str = "messages") -> list[Any]:
    config: Any = {"configurable": {"thread_id": "1"}}

    async def collect() -> list[Any]:
        return [part async for part in graph.astream(HELLO, config, stream_mode=mode)]

    return asyncio.run(collect()) if way == "async" else list(graph.stream(HELLO, config, stream_mode=mode))


def texts(parts: list[Any]) -> list[str]:
    return [part.text for part, _ in parts if part.text]


NODES = pytest.mark.parametrize("name", ["node", "durable", "graph"])
ALL = pytest.mark.parametrize("name", ["node", "durable", "graph", "middleware"])
WAYS = pytest.mark.parametrize("way", ["sync", "async"])


class TestTokens:
    @ALL
    @WAYS
    def test_of_an_answer_come_piece_by_piece(
        self, serve: Serve, connect: Connect, echo: Echo, agent: Any, name: str, way: str
    ) -> None:
        server = serve(echo)
        graph = built(name, InTurn(), connect(server), agent, server)
        assert texts(streamed(graph, way)) == ["small ", "heard ", "hello"]

    @NODES
    @WAYS
    def test_of_an_answer_that_is_discarded_are_not_streamed(
        self, serve: Serve, connect: Connect, echo: Echo, agent: Any, name: str, way: str
    ) -> None:
        server = serve(echo)
        graph = built(name, InTurn(compares=True), connect(server), agent, server)
        parts = streamed(graph, way)
        assert texts(parts) == ["small heard hello"]
        assert len(server.bodies) == 2
        config: Any = {"configurable": {"thread_id": "1"}}
        assert {part.id for part, _ in parts} == {graph.get_state(config).values["messages"][-1].id}

    @ALL
    @WAYS
    def test_of_a_call_that_breaks_off_are_not_streamed(
        self, serve: Serve, connect: Connect, agent: Any, name: str, way: str
    ) -> None:
        server = serve(lambda body: Broken(FRAGMENT) if body["model"] == "small" else "from the large one")
        graph = built(name, InTurn(), connect(server), agent, server)
        assert "".join(texts(streamed(graph, way))) == "from the large one"

    @ALL
    def test_of_a_call_that_hangs_in_its_midst_are_not_streamed(
        self, serve: Serve, connect: Connect, agent: Any, name: str
    ) -> None:
        server = serve(lambda body: Broken("half", pause_s=2.5) if body["model"] == "small" else "from the large one")
        graph = built(name, InTurn(), connect(server, timeout_s=1.0), agent, server)
        assert "".join(texts(streamed(graph, "sync"))) == "from the large one"

    @ALL
    @WAYS
    def test_that_have_been_streamed_are_not_followed_by_anothers(
        self, serve: Serve, connect: Connect, agent: Any, name: str, way: str
    ) -> None:
        server = serve(lambda body: Broken(FRAGMENT, pause_s=0.02) if body["model"] == "small" else "from the large")
        graph = built(name, InTurn(), connect(server), agent, server, hold_back_s=0.0)
        with pytest.raises(BrokenStreamError, match="The reply broke off"):
            streamed(graph, way)
        assert len(server.bodies) == 1

    @ALL
    def test_may_be_held_back_until_the_reply_is_whole(
        self, serve: Serve, connect: Connect, agent: Any, name: str
    ) -> None:
        server = serve(lambda body: Broken(FRAGMENT, pause_s=0.2) if body["model"] == "small" else "from the large one")
        graph = built(name, InTurn(), connect(server), agent, server, hold_back_s=None)
        assert "".join(texts(streamed(graph, "sync"))) == "from the large one"

    @NODES
    def test_before_a_tools_call_are_not_the_answer(
        self, serve: Serve, connect: Connect, echo: Echo, agent: Any, name: str
    ) -> None:
        server = serve(echo)
        graph = built(name, ScriptedRouter("small@@calculator"), connect(server), agent, server)
        assert texts(streamed(graph, "sync")) == ["small ", "heard ", "42"]

    @NODES
    def test_of_a_tools_own_model_are_not_the_answer(
        self, serve: Serve, reach: Reach, connect: Connect, echo: Echo, agent: Any, name: str
    ) -> None:
        server = serve(echo)
        inner = connect(server).chat_model("large")

        def look_up(query: str) -> str:
            """Look something up."""
            return str(inner.invoke(query).text)

        pool = Pool(models=(reach(server),), tools=(Tool(name="look", tools=(look_up,), invocation="grounded"),))
        graph = built(name, ScriptedRouter("small@@look"), LiveExecutor(pool), agent, server)
        assert "".join(texts(streamed(graph, "sync"))).startswith("small heard large heard hello")

    @NODES
    def test_of_an_answer_written_as_a_call_are_not_the_answer(
        self, serve: Serve, reach: Reach, agent: Any, name: str
    ) -> None:
        calls = iter(['{"tool": "weather", "arguments": {"city": "Oslo"}}', "sun it is"])
        server = serve(lambda _: next(calls))
        tool = Tool(name="sky", tools=(weather,), invocation="prompted", settings={"tool_choice": "auto"})
        executor = LiveExecutor(Pool(models=(reach(server),), tools=(tool,)))
        graph = built(name, ScriptedRouter("small@@sky"), executor, agent, server)
        assert "".join(texts(streamed(graph, "sync"))) == "sun it is"

    def test_of_the_agents_own_model_are_streamed(self, serve: Serve, connect: Connect, agent: Any) -> None:
        server = serve(lambda body: "from my own" if body["model"] == "own" else Broken(FRAGMENT))
        graph = built("middleware", InTurn(), connect(server), agent, server)
        assert texts(streamed(graph, "sync")) == ["from ", "my ", "own"]

    @pytest.mark.parametrize("seconds", [-1, "soon", True, float("nan")])
    def test_are_not_held_back_for_no_time_at_all(self, serve: Serve, connect: Connect, seconds: Any) -> None:
        executor = connect(serve("x"))
        for build in (AtlasNode, create_atlas_graph, AtlasMiddleware):
            with pytest.raises(SettingError, match="hold_back_s is"):
                build(ScriptedRouter("small@@none"), executor, hold_back_s=seconds)


class TestDecisions:
    @ALL
    @WAYS
    def test_are_custom_events(self, serve: Serve, connect: Connect, agent: Any, name: str, way: str) -> None:
        server = serve(lambda body: Failure(400) if body["model"] == "small" else "from the large one")
        graph = built(name, InTurn(), connect(server), agent, server)
        decisions = [Decision.from_json(event["atlas_decision"]) for event in streamed(graph, way, "custom")]
        assert [str(one.pair) for one in decisions if one.pair] == ["small@@none", "large@@none"]

    @WAYS
    def test_of_a_chat_model_in_a_graph_are_custom_events(
        self, serve: Serve, connect: Connect, echo: Echo, way: str
    ) -> None:
        chat = ChatAtlas(router=InTurn(), executor=connect(serve(echo)))

        async def aanswer(state: MessagesState) -> Any:
            return {"messages": [await chat.ainvoke(state["messages"])]}

        def answer(state: MessagesState) -> Any:
            return {"messages": [chat.invoke(state["messages"])]}

        builder = StateGraph(MessagesState)
        builder.add_node("chat", aanswer if way == "async" else answer)
        builder.add_edge(START, "chat")
        builder.add_edge("chat", END)
        events = streamed(builder.compile(), way, "custom")
        assert [event["atlas_decision"]["kind"] for event in events] == ["route", "answer"]

    @pytest.mark.parametrize("streaming", [False, True])
    def test_of_a_chat_model_are_custom_events_of_langchain_too(
        self, serve: Serve, connect: Connect, echo: Echo, streaming: bool
    ) -> None:
        chat = ChatAtlas(router=InTurn(), executor=connect(serve(echo)), disable_streaming=not streaming)

        async def collect() -> list[Any]:
            return [event async for event in chat.astream_events("hello", version="v2")]

        events = [event for event in asyncio.run(collect()) if event["event"] == "on_custom_event"]
        assert [(event["name"], event["data"]["kind"]) for event in events] == [
            ("atlas_decision", "route"),
            ("atlas_decision", "answer"),
        ]
