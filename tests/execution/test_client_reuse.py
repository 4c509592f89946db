"""Calls that may take different times share one client and its connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from langchain_atlas import LiveExecutor, Pair, Pool, Query
from langchain_atlas.loop.deadlines import deadline
from langchain_atlas.testing import Failure

if TYPE_CHECKING:
    from fixture_types import Reach, Serve

SMALL = Pair("small")


def clients() -> int:
    import litellm

    return len(litellm.in_memory_llm_clients_cache.cache_dict)


@pytest.mark.parametrize("reply", ["42", Failure(500)], ids=["answered", "repeated"])
def test_calls_with_other_deadlines_share_a_client(serve: Serve, reach: Reach, short_pauses: None, reply: str) -> None:
    executor = LiveExecutor(Pool(models=(reach(serve(reply), "small"),)), timeout_s=20, retries=2)

    def ask(seconds: float) -> None:
        with deadline(seconds):
            executor.run(SMALL, Query(text="What is six times seven?"))

    async def aask() -> None:
        for seconds in (10, 11.5, 12.25, 13):
            with deadline(seconds):
                await executor.arun(SMALL, Query(text="What is six times seven?"))

    ask(15)
    before = clients()
    for seconds in (10, 11.5, 12.25, 13):
        ask(seconds)
    assert clients() == before
    asyncio.run(aask())
    assert clients() <= before + 1, "the event loop's own"
