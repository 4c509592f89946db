"""Providers on this machine that never come to an end, each in a way of its own."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Misbehaving:
    """A server that reads a request and then does as its script says.

    Args:
        script: what to send to a connection until the event is set.
    """

    def __init__(self, script: Callable[[socket.socket, threading.Event], None]) -> None:
        self._script = script
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.connections = 0
        self.hung_up = threading.Event()

    @property
    def url(self) -> str:
        """What to give a client as its base URL."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                self._script(connection, self._closing)
            except OSError:
                self.hung_up.set()


def drip(connection: socket.socket, closing: threading.Event) -> None:
    """Send a body a byte each fifth of a second."""
    connection.sendall(HEAD + b"content-length: 100000\r\n\r\n")
    while not closing.wait(0.2):
        connection.sendall(b" ")


def drip_headers(connection: socket.socket, closing: threading.Event) -> None:
    """Send headers a byte each fifth of a second."""
    connection.sendall(HEAD + b"x: ")
    while not closing.wait(0.2):
        connection.sendall(b"y")


def drip_a_stream(connection: socket.socket, closing: threading.Event) -> None:
    """Stream a comment, which is no chunk of a reply, each fifth of a second."""
    connection.sendall(STREAM)
    while not closing.wait(0.2):
        connection.sendall(b"3\r\n: \n\r\n")


def ask_to_go_on(connection: socket.socket, closing: threading.Event) -> None:
    """Send one ``100 Continue`` after the other."""
    while not closing.is_set():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        time.sleep(0.01)


def never_end(connection: socket.socket, closing: threading.Event) -> None:
    """Send a body as fast as it goes."""
    connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    while not closing.is_set():
        connection.sendall(piece)


def never_end_a_stream(connection: socket.socket, closing: threading.Event) -> None:
    """Stream one line as fast as it goes."""
    connection.sendall(STREAM)
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    while not closing.is_set():
        connection.sendall(piece)


def never_end_an_error(connection: socket.socket, closing: threading.Event) -> None:
    """Send the page of an error as fast as it goes."""
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    while not closing.is_set():
        connection.sendall(piece)


def pack_twice(connection: socket.socket, closing: threading.Event) -> None:
    """Send a kilobyte or two that stand for two gigabytes."""
    with contextlib.suppress(OSError):
        connection.sendall(HEAD + b"content-encoding: gzip, gzip\r\n")
        connection.sendall(b"content-length: %d\r\n\r\n" % len(_BOMB) + _BOMB)
        closing.wait(5)


def pack_once(connection: socket.socket, closing: threading.Event) -> None:
    """Send 40 kB that stand for 40 MB."""
    body = gzip.compress(b"x" * 40_000_000, 9)
    connection.sendall(HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    closing.wait(5)


_BOMB = gzip.compress(gzip.compress(b"\0" * 10_000_000, 9), 9)


def hang_up(connection: socket.socket) -> None:
    """Close a connection so that all that was sent arrives: what is left unread would reset it."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(1.0)
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass
