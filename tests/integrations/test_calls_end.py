"""When a run is cancelled or its time is up, no call is left running, whichever integration made it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import misbehaving
import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from misbehaving import Misbehaving
from test_shared_limits import Priced, node_graph

from langchain_atlas import (
    AtlasChain,
    AtlasContext,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    Limits,
    LiveExecutor,
    Model,
    Pool,
    create_atlas_graph,
)
from langchain_atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixture_types import Serve

ASK = {"messages": [HumanMessage("hello", id="ask")]}


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving(misbehaving.drip) as dripping:
        yield dripping


@pytest.fixture
def executor(server: Misbehaving, serve: Serve) -> LiveExecutor:
    warm = serve("hello")  # LiteLLM imports some of itself with the first call, which takes its time

    def at(url: str) -> LiveExecutor:
        options = {"api_base": url}
        model = Model(name="small", litellm="openai/small", options=options, api_key_env="ATLAS_TEST_KEY")
        return LiveExecutor(Pool(models=(model,)), timeout_s=60)

    AtlasChain(Priced(small=0.1), at(warm.url)).invoke("hello")
    return at(server.url)


def by_node(executor: LiveExecutor) -> Any:
    return node_graph(AtlasNode(Priced(small=0.1), executor)), ASK


def by_graph(executor: LiveExecutor) -> Any:
    return create_atlas_graph(Priced(small=0.1), executor).compile(), ASK


def by_chat(executor: LiveExecutor) -> Any:
    return ChatAtlas(router=Priced(small=0.1), executor=executor), ASK["messages"]


def by_agent(executor: LiveExecutor) -> Any:
    middleware = AtlasMiddleware(Priced(small=0.1), executor)
    agent = create_agent(executor.chat_model("small"), middleware=[middleware], context_schema=AtlasContext)
    return agent, ASK


def by_chain(executor: LiveExecutor) -> Any:
    return AtlasChain(Priced(small=0.1), executor), "hello"


WAYS = [by_node, by_graph, by_chat, by_agent, by_chain]


@pytest.mark.parametrize("way", WAYS)
class TestCallInFlight:
    @pytest.mark.parametrize("streamed", [False, True])
    def test_ends_with_a_cancelled_run(
        self, way: Callable[..., Any], executor: LiveExecutor, server: Misbehaving, *, streamed: bool
    ) -> None:
        runnable, given = way(executor)

        async def drain() -> None:
            async for _ in runnable.astream(given):
                pass

        async def cancel() -> None:
            task = asyncio.create_task(drain() if streamed else runnable.ainvoke(given))
            for _ in range(500):
                if server.connections:
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.hung_up.wait, 3), "the provider is no longer waited for"

        asyncio.run(cancel())
        assert server.connections == 1

    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_ends_when_the_time_of_the_run_is_up(
        self, way: Callable[..., Any], executor: LiveExecutor, server: Misbehaving, how: str
    ) -> None:
        runnable, given = way(executor)
        settings: Any = {"config": {"configurable": {"max_latency_s": 0.6}}}
        before = time.monotonic()
        with pytest.raises(AtlasError):
            if how == "sync":
                runnable.invoke(given, **settings)
            else:
                asyncio.run(runnable.ainvoke(given, **settings))
        assert time.monotonic() - before < 5
        assert server.hung_up.wait(3)
        assert server.connections == 1


@pytest.mark.parametrize("way", [AtlasChain])
def test_seconds_that_limits_leave_are_a_deadline(way: Any, executor: LiveExecutor, server: Misbehaving) -> None:
    chain = way(Priced(small=0.1), executor, limits=Limits(day_s=0.6))
    before = time.monotonic()
    with pytest.raises(AtlasError):
        chain.invoke("hello")
    assert time.monotonic() - before < 5
    assert server.hung_up.wait(3)
