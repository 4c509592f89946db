"""Deadlines, which everything called within them can read."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

T = TypeVar("T")

_END: ContextVar[float] = ContextVar("atlas_deadline", default=math.inf)
_ALLOWED: ContextVar[float | None] = ContextVar("atlas_allowance", default=None)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Set a deadline for the block, this many seconds from now; an earlier outer deadline stays in force.

    Args:
        seconds: time allowed; None sets no new deadline.
    """
    if seconds is None:
        yield
        return
    token = _END.set(min(_END.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _END.reset(token)


@contextmanager
def allowance(seconds: float | None) -> Iterator[None]:
    """Allow the work in the block this many seconds from the moment it starts; see `started`.

    Args:
        seconds: time allowed; None for no limit.
    """
    token = _ALLOWED.set(seconds)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def started() -> AbstractContextManager[None]:
    """Start the clock of the enclosing `allowance`, if any; the time before it does not count."""
    seconds = _ALLOWED.get()
    return nullcontext() if seconds is None else _started(seconds)


@contextmanager
def _started(seconds: float) -> Iterator[None]:
    with allowance(None), deadline(seconds):
        yield


def begun_within(seconds: float | None, items: Iterator[T]) -> Iterator[T]:
    """Yield items; the work for the first of them, such as sending a request, has this many seconds.

    What follows must enforce its own limit: a deadline around the whole would count the time between items.
    """
    end = object()
    with deadline(seconds):
        item: Any = next(items, end)
    while item is not end:
        yield item
        item = next(items, end)


async def abegun_within(seconds: float | None, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Async version of `begun_within`."""
    end = object()
    with deadline(seconds):
        item: Any = await anext(items, end)
    while item is not end:
        yield item
        item = await anext(items, end)


def seconds_left() -> float:
    """Return the seconds left; infinity without a deadline, 0 once it has passed."""
    return max(0.0, _END.get() - time.monotonic())
