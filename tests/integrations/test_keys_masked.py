"""A provider that repeats the key it refuses: the key is seen nowhere, whichever integration asks."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from chatting import WAYS
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState, StateGraph

from langchain_atlas import (
    NO_TOOL,
    AtlasChain,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    LiveExecutor,
    Pair,
    Pool,
    Tool,
    create_atlas_graph,
)
from langchain_atlas.errors import AtlasError, ExecutionError
from langchain_atlas.routers.prompted.router import PromptedRouter
from langchain_atlas.testing import Failure, OpenAIServer, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.tracers.schemas import Run

    from langchain_atlas import Model

KEY = "q7Zx9/Lm4+Rw2hush"
SAID = f"Incorrect API key provided: {KEY}. You can find yours at https://example.org/keys?api_key={KEY}"
ASK: dict[str, Any] = {"messages": [("user", "hello")]}


@pytest.fixture
def executor(
    serve: Callable[..., OpenAIServer], reach: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> LiveExecutor:
    """Reach a provider that refuses every key, and says which; the key's variable does not say that it holds one."""
    monkeypatch.setenv("OUR_ACCOUNT", KEY)
    server = serve(Failure(401, SAID, {"www-authenticate": f"Bearer {KEY}"}))
    tool = Tool(name="calculator", use="calculator")
    return LiveExecutor(Pool(models=(reach(server, api_key_env="OUR_ACCOUNT"),), tools=(NO_TOOL, tool)), retries=0)


class Own(GenericFakeChatModel):
    """The agent's own model."""

    def bind_tools(self, *_: Any, **__: Any) -> Any:
        return self


def seen_by_tracers(collector: RunCollectorCallbackHandler) -> str:
    def runs(run: Run) -> Iterator[Run]:
        yield run
        for child in run.child_runs:
            yield from runs(child)

    return " ".join(str(run.model_dump()) for root in collector.traced_runs for run in runs(root))


def told(error: BaseException | None) -> str:
    """Return all that an error says, its chained ones and their fields too."""
    if error is None:
        return ""
    lines = "".join(traceback.format_exception(error))
    return f"{lines} {error!r} {vars(error)} {told(error.__cause__)} {told(error.__context__)}"


@pytest.fixture(params=["small@@none", "small@@calculator"])
def pair(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("way", WAYS)
def test_by_a_chat_model(executor: LiveExecutor, pair: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="langchain_atlas")
    collector = RunCollectorCallbackHandler()
    chat = ChatAtlas(router=ScriptedRouter(pair), executor=executor)
    with pytest.raises(ExecutionError, match=r"AuthenticationError.*provided: \*\*\*") as caught:
        WAYS[way](chat, "hello", {"config": {"callbacks": [collector]}})
    for place in (told(caught.value), seen_by_tracers(collector), caplog.text, repr(chat), str(chat.model_dump())):
        assert "hush" not in place


def test_by_the_models_themselves(executor: LiveExecutor) -> None:
    collector = RunCollectorCallbackHandler()
    chat_model: Any = executor.chat_model("small")
    import litellm

    with pytest.raises(litellm.AuthenticationError) as caught:
        chat_model.invoke("hello", {"callbacks": [collector]})
    assert caught.value.status_code == 401
    with pytest.raises(litellm.AuthenticationError) as streamed:
        list(chat_model.stream("hello", {"callbacks": [collector]}))
    places = [told(caught.value), told(streamed.value), seen_by_tracers(collector), repr(chat_model)]
    dumped = [str(chat_model.model_dump()), str(chat_model._identifying_params)]
    assert not any("hush" in place for place in [*places, *dumped])
    assert chat_model.api_key == KEY  # which is what it calls with


@pytest.mark.parametrize("integration", ["node", "graph"])
def test_by_graphs_and_what_they_keep(executor: LiveExecutor, invoke: Any, integration: str, pair: str) -> None:
    router = ScriptedRouter(pair)
    if integration == "node":
        builder: Any = StateGraph(MessagesState).add_node("atlas", AtlasNode(router, executor))
        builder.add_edge("__start__", "atlas")
    else:
        builder = create_atlas_graph(router, executor)
    saver, collector = InMemorySaver(), RunCollectorCallbackHandler()
    graph = builder.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "1"}, "callbacks": [collector]}
    try:
        said = str(invoke(graph, ASK, config=config))
    except AtlasError as error:  # should it end so
        said = told(error)
    kept = [str(kept) for kept in saver.list({"configurable": {"thread_id": "1"}})]
    assert "AuthenticationError" in said
    assert not any("hush" in place for place in [said, *kept, seen_by_tracers(collector)])


def test_by_a_chain(executor: LiveExecutor) -> None:
    with pytest.raises(ExecutionError, match=r"provided: \*\*\*") as caught:
        AtlasChain(ScriptedRouter("small@@none"), executor).invoke("hello")
    with pytest.raises(ExecutionError, match=r"provided: \*\*\*") as raised:
        (ScriptedRouter("small@@none") | executor).invoke("hello")
    assert "hush" not in told(caught.value) + told(raised.value)


def test_by_an_executor_that_raises(executor: LiveExecutor) -> None:
    raising = LiveExecutor(executor.pool, retries=0, raise_errors=True)
    for run in (raising.run, lambda pair, query: asyncio.run(raising.arun(pair, query))):
        from langchain_atlas import Query

        with pytest.raises(ExecutionError) as caught:
            run(Pair("small"), Query(text="hello"))
        assert type(caught.value.__cause__).__name__ == "AuthenticationError"
        assert "hush" not in told(caught.value)


def test_by_the_middleware_its_state_its_messages_and_its_log(
    executor: LiveExecutor, invoke: Any, pair: str, caplog: pytest.LogCaptureFixture
) -> None:
    collector, saver = RunCollectorCallbackHandler(), InMemorySaver()
    own = Own(messages=iter([AIMessage("my own words")]))
    agent = create_agent(own, middleware=[AtlasMiddleware(ScriptedRouter(pair), executor)], checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "1"}, "callbacks": [collector]}
    state = invoke(agent, ASK, config=config)
    assert "provided: ***" in state["atlas"]["cause"]
    assert "provided: ***" in caplog.text
    assert "hush" not in json.dumps(state["atlas"]) + str(state["messages"]) + caplog.text
    kept = " ".join(str(kept) for kept in saver.list({"configurable": {"thread_id": "1"}}))
    assert "hush" not in kept + seen_by_tracers(collector)


def test_by_a_router_that_asks_a_model(executor: LiveExecutor, caplog: pytest.LogCaptureFixture) -> None:
    router = PromptedRouter(executor.chat_model("small"), executor.pool)
    collector = RunCollectorCallbackHandler()
    with pytest.raises(Exception, match=r"provided: \*\*\*") as caught:
        ChatAtlas(router=router, executor=executor).invoke("hello", {"callbacks": [collector]})
    assert "hush" not in told(caught.value) + seen_by_tracers(collector)
    standing_in = ChatAtlas(router=router, executor=executor, on_router_error="small@@none")
    with pytest.raises(ExecutionError) as caught:
        standing_in.invoke("hello")
    assert "small@@none stands in for it" in caplog.text
    assert "hush" not in told(caught.value) + caplog.text


def test_by_a_chat_model_of_the_users_own_with_a_key_that_no_variable_holds(
    executor: LiveExecutor, serve: Callable[..., OpenAIServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OUR_ACCOUNT")
    from langchain_litellm import ChatLiteLLM
    from pydantic import SecretStr

    class Own(ChatLiteLLM):
        account: SecretStr = SecretStr("w3-another-hush")

    other = serve(Failure(401, f"no: w3-another-hush, {KEY[::-1]}-hush"))
    own = Own(model="openai/m", api_base=other.url, api_key=f"{KEY[::-1]}-hush", max_retries=0)
    alone = LiveExecutor(executor.pool, chat_models={"small": own})
    with pytest.raises(ExecutionError, match=r"no: \*\*\*, \*\*\*") as caught:
        ChatAtlas(router=ScriptedRouter("small@@none"), executor=alone).invoke("hello")
    assert "hush" not in told(caught.value)


def test_by_a_key_that_was_replaced_since(executor: LiveExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    executor.chat_model("small")
    monkeypatch.setenv("OUR_ACCOUNT", "something else")
    with pytest.raises(ExecutionError, match=r"provided: \*\*\*"):
        ChatAtlas(router=ScriptedRouter("small@@none"), executor=executor).invoke("hello")
