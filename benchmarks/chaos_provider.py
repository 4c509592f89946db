"""A provider that fails in every way: one HTTP server on loopback that picks the failure by what it is asked.

A question holds a mark, ``[chaos 17 drip-body status-500 fine]``: its number, and what the models ``first``, ``second``
and ``third`` do with it. ``GET /bill`` tells, for every number, how often the provider was called, and how many of the
calls it would charge for: those that it began to answer with status 200. Run by chaos.py, in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
from collections import Counter
from typing import Any

from chaos_failures import FAILURES, FINE, MODELS
from chaos_peer import BILLED, Gone, Peer, Request

MARK = re.compile(rb"\[chaos (\d+) ([\w-]+) ([\w-]+) ([\w-]+)\]")
CALLS: Counter[str] = Counter()
"""Calls by the question's number."""


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection, until one end hangs up."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(Gone, OSError), connection, connection.makefile("rb") as reader:
        while _serve_one(connection, reader):
            pass


def _serve_one(connection: socket.socket, reader: Any) -> bool:
    """Answer one request, and return whether there may be another."""
    line = reader.readline()
    if not line:
        return False
    headers = {}
    while header := reader.readline().strip():
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if line.startswith(b"GET /bill"):
        data = json.dumps({"calls": CALLS, "billed": BILLED}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(data), data))
        return True
    data = reader.read(int(headers.get("content-length", 0)))
    body = json.loads(data or b"{}")
    found = MARK.search(data)
    if found is None:  # who follows a redirection asks without a word
        number, does = "0", "redirects-in-a-circle"
    else:
        number, *choices = (group.decode() for group in found.groups())
        does = dict(zip(MODELS, choices, strict=True)).get(body["model"], FINE)
    CALLS[number] += 1
    key = headers.get("authorization", "").removeprefix("Bearer ")
    peer = Peer(connection, Request(key, body, number))
    FAILURES[does](peer)
    return True


def main() -> None:
    """Serve until standard input ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    sys.stdin.read()


def _accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
