"""A local model provider with scripted replies that speaks the OpenAI chat completions protocol."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


@dataclass(frozen=True)
class Failure:
    """A reply that is an error."""

    status: int = 500
    """HTTP status, such as 400, 401, 429 or 500."""
    message: str = "told to fail"
    """The error message."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional response headers, such as ``{"retry-after": "1"}``."""


@dataclass(frozen=True)
class Broken:
    """A reply that breaks off: the connection is closed in the middle of it, streamed or not."""

    text: str
    """The part that is sent; if streamed, one word per chunk."""
    pause_s: float = 0.0
    """Seconds before each chunk of a stream."""


HANG = Failure(status=0, message="never answers")
"""A reply that never comes, so that the caller runs into its timeout."""

Reply = str | dict[str, Any] | Failure | Broken
"""A scripted reply: a text; a message such as ``{"content": ..., "tool_calls": [...]}``, which may also set
``reasoning_content``, ``finish_reason`` and ``usage`` (None leaves it out); a failure; or a reply that breaks off."""


@dataclass(frozen=True)
class Request:
    """A request that the server received."""

    path: str
    """Path of the URL."""
    headers: dict[str, str]
    """Headers, by lower-case name."""
    body: dict[str, Any]
    """The JSON body."""


def call_tool(name: str, arguments: Mapping[str, Any] | str, call_id: str = "call_1") -> dict[str, Any]:
    """Make one entry of a message's ``tool_calls``.

    Args:
        name: name of the function to call.
        arguments: its arguments; a text is sent unchanged, so that it may be malformed.
        call_id: id of the call, to which the tool's result must refer.
    """
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def images_of(body: Mapping[str, Any]) -> list[str]:
    """Return the URLs of all images in the messages of a request's body, in order."""
    return [
        block["image_url"]["url"]
        for message in body["messages"]
        for block in (message["content"] if isinstance(message.get("content"), list) else [])
        if block["type"] == "image_url"
    ]


class OpenAIServer:
    """A local HTTP server with ``/v1/chat/completions``, synchronous and streamed, scripted by a function.

    A request to ``/rerank`` is answered with the dict that the function returns, unchanged.

    It counts one token per word, listens only on 127.0.0.1, and keeps every request. Use it as a context manager::

        with OpenAIServer(lambda body: "42") as server:
            model = Model(name="fake", litellm="openai/fake", options={"api_base": server.url}, api_key_env="KEY")

    Args:
        reply: maps a request body to a reply. It is called in a separate thread for each request, possibly in parallel.
        delay_s: seconds to wait before each reply.
    """

    def __init__(self, reply: Callable[[dict[str, Any]], Reply], *, delay_s: float = 0.0) -> None:
        self.reply = reply
        self.delay_s = delay_s
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http: _Server | None = None
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        self._http = _Server(self)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), name="OpenAIServer", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, and close all connections."""
        self._closing.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    @property
    def url(self) -> str:
        """The base URL for clients; available once the server has been entered."""
        if self._http is None:
            raise RuntimeError("The server is not running; use it in a 'with' statement.")
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the requests, in order of arrival."""
        with self._lock:
            return [request.body for request in self.requests]

    def answer(self, request: Request) -> tuple[str, Reply]:
        """Record a request, and return an id for the response and the reply."""
        with self._lock:
            self.requests.append(request)
            name = f"chatcmpl-{next(self._ids)}"
        try:
            reply = self.reply(request.body)
        except Exception as error:  # noqa: BLE001  # a mistake in the script must reach the test that waits
            return name, Failure(500, f"the reply function raised {error!r}")
        if reply is HANG:
            self._closing.wait()
        else:
            self._closing.wait(self.delay_s)
        return name, reply


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that closing the server ends them and their threads."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, owner: OpenAIServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._guard:
            left = list(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore callers that closed the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        """Answer one request."""
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        needed = {"completions": "messages", "rerank": "documents"}.get(self.path.rpartition("/")[2])
        ranked = needed == "documents"
        if needed is None:
            return self._fail(Failure(404, f"there is no {self.path}"))
        try:
            body = json.loads(data)
            messages = body[needed]
        except (ValueError, KeyError, TypeError):
            return self._fail(Failure(400, f"the body is not a JSON object with {needed!r}"))
        name, reply = cast("_Server", self.server).owner.answer(Request(self.path, headers, body))
        if reply is HANG:
            self.close_connection = True
            return None
        if isinstance(reply, Failure | Broken):
            return self._fail(reply) if isinstance(reply, Failure) else self._break(name, body, reply)
        answer = _Answer(name, body.get("model", ""), reply, _words(messages))
        if not body.get("stream"):
            return self._send(200, {"id": name, **reply} if isinstance(reply, dict) and ranked else answer.whole())
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return self._stream(answer.chunks(wants_usage=wants_usage))

    def _fail(self, failure: Failure) -> None:
        error = {"message": failure.message, "type": "error", "param": None, "code": str(failure.status)}
        self._send(failure.status, {"error": error}, failure.headers)

    def _send(self, status: int, value: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"content-type": "application/json", "content-length": len(data), **(headers or {})}.items():
            self.send_header(name, str(text))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def _break(self, name: str, body: dict[str, Any], reply: Broken) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        chunks = _Answer(name, body.get("model", ""), reply.text, 0).chunks(wants_usage=False)
        for chunk in [*chunks][:-1] if body.get("stream") else []:
            time.sleep(reply.pause_s)
            event = f"data: {json.dumps(chunk)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"ff\r\n{")
        self.wfile.flush()

    def _stream(self, chunks: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for text in (*map(json.dumps, chunks), "[DONE]"):
            event = f"data: {text}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Log nothing."""


class _Answer:
    """One answer in its two forms on the wire."""

    def __init__(self, name: str, model: str, reply: str | dict[str, Any], prompt_tokens: int) -> None:
        told: dict[str, Any] = {"content": reply} if isinstance(reply, str) else dict(reply)
        self._head = {"id": name, "created": int(time.time()), "model": model}
        self._calls: list[dict[str, Any]] = told.get("tool_calls") or []
        self._finish = told.pop("finish_reason", "tool_calls" if self._calls else "stop")
        completion = _words(told)
        counted = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": prompt_tokens + completion,
        }
        self._usage = told.pop("usage", counted)
        self._message = {"role": "assistant", "content": None, **told}

    def whole(self) -> dict[str, Any]:
        choice = {"index": 0, "message": self._message, "finish_reason": self._finish, "logprobs": None}
        usage = {} if self._usage is None else {"usage": self._usage}
        return {**self._head, "object": "chat.completion", "choices": [choice], **usage}

    def chunks(self, *, wants_usage: bool) -> Iterator[dict[str, Any]]:
        yield self._chunk({"role": "assistant", "content": ""})
        for piece in _pieces(self._message.get("reasoning_content") or ""):
            yield self._chunk({"reasoning_content": piece})
        for piece in _pieces(self._message["content"] or ""):
            yield self._chunk({"content": piece})
        for index, call in enumerate(self._calls):
            function = call["function"]
            start = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
            yield self._chunk({"tool_calls": [start]})
            for piece in _pieces(function["arguments"]):
                yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield self._chunk({}, self._finish)
        if wants_usage and self._usage is not None:
            yield {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


def _pieces(text: str) -> list[str]:
    """Split a text after its spaces; put together, the pieces are the text."""
    return [piece for piece in text.replace(" ", " \0").split("\0") if piece]


def _words(value: Any) -> int:
    """Count the words of all texts in a JSON value."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, Mapping):
        return sum(_words(member) for name, member in value.items() if name not in ("role", "type", "id"))
    return sum(map(_words, value)) if isinstance(value, list) else 0
