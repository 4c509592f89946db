"""A web site on this machine that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORDED = Path(__file__).parent / "recorded"


@dataclass(frozen=True)
class Answer:
    """What a site says."""

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Seconds between the bytes of the body."""

    @classmethod
    def recorded(cls, name: str, status: int = 200) -> Answer:
        return cls((RECORDED / name).read_bytes(), status)


@dataclass(frozen=True)
class Asked:
    """What a site was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None


class Website:
    """Gives the same answer to every request, whatever its path; a context manager.

    Args:
        answer: what it says.
        certificate: a file with key and certificate, for TLS.
    """

    def __init__(self, answer: Answer, certificate: Path | None = None) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # callers that hang up
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

            def _answer(self, body: Any) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                site.asked.append(Asked(self.command, parts.path, query, headers, body))
                self.send_response(site.answer.status)
                told = {"content-type": "application/json", "content-length": str(len(site.answer.body))}
                for name, value in {**told, **site.answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for byte in [site.answer.body] if not site.answer.delay_s else site.answer.body:
                        self.wfile.write(byte if isinstance(byte, bytes) else bytes([byte]))
                        self.wfile.flush()
                        time.sleep(site.answer.delay_s)
                except OSError:
                    self.close_connection = True  # the caller hung up

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
