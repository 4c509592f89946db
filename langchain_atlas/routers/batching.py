"""Queries of many tasks on one event loop, decided together: one thread and one encoder pass for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Sequence

    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Decision, Query

_MOST = 256
"""Maximum number of queries in a batch."""


class _Gathering:
    """The queries that wait for one router on one event loop, and the task that decides them."""

    def __init__(self, router: Router, drained: Callable[[], object]) -> None:
        self._router = router
        self._drained = drained
        self._waiting: list[tuple[Query, Future[Decision]]] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, query: Query) -> Future[Decision]:
        """Queue a query; it is decided together with all others that are waiting."""
        future: Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, future))
        if self._task is None:
            self._task = asyncio.create_task(self._decide_all())
        return future

    async def _decide_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                asked = [(query, future) for query, future in batch if not future.done()]
                decided = await asyncio.to_thread(_decide, self._router, [query for query, _ in asked])
                for (_, future), outcome in zip(asked, decided, strict=True):
                    if future.done():  # its task was cancelled in the meantime
                        continue
                    if isinstance(outcome, Exception):
                        future.set_exception(outcome)
                    else:
                        future.set_result(outcome)
        finally:
            self._drained()


_gatherings: WeakKeyDictionary[AbstractEventLoop, dict[int, _Gathering]] = WeakKeyDictionary()
"""By event loop and identity of the router; an entry keeps its router alive."""


async def decide_together(router: Router, query: Query) -> Decision:
    """Decide the first step of a query, in one batch with the queries of other tasks on this event loop.

    While a batch is being decided, new queries wait for the next one.

    Args:
        router: the router that decides.
        query: the query.

    Raises:
        AtlasError: what `Router.decide` raises for this query; the other queries of the batch are not affected.
    """
    here, key = _gatherings.setdefault(asyncio.get_running_loop(), {}), id(router)
    if key not in here:
        here[key] = _Gathering(router, lambda: here.pop(key))
    return await here[key].add(query)


def _decide(router: Router, queries: Sequence[Query]) -> list[Decision | Exception]:
    """Decide each query; one that can't be decided gets its own error."""
    if len(queries) > 1:
        try:
            return [*router.decide_batch(queries)]
        except Exception:  # noqa: BLE001  # deciding each alone shows which query raised it
            return [_decide_one(router, query) for query in queries]
    return [_decide_one(router, query) for query in queries]


def _decide_one(router: Router, query: Query) -> Decision | Exception:
    try:
        return router.decide(query)
    except Exception as error:  # noqa: BLE001  # handed to the caller
        return error
