"""A cached reply of a chat model is given again for the same decision alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langgraph.graph import MessagesState, StateGraph
from recorded import kinds_of_query

from langchain_atlas import (
    NO_TOOL,
    AtlasContext,
    ChatAtlas,
    ClusterRouter,
    LiveExecutor,
    Pair,
    Pool,
    Router,
    Tool,
)
from langchain_atlas.routers.lazy import LazyRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.saved.state_digest import state_digest
from langchain_atlas.testing import FakeEncoder, ScriptedRouter
from langchain_atlas.trajectory import START, Decision, Query, Trajectory, last_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_atlas import Model
    from langchain_atlas.testing import OpenAIServer

    Serve = Callable[..., OpenAIServer]
    Connect = Callable[..., LiveExecutor]

SMALL, LARGE = Pair("small"), Pair("large")


@pytest.fixture(autouse=True)
def cache() -> Iterator[InMemoryCache]:
    """Have LangChain keep replies while a test runs."""
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


@dataclass(eq=False)
class Frugal(Router):
    """Takes the small model where money counts, and else the large one."""

    threshold: float = 0.5

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        if trajectory.observations:
            return last_answer(trajectory, rule="frugal", reason="")
        limits = query.constraints
        tight = (query.cost_weight or 0) > self.threshold or limits.max_cost_usd == 0 or limits.pairs == {SMALL}
        return Decision(kind="route", pair=SMALL if tight else LARGE)


def model(chat: Any, *asked: Any, **settings: Any) -> str:
    return str(chat.invoke(*(asked or ("hello",)), **settings).text).partition(" ")[0]


def test_the_same_request_is_answered_from_it(serve: Serve, connect: Connect, echo: Any) -> None:
    server = serve(echo)
    chat = ChatAtlas(router=Frugal(), executor=connect(server))
    again = ChatAtlas(router=Frugal(), executor=chat.executor)
    texts = {chat.invoke("hello").text, chat.invoke("hello").text, again.invoke("hello").text}
    texts.add(asyncio.run(again.ainvoke("hello")).text)
    assert texts == {"large heard hello"}
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "settings",
    [{"cost_weight": 0.9}, {"max_cost_usd": 0.0}, {"pairs": ["small@@none"]}],
    ids=lambda settings: next(iter(settings)),
)
def test_limits_and_weights_of_a_run_are_told_apart(serve: Serve, connect: Connect, echo: Any, settings: Any) -> None:
    chat = ChatAtlas(router=Frugal(), executor=connect(serve(echo)))
    assert model(chat) == "large"
    assert model(chat, "hello", {"configurable": settings}) == "small"
    assert model(chat, "hello", **settings) == "small"
    assert model(chat, "hello", {"configurable": {"thread_id": "7"}}) == "large"

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [chat.invoke(state["messages"])]}

    async def anode(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await chat.ainvoke(state["messages"])]}

    for chatting in (node, anode):
        builder: Any = StateGraph(MessagesState, context_schema=AtlasContext)
        builder.add_node("chat", chatting)
        builder.add_edge("__start__", "chat")
        graph, ask = builder.compile(), {"messages": [("user", "hi")]}
        for given, text in (({}, "large heard hi"), (settings, "small heard hi")):
            context = AtlasContext(**given)
            sync = chatting is node
            state = graph.invoke(ask, context=context) if sync else asyncio.run(graph.ainvoke(ask, context=context))
            assert state["messages"][-1].text == text


def test_routers_are_told_apart_by_what_they_decide_by(serve: Serve, connect: Connect, echo: Any) -> None:
    executor = connect(serve(echo))
    assert model(ChatAtlas(router=ScriptedRouter(SMALL), executor=executor)) == "small"
    assert model(ChatAtlas(router=ScriptedRouter(LARGE), executor=executor)) == "large"
    assert model(ChatAtlas(router=LazyRouter(lambda: ScriptedRouter(LARGE)), executor=executor)) == "large"
    router = Frugal(threshold=0.5)
    assert model(ChatAtlas(router=router, executor=executor), cost_weight=0.7) == "small"
    router.threshold = 0.8
    assert model(ChatAtlas(router=router, executor=executor), cost_weight=0.7) == "large"


def test_pools_and_settings_of_the_chat_model_are_told_apart(
    serve: Serve, reach: Callable[..., Model], connect: Connect, echo: Any
) -> None:
    server = serve(lambda body: f"{body.get('temperature')} {body.get('seed')} {body['messages'][0]['content']}")
    other = serve("from elsewhere")

    def chat(server: Any = server, options: Any = None, tools: Any = (NO_TOOL,), **settings: Any) -> Any:
        pool = Pool(models=(reach(server, options=options or {}),), tools=tools)
        return ChatAtlas(router=ScriptedRouter(SMALL), executor=LiveExecutor(pool), **settings)

    told = (NO_TOOL.replace(settings={"system": "Be brief."}),)
    texts = [
        chat().invoke("hello").text,
        chat(temperature=0.5).invoke("hello").text,
        chat(options={"seed": 7}).invoke("hello").text,
        chat(tools=told).invoke("hello").text,
        chat(other).invoke("hello").text,
    ]
    assert texts == ["None None hello", "0.5 None hello", "None 7 hello", "None None Be brief.", "from elsewhere"]
    assert chat().invoke("hello").text == texts[0]


def test_two_servers_of_one_model_are_told_apart_by_the_models_own_cache(
    serve: Serve, reach: Callable[..., Model]
) -> None:
    texts = []
    for said in ("here", "there"):
        executor = LiveExecutor(Pool(models=(reach(serve(said)),)))
        texts.append(executor.chat_model("small").invoke("hello").text)
    assert texts == ["here", "there"]


@pytest.mark.parametrize("kind", [ClusterRouter, KNNRouter])
def test_the_digest_of_a_fitted_router_changes_with_its_fit_and_its_settings_alone(kind: Any) -> None:
    table = kinds_of_query()
    router = kind(FakeEncoder()).fit(table)
    digest = state_digest(router)
    for number in range(3):
        router.decide(Query(text=f"question {number}"))
        asyncio.run(router.adecide(Query(text=f"question {number}")))
    assert state_digest(router) == state_digest(kind(FakeEncoder()).fit(table)) == digest
    assert state_digest(LazyRouter(lambda: router)) == digest
    assert state_digest(router.configure(cost_weight=0.9)) != digest
    assert state_digest(router.restrict(router.pairs[:2])) != digest
    assert state_digest(router.fit(table.select(pairs=router.pairs[:2]))) != digest


def test_the_digest_tells_functions_apart_and_takes_what_holds_itself() -> None:
    def adding(amount: int) -> Any:
        return lambda number: number + amount

    assert state_digest(adding(1)) == state_digest(adding(1)) != state_digest(adding(2))
    assert state_digest(len) == state_digest(len) != state_digest(print)
    value: list[Any] = []
    value.append(value)
    assert state_digest(value) == state_digest(value)
    assert state_digest(object()) != state_digest(object())
    assert state_digest(Tool(name="a", use="calculator")) != state_digest(Tool(name="a", use="python"))
