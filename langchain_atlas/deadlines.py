"""Deadlines: by when something must be done, known to whatever is done on the way."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

T = TypeVar("T")

_END: ContextVar[float] = ContextVar("atlas_deadline", default=math.inf)
_ALLOWED: ContextVar[float | None] = ContextVar("atlas_allowance", default=None)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Give what is done inside so many seconds from now, and no more than it had before.

    Args:
        seconds: None for no limit of its own.
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
    """Give what is started inside so many seconds from when it starts, whenever that is; see `started`.

    Args:
        seconds: None for no limit.
    """
    token = _ALLOWED.set(seconds)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


@contextmanager
def started() -> Iterator[None]:
    """Start the clock of the `allowance` around, if there is one: what came before is not to count."""
    seconds = _ALLOWED.get()
    with allowance(None), deadline(seconds):
        yield


def begun_within(seconds: float | None, items: Iterator[T]) -> Iterator[T]:
    """Yield items; what is done for the first of them, such as sending a request, has so many seconds.

    What it leads to keeps to them by itself: a deadline around it would take in what is done between the items.
    """
    end = object()
    with deadline(seconds):
        item: Any = next(items, end)
    while item is not end:
        yield item
        item = next(items, end)


async def abegun_within(seconds: float | None, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Do what `begun_within` does on the event loop."""
    end = object()
    with deadline(seconds):
        item: Any = await anext(items, end)
    while item is not end:
        yield item
        item = await anext(items, end)


def seconds_left() -> float:
    """Return how many seconds are left, infinite where there is no deadline; 0 once it is over."""
    return max(0.0, _END.get() - time.monotonic())
