"""LangSmith on this machine, as far as sending traces and reading runs goes, and an OpenTelemetry collector."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType


_PROJECT = "00000000-0000-4000-8000-000000000001"
_PAGE = 3


@dataclass(frozen=True)
class TracedRun:
    """A run as it arrived, its later changes worked in."""

    id: str
    """Identifies the run."""
    name: str
    """What it is called."""
    run_type: str
    """``chain``, ``llm``, ``tool`` or ``retriever``."""
    parent_id: str | None
    """The run that it is part of; None for the root of a trace."""
    trace_id: str
    """The root of its trace."""
    order: str
    """Sorts the runs of a trace by their start."""
    inputs: dict[str, Any] = field(default_factory=dict)
    """What went in."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """What came out; empty while it runs and when it failed."""
    error: str | None = None
    """What it failed with."""
    tags: tuple[str, ...] = ()
    """Its tags."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Its metadata."""


@dataclass(frozen=True)
class TracedSpan:
    """An OpenTelemetry span as it arrived."""

    id: str
    """Identifies the span."""
    name: str
    """What it is called."""
    parent_id: str | None
    """The span that it is part of; None for the root of a trace."""
    attributes: dict[str, Any]
    """Its attributes, among them ``langsmith.metadata.*`` and ``langsmith.span.tags``."""


class TraceServer:
    """A local HTTP server that takes what LangSmith's client and OpenTelemetry's exporter send.

    It listens on 127.0.0.1 alone and keeps everything. Use it as a context manager; what a client has buffered is
    there once the client is flushed::

        with TraceServer() as server:
            client = langsmith.Client(api_url=server.url, api_key="any")
            with langsmith.tracing_context(enabled=True, client=client):
                graph.invoke(...)
            client.flush()
            print(server.named("atlas.decide")[0].outputs)

    Args:
        multipart: whether to advertise the multipart endpoint; without it, clients send runs as JSON.
    """

    def __init__(self, *, multipart: bool = True) -> None:
        self.multipart = multipart
        self._lock = threading.Lock()
        self._runs: dict[str, dict[str, Any]] = {}
        self._spans: list[TracedSpan] = []
        self._feedback: list[dict[str, Any]] = []
        self._bodies: list[bytes] = []
        self._served: list[dict[str, Any]] = []
        self._http: _TraceHttpServer | None = None

    def __enter__(self) -> Self:
        self._http = _TraceHttpServer(self)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), name="TraceServer", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    @property
    def url(self) -> str:
        """What ``LANGSMITH_ENDPOINT`` is to be; there is one once the server has been entered."""
        if self._http is None:
            raise RuntimeError("The server is not running; use it in a 'with' statement.")
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def runs(self) -> list[TracedRun]:
        """The runs that arrived, in the order in which they were started."""
        with self._lock:
            return sorted(map(_run, self._runs.values()), key=lambda run: run.order)

    @property
    def spans(self) -> list[TracedSpan]:
        """The OpenTelemetry spans that arrived, in order of arrival."""
        with self._lock:
            return list(self._spans)

    @property
    def feedback(self) -> list[dict[str, Any]]:
        """The feedback that arrived: ``run_id``, ``key``, ``score`` and what else was sent."""
        with self._lock:
            return list(self._feedback)

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of all requests, to look for what must not be there."""
        with self._lock:
            return list(self._bodies)

    def named(self, name: str) -> list[TracedRun]:
        """Return the runs of a name."""
        return [run for run in self.runs if run.name == name]

    def children(self, run: TracedRun | None = None) -> list[TracedRun]:
        """Return the runs that are part of `run`; those that are part of none when it is left out."""
        parent = None if run is None else run.id
        return [child for child in self.runs if child.parent_id == parent]

    def serve(self, runs: Sequence[Mapping[str, Any]]) -> None:
        """Have clients find these runs in every project, each with the fields that LangSmith's interface gives it."""
        with self._lock:
            self._served = [dict(run) for run in runs]

    def query(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a query for runs: a page of them, and where the next one begins."""
        with self._lock:
            found = [run for run in self._served if _asked_for(run, body)]
        start = int(body.get("cursor") or 0)
        more = start + _PAGE < len(found)
        wanted = body.get("select") or []
        page = [{name: run[name] for name in run if not wanted or name in wanted} for run in found[start:][:_PAGE]]
        return {"runs": page, "cursors": {"next": str(start + _PAGE) if more else None}}

    def take(self, path: str, content_type: str, body: bytes) -> None:
        """Keep what a request holds."""
        with self._lock:
            self._bodies.append(body)
            if path.endswith("/v1/traces"):
                self._spans.extend(_spans(body))
            elif path.endswith("/runs/multipart"):
                for run_id, fields in _parts(content_type, body):
                    self._runs.setdefault(run_id, {}).update(fields)
            elif path.endswith("/runs/batch"):
                batch = json.loads(body)
                for run in [*batch.get("post", []), *batch.get("patch", [])]:
                    self._change(run)
            elif path.endswith("/feedback"):
                self._feedback.append(json.loads(body))
            elif "/runs" in path:
                self._change({"id": path.rpartition("/")[2], **json.loads(body)})

    def _change(self, run: Mapping[str, Any]) -> None:
        self._runs.setdefault(run["id"], {}).update({name: value for name, value in run.items() if value is not None})


class _TraceHttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: TraceServer) -> None:
        super().__init__(("127.0.0.1", 0), _TraceHandler)
        self.owner = owner


class _TraceHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Tell clients how to send runs, and that every project there may be is the one here."""
        if "/sessions" in self.path:
            name = parse_qs(urlsplit(self.path).query).get("name", ["default"])[0]
            project: dict[str, Any] = {"id": _PROJECT, "tenant_id": _PROJECT, "name": name}
            project |= {"start_time": "2026-01-01T00:00:00Z", "reference_dataset_id": None}
            return self._reply([project])
        multipart = cast("_TraceHttpServer", self.server).owner.multipart
        config = {
            "use_multipart_endpoint": multipart,
            "size_limit": 100,
            "size_limit_bytes": 20_000_000,
            "scale_up_nthreads_limit": 4,
            "scale_up_qsize_trigger": 1000,
            "scale_down_nempty_trigger": 4,
        }
        return self._reply({"version": "0.0.0", "batch_ingest_config": config} if self.path.endswith("/info") else {})

    def do_POST(self) -> None:
        """Take runs, spans or feedback, or answer a query for runs."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        owner = cast("_TraceHttpServer", self.server).owner
        if self.path.endswith("/runs/query"):
            return self._reply(owner.query(json.loads(body)))
        owner.take(self.path, self.headers.get("content-type", ""), body)
        return self._reply({})

    do_PATCH = do_POST  # noqa: N815  # the name that the base class looks for

    def _reply(self, value: dict[str, Any] | list[dict[str, Any]]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Log nothing."""


def _asked_for(run: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a run is among those that a query for runs names."""
    root = run.get("parent_run_id") is None
    kind = run.get("run_type")
    return bool(root == body.get("is_root", root) and kind == body.get("run_type", kind))


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the parts of a multipart request, each of which tells something of a run or is feedback."""
    head = f"content-type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        kind, run_id, *rest = str(name).split(".")
        if kind in ("post", "patch"):
            value = json.loads(cast("bytes", part.get_payload(decode=True)))
            yield run_id, {rest[0]: value} if rest else {key: value[key] for key in value if value[key] is not None}


def _run(fields: Mapping[str, Any]) -> TracedRun:
    return TracedRun(
        id=fields["id"],
        name=fields.get("name", ""),
        run_type=fields.get("run_type", ""),
        parent_id=fields.get("parent_run_id"),
        trace_id=fields.get("trace_id", ""),
        order=fields.get("dotted_order", ""),
        inputs=fields.get("inputs") or {},
        outputs=fields.get("outputs") or {},
        error=fields.get("error"),
        tags=tuple(fields.get("tags") or ()),
        metadata=(fields.get("extra") or {}).get("metadata") or {},
    )


def _spans(body: bytes) -> Iterator[TracedSpan]:
    """Read an OTLP export request; this needs the extra ``otel``."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes = {
                    item.key: getattr(item.value, str(item.value.WhichOneof("value"))) for item in span.attributes
                }
                yield TracedSpan(span.span_id.hex(), span.name, span.parent_span_id.hex() or None, attributes)
