"""Messages hold plain values alone: they are written as JSON, kept in histories, and cached."""

from __future__ import annotations

import datetime as dt
import enum
import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from chatting import WAYS, weather
from langchain.agents import create_agent
from langchain_core.caches import BaseCache
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import Generation
from langchain_core.runnables.history import RunnableWithMessageHistory
from pydantic import BaseModel

from langchain_atlas import AtlasMiddleware, ChatAtlas, LiveExecutor, Pool
from langchain_atlas.execution.models.plain_values import plain, plain_message
from langchain_atlas.testing import ScriptedRouter, call_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import Model
    from langchain_atlas.testing import OpenAIServer

    Serve = Callable[..., OpenAIServer]
    Connect = Callable[..., LiveExecutor]

DETAILS = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
ANNOTATION = {
    "type": "url_citation",
    "url_citation": {"url": "https://x.org", "title": "x", "start_index": 0, "end_index": 1},
}


def replying(body: dict[str, Any]) -> Any:
    if "tools" in body and body["messages"][-1]["role"] == "user":
        return {"content": "One moment.", "tool_calls": [call_tool("weather", {"city": "Oslo"})], "usage": DETAILS}
    known = " ".join(str(message["content"]) for message in body["messages"])
    return {"content": f"heard: {known}", "usage": DETAILS, "annotations": [ANNOTATION], "reasoning_content": "hm"}


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return type(value) is dict and all(type(key) is str and is_plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return type(value) is list and all(map(is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def check(message: Any) -> None:
    beside = [message.additional_kwargs, message.response_metadata, message.tool_calls, message.invalid_tool_calls]
    assert is_plain(beside)
    json.dumps(beside)
    again: Any = loads(dumps(message), allowed_objects="all")
    assert again == message
    assert type(again) is type(message)


@pytest.fixture
def executor(serve: Serve, connect: Connect) -> LiveExecutor:
    return connect(serve(replying))


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pair", ["small@@none", "small@@calculator"])
def test_those_of_a_chat_model_do(executor: LiveExecutor, way: str, pair: str) -> None:
    chat = ChatAtlas(router=ScriptedRouter(pair), executor=executor)
    for runnable in (chat, chat.bind_tools([weather]), executor.chat_model("small").bind_tools([weather])):
        message = WAYS[way](runnable, "hello", {})
        check(message)
        assert message.tool_calls or "heard" in message.text
    assert message.tool_calls[0]["args"] == {"city": "Oslo"}


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_those_in_an_agents_state_do(executor: LiveExecutor, invoke: Any) -> None:
    middleware = AtlasMiddleware(ScriptedRouter("small@@none"), executor, keep_tools=["weather"])
    agent = create_agent(executor.chat_model("large"), tools=[weather], middleware=[middleware])
    state = invoke(agent, {"messages": [HumanMessage("hello")]})
    replies = [message for message in state["messages"] if isinstance(message, AIMessage)]
    assert len(replies) == 2
    for reply in replies:
        check(reply)


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_those_that_a_chat_model_of_the_users_own_gives_do(serve: Serve, reach: Callable[..., Model], way: str) -> None:
    from langchain_litellm import ChatLiteLLM

    server = serve(replying)
    own = ChatLiteLLM(model="openai/m", api_base=server.url, api_key="secret", model_kwargs={"_skip_mcp_handler": True})
    executor = LiveExecutor(Pool(models=(reach(server),)), chat_models={"small": own})
    chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=executor)
    check(WAYS[way](chat.bind_tools([weather]), "hello", {}))


@pytest.mark.filterwarnings("ignore::langchain_core._api.deprecation.LangChainDeprecationWarning")
def test_a_history_remembers_what_was_said(executor: LiveExecutor) -> None:
    histories: dict[str, InMemoryChatMessageHistory] = {}
    chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=executor)
    talk: Any = RunnableWithMessageHistory(
        chat, lambda session: histories.setdefault(session, InMemoryChatMessageHistory())
    )
    session: Any = {"configurable": {"session_id": "1"}}
    talk.invoke("I am Ada.", session)
    assert talk.invoke("Who am I?", session).text == "heard: I am Ada. heard: I am Ada. Who am I?"
    assert [message.type for message in histories["1"].messages] == ["human", "ai", "human", "ai"]


class RowCache(BaseCache):
    """Keeps replies as the text that `dumps` writes, as LangChain's caches in databases do."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect(":memory:", check_same_thread=False)
        self._rows.execute("create table replies (prompt text, llm text, reply text)")

    def lookup(self, prompt: str, llm_string: str) -> Any:
        query = "select reply from replies where prompt = ? and llm = ?"
        rows = self._rows.execute(query, (prompt, llm_string)).fetchall()
        try:
            return [loads(row[0], allowed_objects="all") for row in rows] or None
        except Exception:  # noqa: BLE001  # that is what SQLiteCache does
            return [Generation(text=row[0]) for row in rows]

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        for generation in return_val:
            self._rows.execute("insert into replies values (?, ?, ?)", (prompt, llm_string, dumps(generation)))

    def clear(self, **_: Any) -> None:
        self._rows.execute("delete from replies")


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_cache_in_a_database_gives_the_reply_again(executor: LiveExecutor, way: str) -> None:
    chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=executor, cache=RowCache())
    first, second = (WAYS[way](chat.bind_tools([weather]), "hello", {}) for _ in range(2))
    assert (second.text, second.tool_calls) == (first.text, first.tool_calls)
    assert second.response_metadata == first.response_metadata
    own: Any = executor.chat_model("small").model_copy(update={"cache": RowCache()})
    assert [WAYS[way](own, "hello", {}).text for _ in range(2)] == ["heard: hello"] * 2


class Kind(enum.StrEnum):
    GOOD = "good"


class Extra(BaseModel, extra="allow"):
    number: int
    inner: Any = None


@dataclass
class Point:
    x: Any


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Extra(number=1, inner=Point(2), b=(3,)), {"number": 1, "inner": {"x": 2}, "b": [3]}),
        ({Kind.GOOD: Kind.GOOD, 3: {1}}, {"good": "good", "3": [1]}),
        ([float("nan"), float("-inf"), 10**30, True], [None, None, 10**30, True]),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (b"\x00\x01", "AAE="),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (Point(Point(None)), {"x": {"x": None}}),
    ],
)  # fmt: skip
def test_any_value_has_a_plain_form(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert is_plain(plain(value))


def test_a_value_that_holds_itself_ends() -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    json.dumps(plain(value))


def test_a_message_of_plain_values_is_the_same_object() -> None:
    for message in (AIMessage("hello", response_metadata={"a": [1.5, None]}), AIMessageChunk("hello")):
        assert plain_message(message) is message
