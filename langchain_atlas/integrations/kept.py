"""Results that LangGraph keeps in a run's checkpoint, so that a run that resumes does not work for them again."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from langgraph.errors import GraphBubbleUp
from langgraph.func import task

from langchain_atlas.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PATIENCE_S = 0.5
"""Seconds that a synchronous node waits for a thread to come free before it does the work itself."""


def kept(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `work` returns, or what it returned before the run was resumed.

    LangGraph runs a task in its thread pool, where nodes that wait for their tasks may hold every thread (there are a
    few more than cores, or ``max_concurrency``). So a task that does not start in time is worked on right here; the
    pool then takes note of its result when it can.

    Args:
        name: what the task is called in streams and traces.
        work: returns plain JSON.

    Raises:
        ExecutionError: the work wants to interrupt the graph, and no thread came free for it.
    """
    begun = threading.Lock()
    result: Future[dict[str, Any]] = Future()

    def run() -> dict[str, Any]:
        if begun.acquire(blocking=False):
            _settle(result, work)
        return result.result()

    run.__name__ = name
    future = task(run)()
    wait([future], PATIENCE_S)
    if future.done() or not begun.acquire(blocking=False):
        return future.result()
    _settle(result, work)
    try:
        return result.result()
    except GraphBubbleUp as interruption:
        raise ExecutionError(
            f"{name!r} wants to interrupt the graph, but the graph's threads are all taken. Give the run a "
            "'max_concurrency' above the number of branches that run at once, or run it on an event loop (ainvoke)."
        ) from interruption


async def akept(name: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Do what `kept` does on the event loop, where no thread is waited for."""

    async def run() -> dict[str, Any]:
        return await work()

    run.__name__ = name
    done: dict[str, Any] = await task(run)()
    return done


def _settle(result: Future[dict[str, Any]], work: Callable[[], dict[str, Any]]) -> None:
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001  # it is raised where the result is asked for
        result.set_exception(error)
