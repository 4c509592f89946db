"""A fetch ends in its time, and within its bytes, whatever the peer does."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas.tools.web.addresses import AddressGuard, FetchError
from langchain_atlas.tools.web.fetching import FetchLimits, Page, afetch, fetch
from tests.tools.hostile_peers import PEERS, peer

if TYPE_CHECKING:
    from collections.abc import Callable

LOCAL = AddressGuard(["127.0.0.1", "localhost"])
LIMITS = FetchLimits(timeout_s=1.0, max_bytes=100_000)


def _afetch(url: str, **settings: Any) -> Page:
    return asyncio.run(afetch(url, **settings))


@pytest.fixture(params=[fetch, _afetch], ids=["sync", "async"])
def get(request: pytest.FixtureRequest) -> Callable[..., Page]:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", PEERS)
def test_a_fetch_ends_in_its_time_and_memory_whatever_the_peer_does(get: Callable[..., Page], kind: str) -> None:
    says = list(PEERS[kind]()) if "packed" in kind or kind == "deflated" else None  # made before the clock runs
    with peer(PEERS[kind] if says is None else lambda: says) as url:
        tracemalloc.start()
        started = time.perf_counter()
        with pytest.raises(FetchError):
            get(url, guard=LOCAL, limits=LIMITS)
        took, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert took < LIMITS.timeout_s + 1.0
    assert peak < 20 * 2**20


def test_no_thread_is_left_spinning_after_a_fetch() -> None:
    before = set(threading.enumerate())
    with peer(PEERS["100 Continue without end"]) as url:
        with pytest.raises(FetchError):
            fetch(url, guard=LOCAL, limits=LIMITS)
        left = [thread for thread in set(threading.enumerate()) - before if thread.name == "atlas-tool"]
    assert not [thread for thread in left if thread.is_alive()]


def test_a_name_that_is_never_looked_up_ends_a_fetch_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> Any:
        time.sleep(5)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    started = time.perf_counter()
    with pytest.raises(FetchError, match=r"within 0\.3 s"):
        fetch("http://localhost/", guard=LOCAL, limits=FetchLimits(timeout_s=0.3))
    assert time.perf_counter() - started < 2


def test_a_handshake_that_never_ends_is_cut_off(get: Callable[..., Page]) -> None:
    with peer(PEERS["body, dripping"]) as url:
        started = time.perf_counter()
        with pytest.raises(FetchError):
            get(url.replace("http:", "https:"), guard=LOCAL, limits=LIMITS)
    assert time.perf_counter() - started < LIMITS.timeout_s + 1.0


def test_the_time_is_for_all_redirects_together(get: Callable[..., Page]) -> None:
    with peer(lambda: _later(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")) as url:
        started = time.perf_counter()
        with pytest.raises(FetchError, match="within 1 s"):
            get(url, guard=LOCAL, limits=FetchLimits(timeout_s=1.0, redirects=20))
    assert time.perf_counter() - started < 2


def _later(answer: bytes) -> Any:
    time.sleep(0.4)
    yield answer
