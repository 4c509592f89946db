"""Calls of models end in time and in size, whatever the provider does."""

from __future__ import annotations

import asyncio
import resource
import threading
import time
from typing import TYPE_CHECKING, Any

import misbehaving
import pytest
from misbehaving import Misbehaving

from langchain_atlas import LiveExecutor, Model, Pair, Pool, Query
from langchain_atlas.errors import SettingError
from langchain_atlas.testing import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixture_types import Reach, Run, Serve

SMALL = Pair("small")
QUESTION = Query(text="What is up?")
ENDLESS = ("drip", "drip_headers", "ask_to_go_on")
HUGE = ("never_end", "pack_twice", "pack_once")


@pytest.fixture
def executor_at(serve: Serve) -> Callable[..., LiveExecutor]:
    def make(server: Misbehaving, provider: str = "openai", **settings: Any) -> LiveExecutor:
        def at(url: str) -> Pool:
            base = url if provider == "openai" else url.removesuffix("/v1")
            options = {"api_base": base}
            model = Model(name="small", litellm=f"{provider}/small", options=options, api_key_env="ATLAS_TEST_KEY")
            return Pool(models=(model,))

        if provider not in _WARM:  # LiteLLM imports some of itself with the first call, which takes its time
            LiveExecutor(at(serve(Failure(400)).url), retries=0).run(SMALL, QUESTION)
            _WARM.add(provider)
        executor = LiveExecutor(at(server.url), **{"timeout_s": 1.0, **settings})
        executor.chat_model("small")
        return executor

    return make


_WARM: set[str] = set()


@pytest.fixture
def memory_grows_little() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kilobytes"


class TestTimeout:
    @pytest.mark.parametrize("way", ENDLESS)
    @pytest.mark.parametrize("provider", ["openai", "anthropic"])
    def test_is_a_deadline(self, executor_at: Any, run: Run, way: str, provider: str) -> None:
        with Misbehaving(getattr(misbehaving, way)) as server:
            executor = executor_at(server, provider)
            start, threads = time.perf_counter(), threading.active_count()
            seen = run(executor, SMALL, QUESTION)
            took = time.perf_counter() - start
            assert took < 2
            assert str(seen.error).startswith("Timeout: ")
            assert server.connections == 1
            assert server.hung_up.wait(3), "the connection is given up too"
        assert threading.active_count() <= threads + 2

    @pytest.mark.parametrize("way", ["drip_a_stream", "drip_headers", "ask_to_go_on"])
    def test_is_a_deadline_for_streams(self, executor_at: Any, way: str) -> None:
        with Misbehaving(getattr(misbehaving, way)) as server:
            chat_model = executor_at(server).chat_model("small")
            start = time.perf_counter()
            with pytest.raises(Exception, match="no full answer within 1 s"):
                list(chat_model.stream("hi"))
            assert time.perf_counter() - start < 2

            async def read() -> None:
                async for _ in chat_model.astream("hi"):
                    pass

            start = time.perf_counter()
            with pytest.raises(Exception, match="no full answer within 1 s"):
                asyncio.run(read())
            assert time.perf_counter() - start < 2

    def test_leaves_out_the_time_that_a_reader_of_a_stream_takes(self, serve: Serve, reach: Reach) -> None:
        executor = LiveExecutor(Pool(models=(reach(serve("one two three four five")),)), timeout_s=1.0)
        chunks = []
        for chunk in executor.chat_model("small").stream("hi"):
            time.sleep(0.3)
            chunks.append(chunk.text)
        assert "".join(chunks) == "one two three four five"

    @pytest.mark.parametrize("asked", ["29", "2", "0.9"])
    def test_holds_for_the_pauses_that_a_provider_asks_for(
        self, serve: Serve, reach: Reach, run: Run, asked: str
    ) -> None:
        server = serve(Failure(429, headers={"retry-after": asked}))
        executor = LiveExecutor(Pool(models=(reach(server),)), timeout_s=1.0, retries=2)
        executor.chat_model("small")
        start = time.perf_counter()
        error = str(run(executor, SMALL, QUESTION).error)
        assert error.startswith(("RateLimitError: ", "Timeout: "))  # on a busy machine the last try may be cut off
        assert time.perf_counter() - start < 3

    def test_holds_for_all_attempts_together(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(Failure(500), delay_s=0.6)
        executor = LiveExecutor(Pool(models=(reach(server),)), timeout_s=1.0, retries=5)
        executor.chat_model("small")
        start = time.perf_counter()
        assert run(executor, SMALL, QUESTION).failed
        assert time.perf_counter() - start < 1.5


@pytest.mark.usefixtures("memory_grows_little")
class TestSize:
    @pytest.mark.parametrize("way", HUGE)
    def test_of_a_reply_has_a_limit(self, executor_at: Any, run: Run, way: str) -> None:
        with Misbehaving(getattr(misbehaving, way)) as server:
            executor = executor_at(server, timeout_s=20.0, max_reply_bytes=2_000_000)
            start = time.perf_counter()
            seen = run(executor, SMALL, QUESTION)
            assert time.perf_counter() - start < 10
            assert "longer than 2,000,000 bytes" in str(seen.error)
            assert server.connections == 1, "it would be as long again"

    def test_of_a_stream_has_a_limit(self, executor_at: Any) -> None:
        with Misbehaving(misbehaving.never_end_a_stream) as server:
            chat_model = executor_at(server, timeout_s=20.0, max_reply_bytes=2_000_000).chat_model("small")
            with pytest.raises(Exception, match="longer than 2,000,000 bytes"):
                list(chat_model.stream("hi"))

    def test_of_an_error_has_a_limit(self, serve: Serve, reach: Reach, run: Run) -> None:
        executor = LiveExecutor(Pool(models=(reach(serve(Failure(400, "no! " * 50_000))),)), retries=0)
        seen = run(executor, SMALL, QUESTION)
        assert str(seen.error).startswith("BadRequestError: ")
        assert len(str(seen.error)) < 5_000

    def test_of_an_error_that_never_ends_is_cut(self, executor_at: Any, run: Run) -> None:
        with Misbehaving(misbehaving.never_end_an_error) as server:
            executor = executor_at(server, timeout_s=20.0, retries=0)
            start = time.perf_counter()
            seen = run(executor, SMALL, QUESTION)
            assert time.perf_counter() - start < 5
            assert str(seen.error).startswith("BadRequestError: ")
            assert len(str(seen.error)) < 5_000
            assert server.hung_up.wait(3)

    def test_of_a_reply_that_is_allowed_is_no_limit(self, serve: Serve, reach: Reach, run: Run) -> None:
        executor = LiveExecutor(Pool(models=(reach(serve("long " * 200_000)),)))
        assert len(run(executor, SMALL, QUESTION).answer or "") > 999_000

    def test_must_be_one(self, reach: Reach, serve: Serve) -> None:
        with pytest.raises(SettingError, match="max_reply_bytes is 0"):
            LiveExecutor(Pool(models=(reach(serve("hi")),)), max_reply_bytes=0)
