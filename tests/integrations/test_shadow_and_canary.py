"""Shadow and canary routers inside of the integrations: answers are those of the live router, and trials go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from node_graph import node_graph
from provider import reach, serve

from langchain_atlas import (
    AtlasChain,
    AtlasMiddleware,
    AtlasNode,
    Canary,
    ChatAtlas,
    LiveExecutor,
    Pair,
    Pool,
    ShadowRouter,
    create_atlas_graph,
)
from langchain_atlas.testing import ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from langchain_atlas import Model, Query, Router
    from langchain_atlas.testing import OpenAIServer

__all__ = ["reach", "serve"]

SMALL, LARGE = "small@@none", "large@@none"


def text_of(output: Any) -> str:
    message = output["messages"][-1] if isinstance(output, dict) else output
    return str(message.text)


class OfThePool(ScriptedRouter):
    """Follows its script, and knows both pairs, as routers do that were fitted on one pool."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return (Pair("small"), Pair("large"))


INTEGRATIONS: dict[str, Callable[[Router, LiveExecutor], Any]] = {
    "node": lambda router, executor: node_graph(AtlasNode(router, executor)).compile(checkpointer=InMemorySaver()),
    "durable node": lambda router, executor: node_graph(AtlasNode(router, executor, durable=True)).compile(
        checkpointer=InMemorySaver()
    ),
    "graph": lambda router, executor: create_atlas_graph(router, executor).compile(checkpointer=InMemorySaver()),
    "chat model": lambda router, executor: ChatAtlas(router=router, executor=executor),
    "chain": AtlasChain,
    "middleware": lambda router, executor: create_agent(
        executor.chat_model("small"), middleware=[AtlasMiddleware(router, executor)], checkpointer=InMemorySaver()
    ),
}


@pytest.fixture
def executor(serve: Callable[..., OpenAIServer], reach: Callable[..., Model]) -> LiveExecutor:
    server = serve(lambda body: f"from {body['model']}")
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    return LiveExecutor(Pool(models=(reach(server, "small", **prices), reach(server, "large", **prices))), retries=0)


def asked(app: Any, integration: str, thread: str) -> str:
    config = {"configurable": {"thread_id": thread}}
    message = [HumanMessage("Why?")]
    given: Any = message if integration in ("chat model", "chain") else {"messages": message}
    return text_of(app.invoke(given, config))


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_a_shadow_answers_as_the_live_router_and_compares(integration: str, executor: LiveExecutor) -> None:
    def check(_: Query, first: str, second: str) -> str:
        assert {first, second} == {"from small", "from large"}
        return "first" if first == "from large" else "second"

    live, candidate = OfThePool(SMALL), OfThePool(LARGE)
    with ShadowRouter(live, candidate, executor=executor, check=check, share=1.0, max_cost=1.0) as router:
        app = INTEGRATIONS[integration](router, executor)
        assert asked(app, integration, "t") == "from small"
        assert router.wait()
        report = router.report()
    assert (report.queries, report.decided, report.agreed, report.failed) == (1, 1, 0, 0)
    if integration != "middleware":  # it ends with the first reply, and the router is not asked again
        assert (report.compared, report.mean) == (1, 1.0)
        assert report.spent_usd > 0


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_a_canary_keeps_threads_together(integration: str, executor: LiveExecutor) -> None:
    router = Canary(ScriptedRouter(SMALL), ScriptedRouter(LARGE), share=0.5)
    app = INTEGRATIONS[integration](router, executor)
    drawn = [{asked(app, integration, f"t{thread}") for _ in range(2)} for thread in range(8)]
    assert all(len(answers) == 1 for answers in drawn)
    assert set.union(*drawn) == {"from small", "from large"}
    for thread in range(8):
        router.record(key=f"t{thread}", score=1.0)
    assert router.report().recorded_candidate == sum(answers == {"from large"} for answers in drawn)
