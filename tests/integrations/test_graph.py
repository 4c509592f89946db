"""The loop as a graph, against a provider on this machine."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, interrupt

from langchain_atlas import (
    NO_TOOL,
    ClusterRouter,
    Decision,
    LiveExecutor,
    Pair,
    Pool,
    Query,
    Tool,
    create_atlas_graph,
    solve,
)
from langchain_atlas.errors import InvalidInputError, SettingError
from langchain_atlas.integrations.messages import AtlasContext
from langchain_atlas.testing import (
    Failure,
    FakeEncoder,
    ScriptedExecutor,
    ScriptedRouter,
    call_tool,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fixture_types import Connect, Echo, Invoke, Reach, Serve
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from langchain_atlas import OutcomeTable


HELLO = {"messages": [HumanMessage("hello")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCheckpointSaver[str]]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as sqlite:
        yield sqlite


class TestDrawing:
    def test_shows_the_loop(self) -> None:
        graph = create_atlas_graph(ScriptedRouter("a@@none"), ScriptedExecutor({})).compile()
        assert graph.get_graph().draw_mermaid(with_styles=False).splitlines() == [
            "graph TD;",
            "\t__start__ --> decide;",
            "\tdecide -.-> answer;",
            "\tdecide -. &nbsp;route&nbsp; .-> execute;",
            "\texecute -.-> answer;",
            "\texecute -.-> decide;",
            "\tanswer --> __end__;",
            "\tdecide -. &nbsp;think&nbsp; .-> decide;",
        ]


class TestLoop:
    def test_answers(self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke) -> None:
        server = serve(echo)
        graph = create_atlas_graph(ScriptedRouter("large@@calculator"), connect(server)).compile()
        state = invoke(graph, HELLO)
        asked, answered = state["messages"]
        assert (asked.content, answered.content) == ("hello", "large heard 42")
        assert isinstance(answered, AIMessage)
        assert answered.response_metadata["atlas"] == state["atlas"]
        assert state["atlas"]["pair"] == "large@@calculator"
        assert [step["decision"]["kind"] for step in state["atlas"]["steps"]] == ["route", "answer"]
        assert state["atlas"]["steps"][0]["observation"]["tool_trace"][0]["output"] == "42"
        assert [[entry["function"]["name"] for entry in body["tools"]] for body in server.bodies] == [["double"]] * 2

    def test_goes_round(self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke) -> None:
        server = serve(echo)
        router = ScriptedRouter(
            "small@@none",
            Decision(kind="think", answer="ask the other one"),
            Decision(kind="route", pair="large@@none", input="how are you?"),
        )
        state = invoke(create_atlas_graph(router, connect(server)).compile(), HELLO)
        assert state["messages"][-1].content == "large heard how are you?"
        kinds = [step["decision"]["kind"] for step in state["atlas"]["steps"]]
        assert kinds == ["route", "think", "route", "answer"]
        assert state["atlas"]["calls"] == 2
        assert state["atlas"]["cost_usd"] == pytest.approx(4e-6 + 8e-4)

    def test_does_what_solve_does(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        executor, router = connect(serve(echo)), ScriptedRouter("small@@none", "large@@none")
        steps = create_atlas_graph(router, executor).compile().invoke(HELLO)["atlas"]["steps"]
        solved = solve("hello", router, executor).to_json()["steps"]
        assert [step["decision"] for step in steps] == [step["decision"] for step in solved]
        assert [step["observation"] and step["observation"]["answer"] for step in steps] == [
            "small heard hello",
            "large heard hello",
            None,
        ]

    def test_ends_at_the_limit_of_turns(self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke) -> None:
        server = serve(echo)
        router = ScriptedRouter(*["small@@none", Decision(kind="think", answer="hm")] * 20)
        state = invoke(create_atlas_graph(router, connect(server), max_turns=3).compile(), HELLO)
        assert len(state["atlas"]["steps"]) == 4
        assert state["atlas"]["steps"][-1]["decision"]["rule"] == "turn-limit"
        assert len(server.bodies) == 2

    def test_says_what_failed_where_that_is_asked_for(self, serve: Serve, connect: Connect, invoke: Invoke) -> None:
        executor = connect(serve(Failure(500, "down")))
        state = invoke(
            create_atlas_graph(ScriptedRouter("small@@none"), executor, on_failure="message").compile(), HELLO
        )
        assert state["messages"][-1].content.startswith("No answer: every call failed (small@@none: ")
        assert state["atlas"]["answered"] is False

    def test_takes_dict_messages(self, serve: Serve, connect: Connect, echo: Echo, invoke: Invoke) -> None:
        graph = create_atlas_graph(ScriptedRouter("small@@none"), connect(serve(echo))).compile()
        state = invoke(graph, {"messages": [{"role": "user", "content": "hello"}]})
        assert state["messages"][-1].content == "small heard hello"

    @pytest.mark.parametrize("state", [{"messages": []}, {"messages": [AIMessage("hi")]}])
    def test_needs_a_human_message(self, state: dict[str, Any], invoke: Invoke) -> None:
        graph = create_atlas_graph(ScriptedRouter("a@@none"), ScriptedExecutor({})).compile()
        with pytest.raises(InvalidInputError, match="hold no human message"):
            invoke(graph, state)

    def test_refuses_a_loop_without_turns(self) -> None:
        with pytest.raises(SettingError, match="max_turns is 0"):
            create_atlas_graph(ScriptedRouter("a@@none"), ScriptedExecutor({}), max_turns=0)

    @pytest.mark.parametrize("by", ["context", "config"])
    def test_heeds_what_the_run_sets(self, outcomes: OutcomeTable, invoke: Invoke, by: str) -> None:
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        graph = create_atlas_graph(router, ScriptedExecutor(lambda pair, _: str(pair))).compile()
        asked = {"messages": [HumanMessage("numbers sum add two")]}
        assert invoke(graph, asked)["messages"][-1].content == "small@@calculator"
        wish = {"pairs": ["large@@none", "small@@search"], "cost_weight": 1.0}
        settings: Any = {"context": AtlasContext(**wish)} if by == "context" else {"config": {"configurable": wish}}
        assert invoke(graph, asked, **settings)["messages"][-1].content == "small@@search"


class TestThread:
    def test_starts_afresh_with_every_ask(
        self, serve: Serve, connect: Connect, echo: Echo, saver: BaseCheckpointSaver[str]
    ) -> None:
        server = serve(echo)
        graph = create_atlas_graph(ScriptedRouter("small@@none"), connect(server)).compile(checkpointer=saver)
        graph.invoke(HELLO, THREAD)
        state = graph.invoke({"messages": [HumanMessage("and now?")]}, THREAD)
        assert [message.content for message in state["messages"]] == [
            "hello",
            "small heard hello",
            "and now?",
            "small heard and now?",
        ]
        assert state["atlas"]["calls"] == 1
        assert [message["content"] for message in server.bodies[1]["messages"]] == [
            "hello",
            "small heard hello",
            "and now?",
        ]

    def test_starts_afresh_with_the_same_ask(self, saver: BaseCheckpointSaver[str]) -> None:
        executor = ScriptedExecutor({"a@@none": "ay"})
        graph = create_atlas_graph(ScriptedRouter("a@@none"), executor).compile(checkpointer=saver)
        graph.invoke({"messages": [HumanMessage("hello", id="h")]}, THREAD)
        state = graph.invoke({"messages": [HumanMessage("hello", id="h")]}, THREAD)
        assert len(executor.calls) == 2
        assert state["atlas"]["calls"] == 1

    def test_starts_afresh_after_an_ask_that_was_broken_off(self, saver: BaseCheckpointSaver[str]) -> None:
        def told(pair: Pair, query: Query) -> str:
            if (pair.model, query.text) == ("b", "hello"):
                raise KeyboardInterrupt
            return f"{pair.model} on {query.text}"

        executor = ScriptedExecutor(told)
        graph = create_atlas_graph(ScriptedRouter("a@@none", "b@@none"), executor).compile(checkpointer=saver)
        with pytest.raises(KeyboardInterrupt):
            graph.invoke(HELLO, THREAD)
        state = graph.invoke({"messages": [HumanMessage("and now?")]}, THREAD)
        assert state["messages"][-1].content == "b on and now?"
        assert [str(pair) for pair, _ in executor.calls] == ["a@@none", "b@@none"] * 2
        assert state["atlas"]["calls"] == 2

    def test_is_json_at_every_step(
        self, serve: Serve, connect: Connect, echo: Echo, saver: BaseCheckpointSaver[str]
    ) -> None:
        executor = connect(serve(echo))
        graph = create_atlas_graph(ScriptedRouter("small@@calculator", "large@@none"), executor).compile(
            checkpointer=saver
        )
        graph.invoke(HELLO, THREAD)
        history = list(graph.get_state_history(THREAD))
        assert len(history) == 8
        for snapshot in history:
            plain = {name: value for name, value in snapshot.values.items() if name != "messages"}
            assert json.loads(json.dumps(plain)) == plain

    def test_stops_before_a_call_and_goes_on(
        self, serve: Serve, connect: Connect, echo: Echo, saver: BaseCheckpointSaver[str]
    ) -> None:
        server = serve(echo)
        builder = create_atlas_graph(ScriptedRouter("small@@none"), connect(server))
        graph = builder.compile(checkpointer=saver, interrupt_before=["execute"])
        graph.invoke(HELLO, THREAD)
        assert graph.get_state(THREAD).next == ("execute",)
        assert graph.get_state(THREAD).values["atlas_next"]["decision"]["pair"] == "small@@none"
        assert server.bodies == []
        state = graph.invoke(None, THREAD)
        assert state["messages"][-1].content == "small heard hello"
        assert state["atlas"]["calls"] == 1

    def test_lets_a_human_change_the_route(
        self, serve: Serve, connect: Connect, echo: Echo, saver: BaseCheckpointSaver[str]
    ) -> None:
        server = serve(echo)
        builder = create_atlas_graph(ScriptedRouter("large@@none"), connect(server))
        graph = builder.compile(checkpointer=saver, interrupt_before=["execute"])
        graph.invoke(HELLO, THREAD)
        pending = graph.get_state(THREAD).values["atlas_next"]
        mine = Decision(kind="route", pair="small@@none", rule="human").to_json()
        graph.update_state(THREAD, {"atlas_next": {**pending, "decision": mine}})
        state = graph.invoke(None, THREAD)
        assert state["messages"][-1].content == "small heard hello"
        assert state["atlas"]["steps"][0]["decision"]["rule"] == "human"
        assert {body["model"] for body in server.bodies} == {"small"}

    def test_can_be_run_again_from_before_a_call(
        self, serve: Serve, connect: Connect, echo: Echo, saver: BaseCheckpointSaver[str]
    ) -> None:
        server = serve(echo)
        graph = create_atlas_graph(ScriptedRouter("large@@none"), connect(server)).compile(checkpointer=saver)
        graph.invoke(HELLO, THREAD)
        before = next(old for old in graph.get_state_history(THREAD) if old.next == ("execute",))
        decision = Decision(kind="route", pair="small@@none", rule="human").to_json()
        fork = graph.update_state(before.config, {"atlas_next": {**before.values["atlas_next"], "decision": decision}})
        state = graph.invoke(None, fork)
        assert [message.content for message in state["messages"]] == ["hello", "small heard hello"]
        assert state["atlas"]["calls"] == 1

    def test_waits_for_a_human_inside_a_tool(self, serve: Serve, reach: Reach, saver: BaseCheckpointSaver[str]) -> None:
        def pay(dollars: int) -> str:
            """Pay, if a human agrees."""
            return f"paid {dollars}: {interrupt(f'pay {dollars}?')}"

        def reply(body: dict[str, Any]) -> Any:
            last = body["messages"][-1]
            return last["content"] if last["role"] == "tool" else {"tool_calls": [call_tool("pay", {"dollars": 3})]}

        pool = Pool(models=(reach(serve(reply)),), tools=(NO_TOOL, Tool(name="money", tools=(pay,))))
        builder = create_atlas_graph(ScriptedRouter("small@@money"), LiveExecutor(pool))
        graph = builder.compile(checkpointer=saver)
        assert graph.invoke(HELLO, THREAD)["__interrupt__"][0].value == "pay 3?"
        state = graph.invoke(Command(resume="gladly"), THREAD)
        assert state["messages"][-1].content == "paid 3: gladly"
        assert state["atlas"]["calls"] == 1


class TestStream:
    def test_of_custom_events_gives_the_decisions(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        graph = create_atlas_graph(ScriptedRouter("small@@none"), connect(serve(echo))).compile()
        events = list(graph.stream(HELLO, stream_mode="custom"))
        decisions = [Decision.from_json(event["atlas_decision"]) for event in events]
        assert [str(decision.pair) for decision in decisions] == ["small@@none", "None"]
        assert [decision.kind for decision in decisions] == ["route", "answer"]

    async def test_of_custom_events_works_on_an_event_loop(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        graph = create_atlas_graph(ScriptedRouter("small@@none"), connect(serve(echo))).compile()
        events = [event async for event in graph.astream(HELLO, stream_mode="custom")]
        assert [event["atlas_decision"]["kind"] for event in events] == ["route", "answer"]

    def test_of_updates_gives_the_parts_of_the_loop(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        graph = create_atlas_graph(ScriptedRouter("small@@none"), connect(serve(echo))).compile()
        updates = [next(iter(update)) for update in graph.stream(HELLO, stream_mode="updates")]
        assert updates == ["decide", "execute", "answer"]

    def test_of_updates_gives_a_decision_after_each_call_of_a_router_that_may_go_on(self) -> None:
        executor = ScriptedExecutor({"small@@none": RuntimeError("no"), "large@@none": "yes"})
        graph = create_atlas_graph(ScriptedRouter("small@@none", "large@@none"), executor).compile()
        updates = [next(iter(update)) for update in graph.stream(HELLO, stream_mode="updates")]
        assert updates == ["decide", "execute", "decide", "execute", "decide", "answer"]

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_of_messages_gives_the_answer_once(
        self, serve: Serve, connect: Connect, echo: Echo, asynchronous: bool
    ) -> None:
        builder = create_atlas_graph(ScriptedRouter("small@@none"), connect(serve(echo)))
        graph = builder.compile(checkpointer=InMemorySaver())

        async def collect() -> list[Any]:
            return [part async for part in graph.astream(HELLO, THREAD, stream_mode="messages")]

        parts = asyncio.run(collect()) if asynchronous else list(graph.stream(HELLO, THREAD, stream_mode="messages"))
        pieces = [(part.content, metadata["langgraph_node"]) for part, metadata in parts if part.content]
        assert pieces == [("small ", "execute"), ("heard ", "execute"), ("hello", "execute")]
        assert {part.id for part, _ in parts} == {graph.get_state(THREAD).values["messages"][-1].id}

    def test_of_messages_gives_a_tools_answer_as_a_whole(self, serve: Serve, reach: Reach) -> None:
        def double(number: int) -> int:
            """Double a number."""
            return 2 * number

        call = json.dumps({"tool": "double", "arguments": {"number": 21}})
        tool = Tool(name="math", tools=(double,), invocation="prompted", settings={"answer": "tool"})
        pool = Pool(models=(reach(serve(call)),), tools=(tool,))
        graph = create_atlas_graph(ScriptedRouter("small@@math"), LiveExecutor(pool)).compile()
        parts = list(graph.stream(HELLO, stream_mode="messages"))
        assert [(part.content, metadata["langgraph_node"]) for part, metadata in parts] == [("42", "answer")], (
            "the call that the model wrote as text is not for the user"
        )
