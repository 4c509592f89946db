"""Limits on the time and the size of model calls, whatever the provider does.

HTTP clients limit each read, not the sum. A provider that sends something now and then (a body byte by byte, one
``100 Continue`` after another) keeps them busy forever, and one that never stops sending fills the memory. LiteLLM
creates its own clients, different ones for each provider, so the limits apply to what all of them are built on: the
connections of httpcore, and the bodies that httpx returns. Only calls within a `Bounds` are affected.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from langchain_atlas.loop.deadlines import seconds_left
from langchain_atlas.tools.deadlines import within

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

MAX_REPLY_BYTES = 32_000_000
"""Maximum size of one reply, in bytes; a streamed reply has about 400 bytes per token."""

MAX_ERROR_BYTES = 16_384
"""How much of an error's body is read, in bytes: it is shown to people, and the search for keys in it is slow."""

_PIECE = 65_536
_PACKINGS = ("gzip", "x-gzip", "deflate", "br", "zstd")


class Bounds:
    """The time and size that one model call has left.

    Time that passes between the chunks of a stream, while nobody waits for the provider, does not count.

    Args:
        seconds: time allowed from the first wait on; an enclosing `deadline` also applies.
        max_bytes: bytes that the reply may have, both compressed and decompressed.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self.seconds = min(seconds, seconds_left())
        self.max_bytes = max_bytes
        self.too_long = False
        self.answered = False
        """Whether the provider has begun to answer, so that it charges for the call whatever comes of it."""
        self._left = self.seconds
        self._end = math.inf
        self._packed = self._unpacked = max_bytes

    @contextmanager
    def waiting(self) -> Iterator[float]:
        """Limit the time of the block; yields the seconds left.

        Raises:
            TimeoutError: no time is left.
        """
        if self.late:
            raise TimeoutError("the time is up")
        self._end = time.monotonic() + self._left
        token = _BOUNDS.set(self)
        try:
            yield self._left
        finally:
            _BOUNDS.reset(token)
            self._left = max(0.0, self._end - time.monotonic())

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self._left <= 0

    def left(self, timeout: float | None = None) -> float:
        """Return the seconds that an operation may take.

        Raises:
            httpcore.ReadTimeout: the time is up.
        """
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout("the time is up")
        return seconds if timeout is None else min(seconds, timeout)

    def fits(self, seconds: float) -> bool:
        """Return whether there is time to wait this many seconds and still do something."""
        return seconds < self._left

    def pass_by(self, seconds: float) -> None:
        """Count time that was spent waiting."""
        self._left = max(0.0, self._left - seconds)

    def take(self, data: bytes) -> bytes:
        """Count data received from the network, and return it.

        Raises:
            httpcore.ReadError: the reply exceeds the maximum size.
        """
        self._packed -= len(data)
        if self._packed < 0:
            self.too_long = True
            raise httpcore.ReadError("the reply is too long")
        return data

    def take_unpacked(self, data: bytes) -> bytes:
        """Count a piece of a body, and return it.

        Raises:
            httpx.ReadError: the reply exceeds the maximum size.
            httpx.ReadTimeout: the time is up.
        """
        self._unpacked -= len(data)
        if self._unpacked < 0:
            self.too_long = True
            raise httpx.ReadError("the reply is too long")
        if time.monotonic() > self._end:
            raise httpx.ReadTimeout("the time is up")
        return data

    def check_packing(self, response: httpx.Response) -> None:
        """Reject a body that is compressed several times: a few bytes of it can expand to gigabytes.

        Raises:
            httpx.ReadError: the body is such a one.
        """
        ways = [way.strip().lower() for way in response.headers.get("content-encoding", "").split(",")]
        if sum(way in _PACKINGS for way in ways) > 1:
            self.too_long = True
            raise httpx.ReadError("the reply is packed several times over")


_BOUNDS: ContextVar[Bounds | None] = ContextVar("atlas_bounds", default=None)


class _Connection(httpcore.NetworkStream):
    """A connection whose operations respect the bounds of the current call, if any."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        bounds = _BOUNDS.get()
        if bounds is None:
            return self._inner.read(max_bytes, timeout)
        return bounds.take(self._inner.read(max_bytes, bounds.left(timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        bounds = _BOUNDS.get()
        if bounds is None:
            return self._inner.write(buffer, timeout)
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], bounds.left(timeout))
        return None

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        bounds = _BOUNDS.get()
        left = timeout if bounds is None else bounds.left(timeout)
        return _Connection(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def install() -> None:
    """Make httpcore's connections and httpx's bodies respect the bounds of the current call.

    Calls without bounds are unaffected. This is done once per process.
    """
    with _INSTALLING:
        if getattr(httpcore.SyncBackend.connect_tcp, "bounded", False):
            return
        _bound_connections()
        _bound_bodies()


_INSTALLING = threading.Lock()


def _bound_connections() -> None:
    connect = httpcore.SyncBackend.connect_tcp

    @functools.wraps(connect)
    def connect_tcp(
        self: httpcore.SyncBackend, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore.NetworkStream:
        bounds = _BOUNDS.get()
        if bounds is None:
            return _Connection(connect(self, host, port, timeout, *args, **kwargs))
        left = bounds.left(timeout)
        try:  # name resolution can't be interrupted
            return _Connection(within(left, lambda: connect(self, host, port, left, *args, **kwargs)))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection to {host!r} within {left:.3g} s") from error

    connect_tcp.bounded = True  # type: ignore[attr-defined]
    httpcore.SyncBackend.connect_tcp = connect_tcp  # type: ignore[method-assign]


def _bound_bodies() -> None:
    plain, aplain = httpx.Response.iter_bytes, httpx.Response.aiter_bytes

    @functools.wraps(plain)
    def iter_bytes(self: httpx.Response, chunk_size: int | None = None) -> Iterator[bytes]:
        body = _BoundedBody(self)
        for piece in plain(self, chunk_size):
            yield body.taken(piece)
            if body.enough:
                self.close()  # httpx only does this at the end
                break

    @functools.wraps(aplain)
    async def aiter_bytes(self: httpx.Response, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        body = _BoundedBody(self)
        async for piece in aplain(self, chunk_size):
            yield body.taken(piece)
            if body.enough:
                await self.aclose()
                break

    httpx.Response.iter_bytes = iter_bytes  # type: ignore[method-assign]
    httpx.Response.aiter_bytes = aiter_bytes  # type: ignore[method-assign]


class _BoundedBody:
    """The body of a response, read within the current bounds; without bounds it is passed through unchanged."""

    def __init__(self, response: httpx.Response) -> None:
        self._known = response.is_stream_consumed  # read before, so already counted
        self._room = MAX_ERROR_BYTES if response.is_error else None
        self.enough = False
        bounds = _BOUNDS.get()
        if bounds is not None:
            bounds.answered = bounds.answered or response.is_success
            bounds.check_packing(response)

    def taken(self, piece: bytes) -> bytes:
        bounds = _BOUNDS.get()
        if bounds is None or self._known:
            return piece
        bounds.take_unpacked(piece)
        if self._room is None:
            return piece
        kept, self._room = piece[: self._room], self._room - len(piece)
        self.enough = self._room <= 0
        return kept
