"""Tokens are counted once, whoever counts them, and whichever way a chat model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from chatting import WAYS
from langchain_core.callbacks import UsageMetadataCallbackHandler, get_usage_metadata_callback
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.graph import MessagesState, StateGraph

from langchain_atlas import NO_TOOL, AtlasNode, ChatAtlas, LiveExecutor, Pool, Tool
from langchain_atlas.testing import Failure, ScriptedRouter, call_tool
from langchain_atlas.tools.ranking import ChatJudge, RankingTool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.tracers.schemas import Run

    from langchain_atlas import Model
    from langchain_atlas.testing import OpenAIServer

    Serve = Callable[..., OpenAIServer]
    Connect = Callable[..., LiveExecutor]


class First(ScriptedRouter):
    """Takes the first answer, so that it is streamed."""

    takes_first_answer = True


def asking(body: dict[str, Any]) -> Any:
    if "tools" in body and body["messages"][-1]["role"] == "user":
        return {"tool_calls": [call_tool("double", {"number": 21})]}
    return "one two three"


def counted(handler: UsageMetadataCallbackHandler) -> int:
    return sum(usage["total_tokens"] for usage in handler.usage_metadata.values())


def traced(collector: RunCollectorCallbackHandler) -> int:
    """Add up the tokens that stand in the runs, as whoever shows traces does."""

    def runs(run: Run) -> Iterator[Run]:
        yield run
        for child in run.child_runs:
            yield from runs(child)

    total = 0
    for run in (run for root in collector.traced_runs for run in runs(root) if run.run_type == "llm"):
        outputs: Any = run.outputs
        message = outputs["generations"][0][0]["message"]
        usage = message.get("kwargs", message).get("usage_metadata") or {}
        total += usage.get("total_tokens", 0) + ((outputs.get("llm_output") or {}).get("token_usage") or {}).get(
            "total_tokens", 0
        )
    return total


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pair", ["small@@none", "small@@calculator"])
@pytest.mark.parametrize("router", [First, ScriptedRouter])
def test_by_callbacks_and_in_traces(serve: Serve, connect: Connect, way: str, pair: str, router: Any) -> None:
    chat = ChatAtlas(router=router(pair), executor=connect(serve(asking)))
    handler, collector = UsageMetadataCallbackHandler(), RunCollectorCallbackHandler()
    with get_usage_metadata_callback() as found:
        reply = WAYS[way](chat, "hello", {"config": {"callbacks": [handler, collector]}})
    total = reply.usage_metadata["total_tokens"]
    assert total >= 4
    assert (counted(found), counted(handler), traced(collector)) == (total, total, total)
    assert list(found.usage_metadata) == ["openai/small"]
    assert "counted_outside" not in str(reply)


def test_of_a_call_after_others_failed(serve: Serve, connect: Connect) -> None:
    server = serve(lambda body: Failure(400, "no") if body["model"] == "small" else "one two three")
    chat = ChatAtlas(router=ScriptedRouter("small@@none", "large@@none"), executor=connect(server))
    with get_usage_metadata_callback() as found:
        reply = chat.invoke("hello")
    assert reply.usage_metadata is not None
    assert counted(found) == reply.usage_metadata["total_tokens"] == 4
    assert list(found.usage_metadata) == ["openai/large"]


def test_of_the_models_in_a_node_which_is_no_model_itself(serve: Serve, connect: Connect, invoke: Any) -> None:
    builder: Any = StateGraph(MessagesState)
    builder.add_node("atlas", AtlasNode(First("small@@calculator"), connect(serve(asking))))
    builder.add_edge("__start__", "atlas")
    collector = RunCollectorCallbackHandler()
    with get_usage_metadata_callback() as found:
        state = invoke(builder.compile(), {"messages": [("user", "hello")]}, config={"callbacks": [collector]})
    total = state["messages"][-1].usage_metadata["total_tokens"]
    assert counted(found) == total > 4
    assert traced(collector) >= total


def test_of_a_model_that_a_tool_calls_by_itself_or_reports(serve: Serve, reach: Callable[..., Model]) -> None:
    """A tool's model that nobody else counts is heard; one that the tool reports is in the reply's count already."""
    usage = {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42}
    said = AIMessage("7", usage_metadata=usage, response_metadata={"model_name": "helper"})  # type: ignore[arg-type]
    helper = GenericFakeChatModel(messages=iter([said] * 9))

    @tool
    def double(number: int) -> str:
        """Double a number."""
        return helper.invoke(str(number)).text

    judge = GenericFakeChatModel(messages=iter([said.model_copy(update={"content": '{"score": 7}'})] * 9))
    ranking = RankingTool(scorer=ChatJudge(judge))
    tools = (NO_TOOL, Tool(name="helper", tools=(double,)), Tool(name="rank", tools=(ranking,), invocation="ranked"))
    executor = LiveExecutor(Pool(models=(reach(serve(asking)),), tools=tools), retries=0)
    with get_usage_metadata_callback() as found:
        reply = ChatAtlas(router=First("small@@helper"), executor=executor).invoke("hello")
    assert found.usage_metadata["helper"]["total_tokens"] == 42
    assert found.usage_metadata["openai/small"] == reply.usage_metadata
    with get_usage_metadata_callback() as found:
        reply = ChatAtlas(router=First("small@@rank"), executor=executor).invoke("hello")
    assert reply.usage_metadata is not None
    assert counted(found) == reply.usage_metadata["total_tokens"] > 42
