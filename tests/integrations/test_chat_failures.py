"""Structured output of `ChatAtlas`, and what it does when something fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from chatting import WAYS, joined, weather
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command
from pydantic import BaseModel
from standins import Broken, approve, offered, seeking_approval
from typing_extensions import TypedDict

from langchain_atlas import ChatAtlas, ClusterRouter, LiveExecutor, Pool, Tool
from langchain_atlas.errors import ExecutionError, SettingError
from langchain_atlas.loop.turns import BrokenStreamError
from langchain_atlas.testing import Failure, FakeEncoder, ScriptedRouter, call_tool

if TYPE_CHECKING:
    from fixture_types import Ask, Connect, Echo, Reach, Serve

    from langchain_atlas import OutcomeTable


class City(BaseModel):
    """A city."""

    name: str
    people: int


class CityDict(TypedDict):
    """A city."""

    name: str
    people: int


class TestStructuredOutput:
    @pytest.mark.parametrize("schema", [City, CityDict, City.model_json_schema()], ids=["model", "dict", "json"])
    @pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
    def test_keeps_to_the_schema(self, serve: Serve, connect: Connect, schema: Any, method: str) -> None:
        told = {"name": "Oslo", "people": 7}
        name = "CityDict" if schema is CityDict else "City"
        server = serve(
            {"tool_calls": [call_tool(name, told)]} if method == "function_calling" else '{"name": "Oslo", "people": 7}'
        )
        chat = ChatAtlas(router=ScriptedRouter("large@@none"), executor=connect(server))
        found = chat.with_structured_output(schema, method=method).invoke("Oslo?")
        assert found == (City(**told) if schema is City else told)
        (body,) = server.bodies
        assert body["model"] == "large"
        if method == "function_calling":
            assert offered(body) == [name]
            assert body["tool_choice"]["function"]["name"] == name
        else:
            form = {"json_schema": "json_schema", "json_mode": "json_object"}[method]
            assert body["response_format"]["type"] == form

    def test_gives_what_can_not_be_parsed(self, serve: Serve, connect: Connect) -> None:
        chat = ChatAtlas(router=ScriptedRouter("large@@none"), executor=connect(serve("no idea")))
        found = chat.with_structured_output(City, include_raw=True).invoke("Oslo?")
        assert found["raw"].text == "no idea"
        assert found["parsed"] is None
        assert "no idea" in str(found["parsing_error"])

    def test_of_another_kind_is_refused(self, serve: Serve, connect: Connect) -> None:
        chat = ChatAtlas(router=ScriptedRouter("large@@none"), executor=connect(serve("ok")))
        with pytest.raises(SettingError, match="'json_schema'"):
            chat.with_structured_output(City, method="json")
        with pytest.raises(SettingError, match="needs a schema"):
            chat.with_structured_output()


class TestFailure:
    def test_of_a_model_leads_to_the_routers_next_choice(
        self, serve: Serve, connect: Connect, ask: Ask, outcomes: OutcomeTable
    ) -> None:
        server = serve(lambda body: Failure(400) if body["model"] == "small" else "from the large one")
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        for chat in (ChatAtlas(router=router, executor=connect(server)),):
            reply = ask(chat, "numbers sum add two")
            assert reply.text == "from the large one"
            assert reply.usage_metadata is not None, "of the calls that replied"
            assert [step["decision"]["pair"] for step in reply.response_metadata["atlas"]["steps"]] == [
                "small@@calculator",
                "large@@none",
                None,
            ]
            assert ask(chat.bind_tools([weather]), "numbers sum add two").text == "from the large one"

    @pytest.mark.parametrize("streams", [False, True])
    def test_to_say_anything_leads_to_the_routers_next_choice(
        self, serve: Serve, connect: Connect, ask: Ask, streams: bool
    ) -> None:
        class Eager(ScriptedRouter):
            takes_first_answer = streams

        server = serve(lambda body: "" if body["model"] == "small" else "from the large one")
        reply = ask(ChatAtlas(router=Eager("small@@none", "large@@none"), executor=connect(server)), "hello")
        assert reply.text == "from the large one"
        assert reply.response_metadata["model_name"] == "openai/large"
        observation = reply.response_metadata["atlas"]["steps"][0]["observation"]
        assert observation["error"] == "EmptyAnswer: the model returned no text."
        assert observation["cost_usd"] is not None

    def test_of_every_model_is_raised(self, serve: Serve, connect: Connect, ask: Ask) -> None:
        chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(Failure(400, "not today"))))
        with pytest.raises(ExecutionError, match=r"No answer: small@@none: BadRequestError.*not today"):
            ask(chat, "hello")
        with pytest.raises(ExecutionError, match="not today"):
            ask(chat.bind_tools([weather]), "hello")

    def test_is_raised_at_once_by_an_executor_that_is_told_to(self, serve: Serve, connect: Connect, ask: Ask) -> None:
        server = serve(lambda body: Failure(400, "not today") if body["model"] == "small" else "from the large one")
        executor = connect(server, raise_errors=True)
        chat = ChatAtlas(router=ScriptedRouter("small@@calculator", "large@@none"), executor=executor)
        with pytest.raises(ExecutionError, match=r"small@@calculator failed: BadRequestError.*not today"):
            ask(chat, "hello")
        assert len(server.bodies) == 1

    def test_to_decide_is_raised_or_made_good(self, serve: Serve, connect: Connect, echo: Echo, ask: Ask) -> None:
        executor = connect(serve(echo))
        with pytest.raises(RuntimeError, match="the encoder is gone"):
            ask(ChatAtlas(router=Broken(), executor=executor), "hello")
        reply = ask(ChatAtlas(router=Broken(), executor=executor, on_router_error="small@@none"), "hello")
        assert reply.text == "small heard hello"
        assert "the encoder is gone" in reply.response_metadata["atlas"]["steps"][0]["decision"]["reason"]

    def test_in_the_midst_of_a_stream_is_raised(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        executor = connect(serve(echo))
        chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=executor)

        class Cut(type(executor.chat_model("small"))):  # type: ignore[misc]
            def _stream(self, *arguments: Any, **settings: Any) -> Any:
                for number, chunk in enumerate(super()._stream(*arguments, **settings)):
                    if number == 3:
                        raise ConnectionError("cut, with the key secret")
                    yield chunk

        fields = {**dict(executor.chat_model("small")), "streaming": True}
        executor._chat_models["small"] = Cut(**fields)
        seen = []
        with pytest.raises(BrokenStreamError, match=r"ConnectionError: cut, with the key \*\*\*"):
            seen.extend(chunk.text for chunk in chat.stream("hello"))
        assert "".join(seen).startswith("small ")

    @pytest.mark.parametrize("way", ["invoke", "stream"])
    def test_is_no_interrupt_of_a_graph(self, serve: Serve, reach: Reach, invoke: Any, way: str) -> None:
        human = Tool(name="human", tools=(approve,))
        executor = LiveExecutor(Pool(models=(reach(serve(seeking_approval)),), tools=(human,)))
        chat = ChatAtlas(router=ScriptedRouter("small@@human"), executor=executor)

        def node(state: MessagesState) -> dict[str, Any]:
            return {"messages": [WAYS[way](chat, state["messages"], {})]}

        async def anode(state: MessagesState) -> dict[str, Any]:
            if way == "stream":
                return {"messages": [joined([chunk async for chunk in chat.astream(state["messages"])])]}
            return {"messages": [await chat.ainvoke(state["messages"])]}

        builder = StateGraph(MessagesState)
        builder.add_node("chat", RunnableLambda(node, anode))
        builder.add_edge(START, "chat")
        graph = builder.compile(checkpointer=InMemorySaver())
        thread: Any = {"configurable": {"thread_id": "1"}}
        paused = invoke(graph, {"messages": [("user", "go")]}, config=thread)
        assert paused["__interrupt__"][0].value == "may I?"
        assert invoke(graph, Command(resume="you may"), config=thread)["messages"][-1].text == "you may"

    def test_leads_to_fallbacks_and_retries(self, serve: Serve, connect: Connect) -> None:
        replies = iter([Failure(400), "second time"])
        chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(lambda _: next(replies))))
        assert (
            chat.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke("hello").text == "second time"
        )
        bad = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(Failure(400))))
        good = ChatAtlas(router=ScriptedRouter("large@@none"), executor=connect(serve("instead")))
        assert bad.with_fallbacks([good]).invoke("hello").text == "instead"
