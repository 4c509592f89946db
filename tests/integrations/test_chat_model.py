"""`ChatAtlas` against a provider on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from chatting import WAYS, weather
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig  # noqa: TC002  # the tool's annotation is read
from langchain_core.tools import tool
from langchain_core.tracers import BaseTracer
from langgraph.graph import END, START, MessagesState, StateGraph
from standins import Alternating, offered

from langchain_atlas import ChatAtlas, ClusterRouter, Decision, LiveExecutor, Pair, Pool, Tool
from langchain_atlas.errors import ConstraintError, InvalidInputError, PoolError
from langchain_atlas.testing import FakeEncoder, ScriptedRouter, call_tool

if TYPE_CHECKING:
    from fixture_types import Ask, Connect, Echo, Reach, Serve

    from langchain_atlas import OutcomeTable


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


class TestRequests:
    def test_of_a_pair_without_a_tool_carry_the_conversation(
        self, serve: Serve, connect: Connect, echo: Echo, ask: Ask
    ) -> None:
        server = serve(echo)
        messages = [SystemMessage("Be kind."), HumanMessage("one"), AIMessage("two"), HumanMessage("three")]
        reply = ask(ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(server)), messages)
        assert reply.text == "small heard three"
        (body,) = server.bodies
        assert body["model"] == "small"
        assert "tools" not in body
        assert [message["content"] for message in body["messages"]] == ["Be kind.", "one", "two", "three"]

    def test_of_a_pair_with_a_tool_bind_its_tools_alone(
        self, serve: Serve, connect: Connect, echo: Echo, ask: Ask
    ) -> None:
        server = serve(echo)
        reply = ask(ChatAtlas(router=ScriptedRouter("large@@calculator"), executor=connect(server)), "21?")
        assert reply.text == "large heard 42"
        assert [body["model"] for body in server.bodies] == ["large", "large"]
        assert [offered(body) for body in server.bodies] == [["double"], ["double"]]
        assert reply.response_metadata["atlas"]["steps"][0]["observation"]["tool_trace"][0]["output"] == "42"

    def test_carry_the_callers_tools_and_return_the_calls(self, serve: Serve, connect: Connect, ask: Ask) -> None:
        server = serve({"content": "Let me see.", "tool_calls": [call_tool("weather", {"city": "Oslo"})]})
        model = ChatAtlas(router=ScriptedRouter("large@@none"), executor=connect(server)).bind_tools([weather])
        reply = ask(model, "Oslo?")
        (body,) = server.bodies
        assert (body["model"], offered(body)) == ("large", ["weather"])
        assert "tool_choice" not in body
        assert [(call["name"], call["args"]) for call in reply.tool_calls] == [("weather", {"city": "Oslo"})]
        assert reply.text == "Let me see."
        assert reply.response_metadata["atlas"]["pair"] == "large@@none"

    @pytest.mark.parametrize(
        ("choice", "sent"),
        [
            ("any", "required"),
            ("required", "required"),
            ("auto", "auto"),
            ("weather", {"type": "function", "function": {"name": "weather"}}),
        ],
    )
    def test_carry_the_callers_tool_choice(self, serve: Serve, connect: Connect, choice: str, sent: Any) -> None:
        server = serve("no")
        model = ChatAtlas(router=ScriptedRouter("large@@none"), executor=connect(server))
        model.bind_tools([weather], tool_choice=choice).invoke("Oslo?")
        assert server.bodies[0]["tool_choice"] == sent

    def test_carry_no_choice_where_it_is_false(self, serve: Serve, connect: Connect) -> None:
        server = serve("no")
        model = ChatAtlas(router=ScriptedRouter("large@@none"), executor=connect(server))
        assert model.bind_tools([weather], tool_choice=False).invoke("Oslo?").text == "no"
        assert "tool_choice" not in server.bodies[0]

    def test_after_a_tools_result_carry_it(self, serve: Serve, connect: Connect, ask: Ask) -> None:
        server = serve("sunny")
        called = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Oslo"}, "id": "1"}])
        asked = [HumanMessage("Oslo?"), called, ToolMessage("sun in Oslo", tool_call_id="1")]
        model = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(server))
        assert ask(model.bind_tools([weather]), asked).text == "sunny"
        roles = [message["role"] for message in server.bodies[0]["messages"]]
        assert roles == ["user", "assistant", "tool"]

    def test_carry_the_pairs_options_and_the_callers_over_them(self, serve: Serve, reach: Reach, ask: Ask) -> None:
        server = serve("ok")
        plain = Tool(
            name="none", invocation="none", settings={"system": "Be brief.", "options": {"max_tokens": 5, "seed": 1}}
        )
        executor = LiveExecutor(Pool(models=(reach(server),), tools=(plain,)), retries=0)
        model = ChatAtlas(router=ScriptedRouter("small@@none"), executor=executor, temperature=0.5, max_tokens=9)
        ask(model, "hello", stop=["x"])
        (body,) = server.bodies
        assert (body["max_tokens"], body["seed"], body["temperature"], body["stop"]) == (9, 1, 0.5, ["x"])
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}

    def test_of_tools_carry_the_callers_options_too(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        server = serve(echo)
        model = ChatAtlas(router=ScriptedRouter("small@@calculator"), executor=connect(server), max_tokens=9)
        model.invoke("21?", stop=["x"])
        assert [(body["max_tokens"], body["stop"]) for body in server.bodies] == [(9, ["x"])] * 2

    def test_with_images_go_to_models_that_read_them(self, serve: Serve, reach: Reach, ask: Ask) -> None:
        server = serve("a cat")
        models = (reach(server, "blind"), reach(server, "seeing", modalities={"text", "image"}))
        executor = LiveExecutor(Pool(models=models), retries=0)
        asked = [HumanMessage([{"type": "text", "text": "What is it?"}, IMAGE])]
        assert ask(ChatAtlas(router=ScriptedRouter("seeing@@none"), executor=executor), asked).text == "a cat"
        assert server.bodies[0]["messages"][0]["content"][1] == IMAGE
        # A router that knows no model that is said to see asks the one that it knows.
        assert ask(ChatAtlas(router=ScriptedRouter("blind@@none"), executor=executor), asked).text == "a cat"

    def test_keep_to_what_the_request_allows(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        model = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(echo)))
        assert model.invoke("hello", pairs=["small@@none"], cost_weight=0.3).text == "small heard hello"
        asked = model.router.queries[0]  # type: ignore[attr-defined]
        assert (asked.cost_weight, asked.constraints.pairs) == (0.3, frozenset({Pair("small")}))
        with pytest.raises(ConstraintError):
            model.invoke("hello", pairs=["large@@none"])

    def test_heed_the_config_and_hand_it_on(self, serve: Serve, reach: Reach, ask: Ask) -> None:
        @tool
        def who(config: RunnableConfig) -> str:
            """Say whose run this is."""
            return f"{config['configurable'].get('user')} {config.get('tags')} {config.get('run_name')}"

        def reply(body: dict[str, Any]) -> Any:
            last = body["messages"][-1]
            return last["content"] if last["role"] == "tool" else {"tool_calls": [call_tool("who", {})]}

        server = serve(reply)
        models = (reach(server), reach(server, "large"))
        router = Alternating({"small@@who": 0.5, "large@@who": 0.6})
        chat = ChatAtlas(
            router=router, executor=LiveExecutor(Pool(models=models, tools=(Tool(name="who", tools=(who,)),)))
        )
        config = {"configurable": {"user": "ann", "pairs": ["large@@who"]}, "tags": ["blue"], "run_name": "mine"}
        assert ask(chat, "who?", config=config).text == "ann ['blue'] None"
        assert {body["model"] for body in server.bodies} == {"large"}

    def test_may_name_the_model(
        self, serve: Serve, connect: Connect, echo: Echo, ask: Ask, outcomes: OutcomeTable
    ) -> None:
        executor = connect(serve(echo))
        router = ClusterRouter(FakeEncoder(), n_clusters=3).fit(outcomes)
        reply = ask(ChatAtlas(router=router, executor=executor), "numbers sum add two", model="large")
        assert reply.response_metadata["atlas"]["pair"] == "large@@none"
        with pytest.raises(PoolError, match="huge"):
            ask(ChatAtlas(router=router, executor=executor), "numbers sum add two", model="huge")

    def test_without_messages_are_refused(self, serve: Serve, connect: Connect, ask: Ask) -> None:
        model = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve("ok")))
        with pytest.raises(InvalidInputError, match="no human message"):
            ask(model, [])

    def test_of_other_settings_are_not_answered_from_the_cache(self, serve: Serve, connect: Connect) -> None:
        server = serve(lambda body: f"at {body.get('temperature')}")
        parts: dict[str, Any] = {"router": ScriptedRouter("small@@none"), "executor": connect(server)}
        cache = InMemoryCache()
        said = [ChatAtlas(**parts, temperature=at, cache=cache).invoke("hello").text for at in (0.0, 1.0, 1.0)]
        assert said == ["at 0.0", "at 1.0", "at 1.0"]
        assert len(server.bodies) == 2
        assert ChatAtlas(**parts, temperature=0.0)._get_ls_params()["ls_temperature"] == 0

    def test_with_audio_are_refused(self, serve: Serve, connect: Connect) -> None:
        model = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve("ok")))
        audio = {"type": "audio", "base64": "AA==", "mime_type": "audio/wav"}
        with pytest.raises(InvalidInputError, match="'audio'"):
            model.invoke([HumanMessage([{"type": "text", "text": "What is it?"}, audio])])


class TestReply:
    def test_carries_usage_and_the_record(self, serve: Serve, connect: Connect, echo: Echo, ask: Ask) -> None:
        reply = ask(ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(echo))), "hello")
        assert reply.usage_metadata is not None
        assert [reply.usage_metadata[name] for name in ("input_tokens", "output_tokens", "total_tokens")] == [1, 3, 4]
        record = reply.response_metadata["atlas"]
        assert (record["answered"], record["pair"], record["calls"]) == (True, "small@@none", 1)
        assert record["cost_usd"] == pytest.approx(4e-6)
        assert reply.response_metadata["model_name"] == "openai/small"

    def test_is_streamed_as_it_comes(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(echo)))
        texts = [chunk.text for chunk in chat.stream("hello") if chunk.text]
        assert texts == ["small ", "heard ", "hello"]

    def test_comes_whole_where_the_router_may_ask_again(
        self, serve: Serve, connect: Connect, echo: Echo, ask: Ask
    ) -> None:
        answer = Decision(kind="answer", answer="small heard hello", source=0)
        router = ScriptedRouter("small@@none", "large@@none", answer)
        executor = connect(serve(echo))
        reply = ask(ChatAtlas(router=router, executor=executor), "hello")
        assert reply.text == "small heard hello"
        assert reply.response_metadata["atlas"]["calls"] == 2
        assert reply.usage_metadata is not None
        assert reply.usage_metadata["total_tokens"] == 8, "of both calls"
        chunks = list(ChatAtlas(router=router, executor=executor).stream("hello"))
        assert [chunk.text for chunk in chunks if chunk.text] == ["small heard hello"]

    def test_streams_once_inside_a_graph(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        for pair in ("small@@none", "small@@calculator"):
            chat = ChatAtlas(router=ScriptedRouter(pair), executor=connect(serve(echo)))
            builder = StateGraph(MessagesState)
            builder.add_node("chat", lambda state, chat=chat: {"messages": [chat.invoke(state["messages"])]})
            builder.add_edge(START, "chat")
            builder.add_edge("chat", END)
            events = list(builder.compile().stream({"messages": [("user", "21")]}, stream_mode="messages"))
            said = {"small@@none": "small heard 21", "small@@calculator": "small heard 42"}[pair]
            assert "".join(chunk.text for chunk, _ in events) == said

    @pytest.mark.parametrize("way", WAYS)
    def test_is_traced_with_what_it_is_made_of(self, serve: Serve, connect: Connect, echo: Echo, way: str) -> None:
        traced: list[Any] = []

        class Watch(BaseTracer):
            def _persist_run(self, run: Any) -> None:
                traced.append(run)

        chat = ChatAtlas(router=ScriptedRouter("small@@calculator"), executor=connect(serve(echo)))
        WAYS[way](chat, "21?", {"config": {"callbacks": [Watch()]}})
        (run,) = traced
        assert run.run_type == "llm"
        assert [child.name for child in run.child_runs] == ["atlas.decide", "atlas.execute", "atlas.decide"]
        assert [inner.run_type for inner in run.child_runs[1].child_runs] == ["llm", "tool", "llm"]

    def test_is_traced_where_a_graph_streams_it(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        traced: list[Any] = []

        class Watch(BaseTracer):
            def _persist_run(self, run: Any) -> None:
                traced.append(run)

        chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(echo)))
        builder = StateGraph(MessagesState)
        builder.add_node("chat", lambda state: {"messages": [chat.invoke(state["messages"])]})
        builder.add_edge(START, "chat")
        ask = {"messages": [HumanMessage("hello")]}
        list(builder.compile().stream(ask, {"callbacks": [Watch()]}, stream_mode="messages"))
        (run,) = traced
        (told,) = run.child_runs[0].child_runs
        assert told.name == "ChatAtlas"
        assert [child.run_type for child in told.child_runs] == ["chain", "llm", "chain"]

    @pytest.mark.parametrize("pair", ["small@@none", "small@@calculator"])
    def test_is_counted_once(self, serve: Serve, connect: Connect, echo: Echo, ask: Ask, pair: str) -> None:
        counter = UsageMetadataCallbackHandler()
        chat = ChatAtlas(router=ScriptedRouter(pair), executor=connect(serve(echo)))
        reply = ask(chat, "21?", config={"callbacks": [counter]})
        assert list(counter.usage_metadata.values()) == [reply.usage_metadata]

    def test_goes_on_in_a_chain(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(echo)))
        chain = ChatPromptTemplate.from_messages([("user", "Say {word}")]) | chat | StrOutputParser()
        assert chain.invoke({"word": "hi"}) == "small heard Say hi"

    def test_may_come_from_a_model_that_does_not_stream(self, reach: Reach, serve: Serve, ask: Ask) -> None:
        silent = FakeListChatModel(responses=["all at once"], disable_streaming=True)
        executor = LiveExecutor(Pool(models=(reach(serve("?")),)), chat_models={"small": silent})
        reply = ask(ChatAtlas(router=ScriptedRouter("small@@none"), executor=executor), "hello")
        assert reply.text == "all at once"
        assert reply.usage_metadata is None
        assert reply.response_metadata["atlas"]["cost_usd"] is None

    def test_goes_to_whom_it_is_for(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(echo, delay_s=0.05)))
        asked = [f"number {place}" for place in range(60)]

        async def all_at_once() -> list[AIMessage]:
            return list(await asyncio.gather(*map(chat.ainvoke, asked)))

        expected = [f"small heard {text}" for text in asked]
        assert [reply.text for reply in asyncio.run(all_at_once())] == expected
        assert [reply.text for reply in chat.batch(asked)] == expected
