"""The caller's end of a connection, and the ways to answer it: as a provider does, or not at all."""

from __future__ import annotations

import itertools
import json
import select
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

USAGE = {"prompt_tokens": 500, "completion_tokens": 500, "total_tokens": 1000}
"""What every call uses; at a dollar a million tokens, that is a tenth of a cent."""

REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}
BILLED: Counter[str] = Counter()
"""Calls that are charged for, by the question's number."""
IDS = itertools.count(1)
"""Numbers for what must have a name of its own."""


class Gone(Exception):  # noqa: N818  # it is no error of anybody's
    """The caller hung up, or the provider did."""


@dataclass(frozen=True)
class Request:
    """What a caller asks."""

    key: str
    """The key that it sent."""
    body: dict[str, Any]
    """The JSON body."""
    number: str
    """The question's number."""

    @property
    def streams(self) -> bool:
        """Whether the reply is to be streamed."""
        return bool(self.body.get("stream"))

    @property
    def text(self) -> str:
        """What a healthy model answers."""
        return f"fine {self.number}"

    @property
    def after_tool(self) -> bool:
        """Whether the last message is a tool's result."""
        return bool(self.body["messages"][-1].get("role") == "tool")


class Peer:
    """The caller's end of a connection.

    Args:
        connection: the connection.
        request: what it asks.
    """

    def __init__(self, connection: socket.socket, request: Request) -> None:
        self.connection = connection
        self.request = request
        self._begun = False

    def send(self, data: bytes) -> None:
        """Send bytes as they are; the first that say 200 put the call on the bill."""
        if not self._begun and data.startswith(b"HTTP/1.1 200"):
            self._begun = True
            BILLED[self.request.number] += 1
        try:
            self.connection.sendall(data)
        except OSError as error:
            raise Gone from error

    def head(self, status: int = 200, **headers: Any) -> None:
        """Send a status line and headers; underscores in their names stand for hyphens."""
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unhappy')}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def whole(self, data: bytes, status: int = 200, kind: str = "application/json", **headers: Any) -> None:
        """Send a complete response; the connection stays open."""
        self.head(status, content_type=kind, content_length=len(data), **headers)
        self.send(data)

    def json(self, value: Any, status: int = 200, **headers: Any) -> None:
        """Send a complete response of JSON."""
        self.whole(json.dumps(value).encode(), status, **headers)

    def error(self, status: int, message: str = "told to fail", **headers: Any) -> None:
        """Send an error as OpenAI does."""
        self.json(
            {"error": {"message": message, "type": "error", "param": None, "code": str(status)}}, status, **headers
        )

    def events(self, events: Iterable[bytes], *, ends: bool = True) -> None:
        """Send a chunked body of events, and the end of it or none."""
        self.head(content_type="text/event-stream", transfer_encoding="chunked")
        for event in events:
            self.send(b"%x\r\n%s\r\n" % (len(event), event))
        if ends:
            self.send(b"0\r\n\r\n")

    def message(
        self, message: dict[str, Any], finish: Any = "stop", usage: Any = USAGE, *, done: bool = True, whole: Any = None
    ) -> None:
        """Send a message in the form that the caller wants: streamed or whole.

        Args:
            message: the message.
            finish: why it ended.
            usage: None for no word of it.
            done: whether a stream says that it is done.
            whole: what replaces the whole response, or each chunk's.
        """
        head = {"id": f"chatcmpl-{next(IDS)}", "created": int(time.time()), "model": self.request.body["model"]}
        told = {} if usage is None else {"usage": usage}
        if not self.request.streams:
            choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
            self.json(whole or {**head, "object": "chat.completion", "choices": [choice], **told})
            return
        chunks = [{"index": 0, "delta": {"role": "assistant", **message}, "finish_reason": None}]
        chunks.append({"index": 0, "delta": {}, "finish_reason": finish})
        events = [whole or {**head, "object": "chat.completion.chunk", "choices": [chunk]} for chunk in chunks]
        if usage is not None:
            events.append({**head, "object": "chat.completion.chunk", "choices": [], **told})
        self.events([*(event(value) for value in events), *([b"data: [DONE]\n\n"] if done else [])])

    def hang(self, seconds: float = 120.0) -> None:
        """Say nothing until the caller hangs up."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        if not readable or not self.connection.recv(1, socket.MSG_PEEK):
            raise Gone

    def reset(self) -> None:
        """Break the connection off, unread data and all."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def drip(self, piece: bytes, every_s: float = 0.5, times: int = 240) -> None:
        """Send a piece again and again, until the caller hangs up."""
        for _ in range(times):
            self.send(piece)
            readable, _, _ = select.select([self.connection], [], [], every_s)
            if readable:
                break
        raise Gone


def event(value: Any) -> bytes:
    """Write an event of a stream."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"
