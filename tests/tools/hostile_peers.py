"""A peer on this machine that speaks HTTP as no honest one does."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n"
_GZIP_NAMED = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"


def _forever(start: bytes, piece: bytes, pause_s: float = 0.0) -> Iterator[bytes]:
    yield start
    for part in itertools.repeat(piece):
        yield part
        time.sleep(pause_s)


def _packed(times: int) -> bytes:
    body = b"\0" * 50_000_000
    for _ in range(times):
        body = gzip.compress(body)
    return (
        _OK + f"Content-Encoding: {', '.join(['gzip'] * times)}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


def _members() -> bytes:
    body = gzip.compress(b"\0" * 1_000_000) * 200
    return _OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _deflated() -> bytes:
    body = zlib.compress(b"\0" * 50_000_000)
    return _OK + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(body) + body


PEERS: dict[str, Callable[[], Iterable[bytes]]] = {
    "packed once": lambda: [_packed(1)],
    "packed twice": lambda: [_packed(2)],
    "packed in many members": lambda: [_members()],
    "deflated": lambda: [_deflated()],
    "packed in a way nobody asked for": lambda: [_OK + b"Content-Encoding: br\r\nContent-Length: 4\r\n\r\nabcd"],
    "packed, breaking off": lambda: [
        _OK + b"Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n" + gzip.compress(b"x" * 999)[:12]
    ],
    "chunk size without end": lambda: _forever(_CHUNKED + b"\r\n", b"0" * 1000),
    "chunk extension without end": lambda: _forever(_CHUNKED + b"\r\n1;", b"x" * 1000),
    "chunk size, dripping": lambda: _forever(_CHUNKED + b"\r\n", b"0", 0.05),
    "chunks of one byte": lambda: _forever(_CHUNKED + b"\r\n", b"1\r\nx\r\n" * 1000),
    "trailers without end": lambda: _forever(_CHUNKED + b"\r\n0\r\n", b"a: b\r\n" * 100),
    "gzip name without end": lambda: _forever(
        _CHUNKED + b"Content-Encoding: gzip\r\n\r\n" + b"a\r\n" + _GZIP_NAMED + b"\r\n",
        b"400\r\n" + b"n" * 1024 + b"\r\n",
    ),
    "gzip members of nothing": lambda: _forever(_OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 1000),
    "100 Continue without end": lambda: _forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "100 Continue, dripping": lambda: _forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
    "103 Early Hints without end": lambda: _forever(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 100),
    "headers without end": lambda: _forever(_OK, b"x-a: b\r\n" * 100),
    "headers, dripping": lambda: _forever(_OK, b"x", 0.05),
    "body without end": lambda: _forever(_OK + b"\r\n", b"x" * 10_000),
    "body, dripping": lambda: _forever(_OK + b"\r\n", b"x", 0.05),
    "nothing at all": lambda: _forever(b"", b"", 0.05),
}
"""What is sent to whoever connects."""


@contextmanager
def peer(says: Callable[[], Iterable[bytes]]) -> Iterator[str]:
    """Give the URL of a peer that sends what it is told to, as fast as it is taken, and never hangs up first."""
    ended = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            for piece in says():
                if ended.is_set():
                    return
                connection.sendall(piece)
            ended.wait(30)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    finally:
        ended.set()
        server.close()
