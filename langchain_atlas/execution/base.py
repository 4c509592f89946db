"""The contract of everything that acts."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_atlas.pool import Pair
    from langchain_atlas.trajectory import Observation, Query


class Executor(ABC):
    """Runs a pair on a query and returns what was observed."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it can run; empty when it can't tell."""
        return ()

    def suited(self, query: Query) -> frozenset[Pair] | None:
        """Return the pairs that can answer this query at all, by whether it has images; None when it can't tell."""
        del query
        return None

    @abstractmethod
    def run(self, pair: Pair, query: Query) -> Observation:
        """Run `pair` on `query`.

        Returns:
            What came back. A call that fails is an observation with its error, not an exception.

        Raises:
            PoolError: the executor has no such pair.
        """

    async def arun(self, pair: Pair, query: Query) -> Observation:
        """Do what `run` does without blocking the event loop."""
        return await asyncio.to_thread(self.run, pair, query)
