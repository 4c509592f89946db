"""Every integration keeps what the loop promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from node_graph import node_graph

from langchain_atlas import (
    AtlasChain,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    LiveExecutor,
    Router,
    asolve,
    create_atlas_graph,
    solve,
)
from langchain_atlas.integrations.messages import answer_message
from langchain_atlas.messages.user_message import configured, read_ask
from langchain_atlas.testing import IntegrationConformance
from langchain_atlas.testing.integrations import Noted

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig


class TestSolve(IntegrationConformance):
    """The loop itself, as a function of messages."""

    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:
        def run(given: Any, config: RunnableConfig) -> AIMessage:
            query = read_ask(given, configured(config))
            return answer_message(solve(query, router, executor, max_turns=max_turns))

        async def arun(given: Any, config: RunnableConfig) -> AIMessage:
            query = read_ask(given, configured(config))
            return answer_message(await asolve(query, router, executor, max_turns=max_turns))

        return RunnableLambda(run, arun)


class TestNode(IntegrationConformance):
    durable = False

    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:
        node = AtlasNode(router, executor, max_turns=max_turns, durable=self.durable)
        return node_graph(node).compile(checkpointer=InMemorySaver())


class TestDurableNode(TestNode):
    durable = True


class TestGraph(IntegrationConformance):
    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:
        return create_atlas_graph(router, executor, max_turns=max_turns).compile(checkpointer=InMemorySaver())


class TestMiddleware(IntegrationConformance):
    has_own_model = True

    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:
        middleware = AtlasMiddleware(router, executor, max_turns=max_turns)
        noted = executor.chat_model("small").noted  # type: ignore[attr-defined]  # a stand-in's
        assert isinstance(noted, Noted)
        return create_agent(self.own_model(noted), middleware=[middleware], checkpointer=InMemorySaver())


class TestChatModel(IntegrationConformance):
    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:
        return ChatAtlas(router=router, executor=executor, max_turns=max_turns)

    def given(self, messages: list[BaseMessage]) -> Any:
        return messages


class TestChain(IntegrationConformance):
    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:
        return AtlasChain(router, executor, max_turns=max_turns)


class TestPipe(IntegrationConformance):
    asks_once = True
    decides_apart = True

    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:  # noqa: ARG002
        return router | executor
