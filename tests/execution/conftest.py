"""A local provider, and both ways of running a pair."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from provider import reach, serve, short_pauses

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import LiveExecutor, Observation, Pair, Query

__all__ = ["reach", "run", "serve", "short_pauses"]


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Callable[[LiveExecutor, Pair, Query], Observation]:
    """Run a pair: in the foreground and on an event loop."""
    if request.param == "sync":
        return lambda executor, pair, query: executor.run(pair, query)
    return lambda executor, pair, query: asyncio.run(executor.arun(pair, query))
