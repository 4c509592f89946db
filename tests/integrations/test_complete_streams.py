"""A streamed reply is whole once its provider has said why it ended; what breaks after that costs the counts alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from misbehaving import Misbehaving, hang_up

from langchain_atlas import ChatAtlas, LiveExecutor, Model, Pool
from langchain_atlas.errors import BrokenStreamError
from langchain_atlas.testing import ScriptedRouter

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WORD = {"index": 0, "delta": {"role": "assistant", "content": "Madrid"}, "finish_reason": None}
END = {"index": 0, "delta": {}, "finish_reason": "stop"}


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    value = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
    data = b"data: " + json.dumps(value).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def sending(*pieces: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def script(connection: socket.socket, closing: threading.Event) -> None:
        del closing
        for piece in pieces:
            connection.sendall(piece)
        hang_up(connection)

    return script


def counts(**usage: Any) -> bytes:
    return chunk(usage=usage)


AFTER_THE_END = {
    "counts of words": counts(prompt_tokens="some", completion_tokens=None),
    "a list for counts": chunk(usage=[1, 2]),
    "the connection breaks": b"5\r\nda",
    "no JSON": b"8\r\ndata: {\n\r\n",
    "an error": b"1b\r\n" + b'data: {"error": {"a": 1}}\n\n'.ljust(27) + b"\r\n",
}


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Callable[[Misbehaving], ChatAtlas]:
    monkeypatch.setenv("ATLAS_TEST_KEY", "secret")

    def make(server: Misbehaving) -> ChatAtlas:
        options = {"api_base": server.url}
        model = Model(name="small", litellm="openai/small", options=options, api_key_env="ATLAS_TEST_KEY")
        return ChatAtlas(router=ScriptedRouter("small@@none"), executor=LiveExecutor(Pool(models=(model,)), retries=0))

    return make


@pytest.mark.parametrize("what", AFTER_THE_END)
def test_what_breaks_after_the_end_takes_nothing_from_it(chat: Any, what: str) -> None:
    with Misbehaving(sending(HEAD, chunk(WORD), chunk(END), AFTER_THE_END[what])) as server:
        parts = list(chat(server).stream("The capital of Spain?"))
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    assert whole.text == "Madrid"
    assert whole.response_metadata["atlas"]["cost_usd"] is None
    assert whole.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("what", AFTER_THE_END)
async def test_what_breaks_after_the_end_takes_nothing_from_it_on_the_event_loop(chat: Any, what: str) -> None:
    with Misbehaving(sending(HEAD, chunk(WORD), chunk(END), AFTER_THE_END[what])) as server:
        parts = [part.text async for part in chat(server).astream("The capital of Spain?")]
    assert "".join(parts) == "Madrid"


def test_what_breaks_before_the_end_is_an_error(chat: Any) -> None:
    with (
        Misbehaving(sending(HEAD, chunk(WORD), AFTER_THE_END["the connection breaks"])) as server,
        pytest.raises(BrokenStreamError),
    ):
        list(chat(server).stream("The capital of Spain?"))
