"""Calls of models end: by a deadline, and after so many bytes, whatever the provider does.

HTTP clients bound each read, not their sum. A provider that sends something now and then (a body byte by byte, one
``100 Continue`` after another) keeps them busy without end, and one that sends without end fills the memory. LiteLLM
makes its clients by itself, a different one for each provider, so what is bounded is what all of them are made of: the
connections of httpcore, and the bodies that httpx hands out. Only calls that run under a `Bounds` notice.
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

from langchain_atlas.deadlines import seconds_left
from langchain_atlas.tools.deadlines import within

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

MAX_REPLY_BYTES = 32_000_000
"""Most bytes of one reply; a streamed one has some 400 for each token."""

MAX_ERROR_BYTES = 16_384
"""How much of the body of an error is read: what stands in it is told to people, and searched for keys at length."""

_PIECE = 65_536
_PACKINGS = ("gzip", "x-gzip", "deflate", "br", "zstd")


class Bounds:
    """What one call of a model may still use.

    Time that passes while nobody waits for the provider, between the pieces of a stream, does not count.

    Args:
        seconds: from the first wait on; what is left of a `deadline` around it counts too.
        max_bytes: bytes of the reply, packed or not.
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
        """Bound what is done inside; yields the seconds that are left.

        Raises:
            TimeoutError: there are none.
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
        """Return how many seconds an operation may take.

        Raises:
            httpcore.ReadTimeout: the time is up.
        """
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout("the time is up")
        return seconds if timeout is None else min(seconds, timeout)

    def fits(self, seconds: float) -> bool:
        """Say whether there is time to wait for so long and then do something."""
        return seconds < self._left

    def pass_by(self, seconds: float) -> None:
        """Take note of time that was waited."""
        self._left = max(0.0, self._left - seconds)

    def take(self, data: bytes) -> bytes:
        """Count what came over the network, and return it.

        Raises:
            httpcore.ReadError: it is more than may come.
        """
        self._packed -= len(data)
        if self._packed < 0:
            self.too_long = True
            raise httpcore.ReadError("the reply is too long")
        return data

    def take_unpacked(self, data: bytes) -> bytes:
        """Count a piece of a body, and return it.

        Raises:
            httpx.ReadError: it is more than may come.
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
        """Refuse a body that is packed several times over: a few bytes of it stand for gigabytes.

        Raises:
            httpx.ReadError: it is.
        """
        ways = [way.strip().lower() for way in response.headers.get("content-encoding", "").split(",")]
        if sum(way in _PACKINGS for way in ways) > 1:
            self.too_long = True
            raise httpx.ReadError("the reply is packed several times over")


_BOUNDS: ContextVar[Bounds | None] = ContextVar("atlas_bounds", default=None)


class _Connection(httpcore.NetworkStream):
    """A connection; each operation keeps to the bounds of the call that it is made for, if there are any."""

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
    """Have httpcore's connections and httpx's bodies keep to the bounds of the call that they serve.

    What runs under no bounds is not changed. It is done once for a process.
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
        try:  # looking a name up can't be interrupted
            return _Connection(within(left, lambda: connect(self, host, port, left, *args, **kwargs)))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection to {host!r} within {left:.3g} s") from error

    connect_tcp.bounded = True  # type: ignore[attr-defined]
    httpcore.SyncBackend.connect_tcp = connect_tcp  # type: ignore[method-assign]


def _bound_bodies() -> None:
    plain, aplain = httpx.Response.iter_bytes, httpx.Response.aiter_bytes

    @functools.wraps(plain)
    def iter_bytes(self: httpx.Response, chunk_size: int | None = None) -> Iterator[bytes]:
        body = _Body(self)
        for piece in plain(self, chunk_size):
            yield body.taken(piece)
            if body.enough:
                self.close()  # which httpx does at the end alone
                break

    @functools.wraps(aplain)
    async def aiter_bytes(self: httpx.Response, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        body = _Body(self)
        async for piece in aplain(self, chunk_size):
            yield body.taken(piece)
            if body.enough:
                await self.aclose()
                break

    httpx.Response.iter_bytes = iter_bytes  # type: ignore[method-assign]
    httpx.Response.aiter_bytes = aiter_bytes  # type: ignore[method-assign]


class _Body:
    """The body of a response, as it is read under bounds; without any, it goes through as it is."""

    def __init__(self, response: httpx.Response) -> None:
        self._known = response.is_stream_consumed  # read before, and so counted
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
