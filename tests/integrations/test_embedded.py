"""The integrations with the demo's router on the embedded models: real models, real tools."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent

from langchain_atlas import (
    AtlasChain,
    AtlasMiddleware,
    ChatAtlas,
    ClusterRouter,
    LiveExecutor,
    OutcomeTable,
    Pool,
    demo,
)
from langchain_atlas.local import MODELS, installed_models, shutdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_atlas import Router

pytestmark = pytest.mark.slow

SUM = "What is 67 times 74 minus 28.09?"
RIGHT = "4929.91"


@pytest.fixture(scope="module")
def executor() -> Iterator[LiveExecutor]:
    if importlib.util.find_spec("xllamacpp") is None or installed_models() != list(MODELS):
        pytest.skip("the embedded models are not installed: pip install 'langchain-atlas[local]'")
    yield LiveExecutor(Pool.load(demo.POOL))
    shutdown()


@pytest.fixture(scope="module")
def router() -> Router:
    outcomes = OutcomeTable.load(demo.OUTCOMES)
    seen, _ = demo.split(outcomes.query_ids)
    return ClusterRouter(guard=0.0).fit(outcomes.select(query_ids=seen))


def calculated(record: dict[str, Any]) -> bool:
    return str(record["pair"]).endswith("@@calculator")


def test_a_chat_model(router: Router, executor: LiveExecutor) -> None:
    chat = ChatAtlas(router=router, executor=executor)
    for reply in (chat.invoke(SUM), asyncio.run(chat.ainvoke(SUM))):
        assert reply.text == RIGHT
        assert calculated(reply.response_metadata["atlas"])
    chunks = list(chat.stream("Say hello to Kim."))
    assert "".join(chunk.text for chunk in chunks)
    assert chunks[-1].response_metadata["atlas"]["pair"].endswith("@@none")


def test_an_agent(router: Router, executor: LiveExecutor) -> None:
    agent = create_agent(executor.chat_model("smollm2-135m"), middleware=[AtlasMiddleware(router, executor)])
    for state in (
        agent.invoke({"messages": [("user", SUM)]}),
        asyncio.run(agent.ainvoke({"messages": [("user", SUM)]})),
    ):
        assert state["messages"][-1].text == RIGHT
        assert calculated(state["atlas"])
        assert state["atlas"]["cause"] is None


def test_chains(router: Router, executor: LiveExecutor) -> None:
    seen = (router | executor).invoke(SUM)
    assert seen.answer == RIGHT
    assert seen.pair.tool == "calculator"
    assert AtlasChain(router, executor).invoke(SUM).text == RIGHT
