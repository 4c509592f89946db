"""The ways in which a provider fails, by name."""

from __future__ import annotations

import gzip
import threading
import time
from typing import TYPE_CHECKING, Any

from chaos_peer import IDS, USAGE, Gone, Peer, event

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS = ("first", "second", "third")
FINE = "fine"
BOMB_BYTES = 128 * 2**20
ENDLESS_BYTES = 64 * 2**20
"""What an endless body sends at once; the rest drips, so that a caller without limits is seen and the machine lives."""


def healthy(peer: Peer) -> None:
    """Answer."""
    peer.message({"content": peer.request.text})


FAILURES: dict[str, Callable[[Peer], None]] = {FINE: healthy}
"""What can be asked for, by name."""
WITH_TOOLS: set[str] = set()
"""Those that are about tools, so that the pair asked must have one."""


def failure(name: str, *, tools: bool = False) -> Callable[[Callable[[Peer], None]], Callable[[Peer], None]]:
    """Give a failure its name."""

    def named(fail: Callable[[Peer], None]) -> Callable[[Peer], None]:
        FAILURES[name] = fail
        if tools:
            WITH_TOOLS.add(name)
        return fail

    return named


def _call(number: int, arguments: str, call_id: str) -> dict[str, Any]:
    function = {"name": "double", "arguments": arguments}
    return {"index": number, "id": call_id, "type": "function", "function": function}


# Connections


@failure("reset-before-headers")
def _(peer: Peer) -> None:
    peer.reset()


@failure("closed-before-headers")
def _(_: Peer) -> None:
    raise Gone


@failure("reset-after-headers")
def _(peer: Peer) -> None:
    peer.head(content_type="application/json", content_length=5000)
    time.sleep(0.05)
    peer.reset()


@failure("reset-mid-body")
def _(peer: Peer) -> None:
    peer.head(content_type="application/json", content_length=5000)
    peer.send(b'{"id": "x", "choices": [{"index": 0, "message": {"content": "fi')
    time.sleep(0.05)
    peer.reset()


@failure("hang-before-headers")
def _(peer: Peer) -> None:
    peer.hang()


@failure("hang-mid-body")
def _(peer: Peer) -> None:
    peer.head(content_type="application/json", content_length=5000)
    peer.send(b'{"id": "x", "choices": [')
    peer.hang()


@failure("drip-body")
def _(peer: Peer) -> None:
    peer.head(content_type="application/json", content_length=5000)
    peer.drip(b" ")


@failure("drip-headers")
def _(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nx-slow: ")
    peer.drip(b"y")


@failure("drip-stream")
def _(peer: Peer) -> None:
    peer.head(content_type="text/event-stream", transfer_encoding="chunked")
    peer.drip(b"8\r\n: wait\n\n\r\n")


@failure("endless-100-continue")
def _(peer: Peer) -> None:
    peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n", 0.02, 6000)


@failure("endless-body")
def _(peer: Peer) -> None:
    peer.head(content_type="application/json")
    peer.send(b'{"id": "')
    for _ in range(ENDLESS_BYTES >> 20):
        peer.send(b"a" * 2**20)
    peer.drip(b"a")


@failure("endless-stream")
def _(peer: Peer) -> None:
    peer.head(content_type="text/event-stream")
    peer.drip(event({"id": "x", "choices": [{"index": 0, "delta": {"content": "so "}}]}), 0.01, 12_000)


@failure("slow-first-byte")
def _(peer: Peer) -> None:
    time.sleep(0.4)
    healthy(peer)


@failure("too-slow-first-byte")
def _(peer: Peer) -> None:
    peer.hang(2.0)


# Statuses


@failure("status-401-echoes-the-key")
def _(peer: Peer) -> None:
    peer.error(401, f"Incorrect API key provided: {peer.request.key}. You can find your key at the usual place.")


@failure("status-429-retry-after-1")
def _(peer: Peer) -> None:
    peer.error(429, "slow down", retry_after=1)


@failure("status-429-retry-after-29")
def _(peer: Peer) -> None:
    peer.error(429, "slow down", retry_after=29)


@failure("status-502-page-of-200-kb")
def _(peer: Peer) -> None:
    page = b"<html><body><h1>502 Bad Gateway</h1>" + b"<p>nginx</p>" * 17_000 + b"</body></html>"
    peer.whole(page, 502, "text/html")


@failure("status-400-context-length")
def _(peer: Peer) -> None:
    text = "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens."
    peer.json({"error": {"message": text, "type": "invalid_request_error", "code": "context_length_exceeded"}}, 400)


@failure("status-400-error-text-of-1-mb")
def _(peer: Peer) -> None:
    peer.error(400, "words " * 170_000)


@failure("redirects-in-a-circle")
def _(peer: Peer) -> None:
    peer.whole(b"", 302, location="/v1/chat/completions")


def _status(status: int) -> None:
    def fail(peer: Peer) -> None:
        peer.error(status)

    FAILURES[f"status-{status}"] = fail


for _number in (403, 404, 408, 409, 413, 422, 429, 500, 503, 504):
    _status(_number)


# Bodies


@failure("empty-body")
def _(peer: Peer) -> None:
    peer.whole(b"")


@failure("not-json")
def _(peer: Peer) -> None:
    peer.whole(b"<html>It works!</html>", kind="text/html")


@failure("truncated-json")
def _(peer: Peer) -> None:
    peer.whole(b'{"id": "x", "object": "chat.completion", "choices": [{"index": 0, "mess')


@failure("no-choices")
def _(peer: Peer) -> None:
    peer.message({}, whole={"id": "x", "object": "chat.completion", "model": "x", "choices": [], "usage": USAGE})


@failure("null-content")
def _(peer: Peer) -> None:
    peer.message({"content": None})


@failure("wrong-types")
def _(peer: Peer) -> None:
    peer.message({}, whole={"id": 7, "choices": "none", "usage": [1], "model": {"a": 1}, "created": "now"})


@failure("content-of-a-wrong-type")
def _(peer: Peer) -> None:
    peer.message({"content": {"text": [1, 2]}})


@failure("error-with-status-200")
def _(peer: Peer) -> None:
    peer.json({"error": {"message": "overloaded", "code": 529}})


@failure("no-usage")
def _(peer: Peer) -> None:
    peer.message({"content": peer.request.text}, usage=None)


@failure("negative-usage")
def _(peer: Peer) -> None:
    usage = {"prompt_tokens": -1_000_000, "completion_tokens": -5000, "total_tokens": -1_005_000}
    peer.message({"content": peer.request.text}, usage=usage)


@failure("endless-usage")
def _(peer: Peer) -> None:
    peer.message(
        {"content": peer.request.text}, usage={"prompt_tokens": 10**30, "completion_tokens": 10**30, "total_tokens": 1}
    )


@failure("usage-of-words")
def _(peer: Peer) -> None:
    peer.message({"content": peer.request.text}, usage={"prompt_tokens": "some", "completion_tokens": None})


@failure("content-filter")
def _(peer: Peer) -> None:
    peer.message({"content": ""}, finish="content_filter")


@failure("finish-by-length")
def _(peer: Peer) -> None:
    peer.message({"content": peer.request.text}, finish="length")


@failure("gzip-bomb")
def _(peer: Peer) -> None:
    peer.whole(_bomb(1), content_encoding="gzip")


@failure("gzip-bomb-packed-twice")
def _(peer: Peer) -> None:
    peer.whole(_bomb(2), content_encoding="gzip, gzip")


def _bomb(times: int) -> bytes:
    with _PACKING:
        if times not in _BOMBS:
            data = b" " * BOMB_BYTES
            for _ in range(times):
                data = gzip.compress(data, 9)
            _BOMBS[times] = data
        return _BOMBS[times]


_BOMBS: dict[int, bytes] = {}
_PACKING = threading.Lock()


# Streams; a caller that wants none gets one all the same


def _words(peer: Peer) -> list[bytes]:
    choices = [{"index": 0, "delta": {"role": "assistant", "content": word}} for word in ("fine ", peer.request.number)]
    return [event({"id": "x", "model": "x", "choices": [choice]}) for choice in choices]


def _end() -> bytes:
    return event(
        {"id": "x", "model": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}
    )


@failure("stream-without-done")
def _(peer: Peer) -> None:
    peer.events([*_words(peer), _end()])


@failure("stream-without-an-end")
def _(peer: Peer) -> None:
    peer.events(_words(peer))


@failure("stream-broken-mid-chunk")
def _(peer: Peer) -> None:
    peer.events([_words(peer)[0], b'data: {"id": "x", "choices": [{"index": 0, "del'], ends=False)
    raise Gone


@failure("stream-hangs")
def _(peer: Peer) -> None:
    peer.events(_words(peer)[:1], ends=False)
    peer.hang()


@failure("stream-with-garbage")
def _(peer: Peer) -> None:
    garbage = [b"\xff\xfe\x00\n", b"data: {not json}\n\n", b": a comment\n\n", b"event: ping\nid: 7\n\n"]
    peer.events([*garbage, *_words(peer), _end(), b"data: [DONE]\n\n"])


@failure("stream-of-an-error")
def _(peer: Peer) -> None:
    peer.events([_words(peer)[0], event({"error": {"message": "overloaded", "code": 529}})])


# Calls of tools


@failure("tool-call-broken-off", tools=True)
def _(peer: Peer) -> None:
    if peer.request.after_tool:
        return healthy(peer)
    return peer.message({"tool_calls": [_call(0, '{"number": 2', "call_1")]}, finish="length")


@failure("tool-calls-of-one-id", tools=True)
def _(peer: Peer) -> None:
    if peer.request.after_tool:
        return healthy(peer)
    calls = [_call(0, '{"number": 2}', "call_1"), _call(1, '{"number": 3}', "call_1")]
    return peer.message({"tool_calls": calls}, finish="tool_calls")


@failure("tool-that-is-not-there", tools=True)
def _(peer: Peer) -> None:
    call = {"index": 0, "id": "", "type": "function", "function": {"name": "rm", "arguments": "{}"}}
    peer.message({"tool_calls": [call]}, finish="tool_calls")


def _for_ever(name: str, usage: Any) -> None:
    def fail(peer: Peer) -> None:
        peer.message(
            {"tool_calls": [_call(0, '{"number": 21}', f"call_{next(IDS)}")]}, finish="tool_calls", usage=usage
        )

    FAILURES[name] = fail
    WITH_TOOLS.add(name)


_for_ever("tool-calls-for-ever", USAGE)
_for_ever("tool-calls-for-ever-no-usage", None)
_for_ever(
    "tool-calls-for-ever-negative-usage",
    {"prompt_tokens": -1_000_000, "completion_tokens": -5000, "total_tokens": -1_005_000},
)
