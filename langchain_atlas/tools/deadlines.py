"""Waiting for work with a time limit."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


def within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """Return the result of some work, or stop waiting for it.

    It runs in a separate thread, because a name lookup, or a server that sends a byte now and then, can't be
    interrupted. An abandoned thread ends on its own, or with the process.

    Raises:
        TimeoutError: the work takes longer than `seconds`.
    """
    results: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((True, work()))
        except BaseException as error:  # noqa: BLE001  # raised again by whoever waits
            results.put((False, error))

    context = contextvars.copy_context()  # so that callbacks and traces keep their context
    threading.Thread(target=context.run, args=(run,), name="atlas-tool", daemon=True).start()
    try:
        succeeded, result = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if not succeeded:
        raise result
    return result  # type: ignore[no-any-return]


async def awithin(seconds: float, work: Callable[[], _Result]) -> _Result:
    """Do what `within` does without blocking the event loop.

    Raises:
        TimeoutError: it takes longer than that.
    """
    return await asyncio.to_thread(within, seconds, work)
