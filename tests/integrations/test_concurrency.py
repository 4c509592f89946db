"""200 tasks ask at a time: every answer gets to who asked. How fast that is, is a benchmark's business."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from node_graph import node_graph
from recorded import kinds_of_query

from langchain_atlas import NO_TOOL, AtlasNode, ClusterRouter, LiveExecutor, Pool, create_atlas_graph
from langchain_atlas.testing import FakeEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import Model
    from langchain_atlas.testing import OpenAIServer

TASKS = 200


def with_node(router: ClusterRouter, executor: LiveExecutor) -> Any:
    return node_graph(AtlasNode(router, executor), "atlas").compile()


def with_graph(router: ClusterRouter, executor: LiveExecutor) -> Any:
    return create_atlas_graph(router, executor).compile()


@pytest.mark.slow
@pytest.mark.parametrize("build", [with_node, with_graph])
def test_no_answer_is_lost_or_crossed(
    serve: Callable[..., OpenAIServer], reach: Callable[..., Model], build: Callable[..., Any]
) -> None:
    server = serve(lambda body: f"{body['model']} heard {body['messages'][-1]['content']}", delay_s=0.05)
    executor = LiveExecutor(Pool(models=(reach(server, "small"), reach(server, "large")), tools=(NO_TOOL,)), retries=0)
    learned = ClusterRouter(FakeEncoder(), n_clusters=3).fit(kinds_of_query())
    graph = build(learned.restrict([pair for pair in learned.pairs if pair.tool == "none"]), executor)

    async def ask_all() -> list[Any]:
        texts = [f"who wrote token {number:04d}?" for number in range(TASKS)]
        return await asyncio.gather(*(graph.ainvoke({"messages": [HumanMessage(text)]}) for text in texts))

    states = asyncio.run(ask_all())
    answers = [state["messages"][-1].text for state in states]
    assert answers == [f"large heard who wrote token {number:04d}?" for number in range(TASKS)]
    assert {state["atlas"]["calls"] for state in states} == {1}
    assert len(server.bodies) == TASKS
