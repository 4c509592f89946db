"""A thousand requests to a provider that fails in every way: do all end, in time, within limits, and without a trace?

A server in a process of its own fails in some sixty ways (chaos_provider.py). Requests go through node, graph, chat
model and middleware, by invoke, stream, ainvoke and astream, twelve at a time, in one process and with one executor.
Of three pairs the first one or two fail and the last is healthy, or all fail. A router that was fitted on outcomes
fails over between them.

Of every request it is seen how it ended and when, what the provider was asked for it and what it charges. Of the
process: memory, threads and open files after every quarter of the requests, and the most memory in between.

Run with: make bench-chaos
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos_failures import FINE, MODELS, WITH_TOOLS
from chaos_process import Process, Watch, give_freed_memory_back
from chaos_requests import (
    CALL_USD,
    INTEGRATIONS,
    KEY_VARIABLE,
    MAX_COST_USD,
    MAX_LATENCY_S,
    WAYS,
    Integrations,
    Request,
    planned,
)
from common import RESULTS, Clock, check, show, show_checks, tell, write
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.errors import GraphRecursionError

from langchain_atlas import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-chaos-5f1e6a0c93d74b28a1"
PATIENCE_S = 25.0
"""After so long a request is given up as one that never ends."""
SAYS_WHY = (AtlasError, GraphRecursionError)
PROVIDER_ERRORS = ("litellm", "openai", "httpx")
"""Packages whose exceptions say what a provider did."""
BREAKS_STREAMS = (
    "stream-broken-mid-chunk",
    "stream-hangs",
    "stream-of-an-error",
    "endless-stream",
    "stream-without-an-end",
)
"""Failures after the first word: what was streamed can't be taken back, so that no other pair may answer."""
GOES_ON = "endless-stream"
"""The one that breaks off so late that graphs, too, have streamed some of it."""
MOST_GROWTH_MB = 48.0
"""Most that memory may grow from the first quarter to the last."""
MOST_PEAK_MB = 768.0
"""Most memory beyond what was there before: twelve requests at a time, each with a reply of 32 MB and copies of it."""
MOST_MORE = 8
"""Most threads, and open files, that the last quarter may leave beyond the first."""
LONGEST_ERROR = 16_384
"""Most characters of an error; the provider sends up to a million."""


@dataclass
class Ending:
    """How a request ended."""

    kind: str = "never"
    """``answered``; ``said``, a message without the answer; ``error``; ``odd``, an error that does not say its cause;
    or ``never``."""
    detail: str = ""
    """The answer or the error, shortened."""
    seconds: float = 0.0
    """How long it took."""
    length: int = 0
    """Characters of the answer or error."""
    leaks: bool = False
    """Whether the key stands in anything that came out of it."""
    calls: int = 0
    """Calls that the provider got for it."""
    billed: int = 0
    """Calls that the provider charges for."""


@dataclass
class Found:
    """What was seen."""

    endings: dict[int, Ending] = field(default_factory=dict)
    """How each request ended, by its number."""
    process: list[Process] = field(default_factory=list)
    """The process before the first, and after every quarter of the requests."""
    peak_mb: float = 0.0
    """The most resident memory."""
    log_leaks: int = 0
    """Lines of the log with the key."""


@contextmanager
def serving() -> Iterator[str]:
    """Run the provider in a process of its own, and yield its URL."""
    command = [sys.executable, str(Path(__file__).with_name("chaos_provider.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


class Log(logging.Handler):
    """Looks for the key in whatever is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count the lines that hold it."""
        self.leaks += KEY in self.format(record)


class Run:
    """Makes requests, some at a time, each of which may fail to end.

    Args:
        integrations: what they go through.
        at_a_time: how many at a time.
    """

    def __init__(self, integrations: Integrations, at_a_time: int) -> None:
        self._integrations = integrations
        self._at_a_time = at_a_time
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()
        self.endings: dict[int, Ending] = {}

    def take(self, requests: list[Request]) -> None:
        """Make requests, and note how each ended."""
        waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
        for request in requests:
            waiting.put(request)

        def work() -> None:
            while not waiting.empty():
                try:
                    request = waiting.get_nowait()
                except queue.Empty:
                    return
                self.endings[request.number] = self._one(request)

        workers = [threading.Thread(target=work, daemon=True) for _ in range(self._at_a_time)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _one(self, request: Request) -> Ending:
        ending, over, start = Ending(), threading.Event(), time.perf_counter()

        def end(result: Any, error: Exception | None = None) -> None:
            ending.seconds = time.perf_counter() - start
            _read(ending, request, result, error)
            over.set()

        def ask() -> None:
            try:
                end(self._integrations.ask(request))
            except Exception as error:  # noqa: BLE001  # how it ended is what is looked at
                end(None, error)

        async def aask() -> None:
            try:
                end(await self._integrations.aask(request))
            except Exception as error:  # noqa: BLE001  # how it ended is what is looked at
                end(None, error)

        if request.way in ("invoke", "stream"):
            threading.Thread(target=ask, name=f"request {request.number}", daemon=True).start()
            over.wait(PATIENCE_S)
        else:
            future = asyncio.run_coroutine_threadsafe(aask(), self._loop)
            if not over.wait(PATIENCE_S):
                future.cancel()
        return ending if over.is_set() else Ending(seconds=PATIENCE_S)


def _read(ending: Ending, request: Request, result: Any, error: Exception | None) -> None:
    """Note how a request ended."""
    if error is None:
        message = result if isinstance(result, BaseMessage) else _last(result)
        text, whole = "" if message is None else message.text, repr(result)
        ending.kind = "answered" if text.strip() == f"fine {request.number}" else "said"
    else:
        text, whole = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
        known = isinstance(error, SAYS_WHY) or type(error).__module__.split(".")[0] in PROVIDER_ERRORS
        ending.kind = "error" if known and str(error) else "odd"
    ending.detail, ending.length, ending.leaks = text[:300], len(text), KEY in whole


def _last(state: Any) -> AIMessage | None:
    messages = state.get("messages", []) if isinstance(state, dict) else []
    return messages[-1] if messages and isinstance(messages[-1], AIMessage) else None


def warming_up() -> list[Request]:
    """Return requests after which all is imported, and whatever is kept for good is made."""
    names = (FINE, "status-500", "tool-calls-of-one-id")
    manners = itertools.product(names, INTEGRATIONS, WAYS)
    return [
        Request(10**6 + n, name, integration, way, 2, limited=False)
        for n, (name, integration, way) in enumerate(manners)
    ]


def measure(requests: list[Request], at_a_time: int) -> Found:
    """Make the requests, and return what was seen."""
    os.environ[KEY_VARIABLE] = KEY
    give_freed_memory_back()
    log = Log()
    logging.getLogger().addHandler(log)
    found, watch = Found(), Watch()
    with serving() as url, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        run = Run(Integrations(url, f"http://127.0.0.1:{nobody.getsockname()[1]}"), at_a_time)
        run.take(warming_up())
        found.process.append(Process.now())
        watch.peak_mb = 0.0
        size = -(-len(requests) // 4)
        for start in range(0, len(requests), size):
            run.take(requests[start : start + size])
            time.sleep(1)
            found.process.append(Process.now())
            tell(f"{min(len(requests), start + size)} of {len(requests)}: {found.process[-1]}")
        found.peak_mb = round(watch.peak_mb, 1)
        with urllib.request.urlopen(f"{url}/bill", timeout=10) as reply:  # noqa: S310  # our own server
            bill = json.load(reply)
    for request in requests:
        ending = found.endings[request.number] = run.endings[request.number]
        ending.calls = bill["calls"].get(str(request.number), 0)
        ending.billed = bill["billed"].get(str(request.number), 0)
    found.log_leaks = log.leaks
    return found


def shortfalls(requests: list[Request], found: Found, slack_s: float) -> dict[str, list[int]]:
    """Return the numbers of the requests that fell short, by what they fell short of.

    Args:
        requests: the requests.
        found: how they ended.
        slack_s: seconds beyond its deadline that a request may take, as many share the processors.
    """
    short: dict[str, list[int]] = {
        name: []
        for name in (
            "ended",
            "in time",
            "with an error that says why",
            "dollars",
            "calls",
            "healthy pair found",
            "key kept",
            "short errors",
        )
    }
    for request in requests:
        ending = found.endings[request.number]
        in_flight = 1
        most_billed = int(MAX_COST_USD / CALL_USD) + in_flight if request.limited else request.most_calls
        rescued = ending.kind == "answered" or not _can_be_rescued(request)
        for name, fine in (
            ("ended", ending.kind != "never"),
            ("in time", ending.seconds <= MAX_LATENCY_S + slack_s),
            ("with an error that says why", ending.kind != "odd"),
            ("dollars", ending.billed <= most_billed),
            ("calls", ending.calls <= request.most_calls),
            ("healthy pair found", rescued),
            ("key kept", not ending.leaks),
            ("short errors", ending.length <= LONGEST_ERROR),
        ):
            if not fine:
                short[name].append(request.number)
    return short


def _can_be_rescued(request: Request) -> bool:
    """Say whether another pair may answer: one is healthy, there is money for it, and nothing was streamed before."""
    calls_of_one = 2 if request.failure in WITH_TOOLS else 1
    affordable = int(MAX_COST_USD / CALL_USD) // calls_of_one if request.limited else len(MODELS)
    healthy = request.broken < affordable
    if (
        request.integration == "middleware" and request.failure in WITH_TOOLS
    ):  # a call of a tool is no failure to an agent
        return False
    broken = BREAKS_STREAMS if request.integration == "chat model" else (GOES_ON,)
    return healthy and not (request.way in ("stream", "astream") and request.failure in broken)


def main() -> None:
    """Measure, and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000, help="how many (default %(default)s)")
    parser.add_argument("--only", help="one failure's name")
    parser.add_argument("--at-a-time", type=int, default=12, help="how many at a time (default %(default)s)")
    parser.add_argument("--slack", type=float, default=2.0, help="seconds beyond the deadline (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS / "chaos.json", help="file for the figures")
    given = parser.parse_args()
    requests, clock = planned(given.requests, given.only), Clock()
    with clock.part("asking"):
        found = measure(requests, given.at_a_time)
    short = shortfalls(requests, found, given.slack)
    _show_failures(requests, found)
    checks = _checks(requests, found, short)
    show_checks(checks)
    rows = [{**asdict(request), **asdict(found.endings[request.number])} for request in requests]
    process = [asdict(seen) for seen in found.process]
    figures = {"process": process, "peak_mb": found.peak_mb, "short": short, "checks": checks, "requests": rows}
    write(given.out, figures, clock)
    sys.stdout.flush()
    os._exit(0)  # a request that does not end would not let the process end either


def _show_failures(requests: list[Request], found: Found) -> None:
    """Print one row a failure."""
    endings: dict[str, list[Ending]] = defaultdict(list)
    for request in requests:
        endings[request.failure].append(found.endings[request.number])
    rows = [
        (
            name,
            str(len(seen)),
            *(
                str(sum(ending.kind == kind for ending in seen) or "")
                for kind in ("answered", "error", "said", "odd", "never")
            ),
            f"{max(ending.seconds for ending in seen):.1f}",
            str(max(ending.calls for ending in seen)),
            f"{max(ending.length for ending in seen)}",
        )
        for name, seen in endings.items()
    ]
    headings = ("", "requests", "answered", "error", "said", "odd", "never", "longest s", "most calls", "longest text")
    show(f"{len(requests)} requests, deadline {MAX_LATENCY_S:g} s", headings, rows)


def _checks(requests: list[Request], found: Found, short: dict[str, list[int]]) -> list[dict[str, Any]]:
    checks = [
        check(f"requests: {name}", f"{len(requests) - len(bad)} of {len(requests)}", passed=not bad)
        for name, bad in short.items()
    ]
    before, first, last = found.process[0], found.process[1], found.process[-1]
    growth, peak = last.memory_mb - first.memory_mb, found.peak_mb - before.memory_mb
    steps = " ".join(f"{seen.memory_mb:.0f}" for seen in found.process)
    checks.append(check("memory in MB, by quarters", steps, passed=growth <= MOST_GROWTH_MB))
    checks.append(check("most memory above the first, MB", f"{peak:.0f}", passed=peak <= MOST_PEAK_MB))
    for name in ("threads", "files"):
        counts = [getattr(seen, name) for seen in found.process]
        flat = counts[-1] - max(counts[0], counts[1]) <= MOST_MORE
        checks.append(check(f"{name}, by quarters", " ".join(map(str, counts)), passed=flat))
    checks.append(check("lines of the log with the key", str(found.log_leaks), passed=not found.log_leaks))
    return checks


if __name__ == "__main__":
    main()
