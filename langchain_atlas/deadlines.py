"""Deadlines: by when something must be done, known to whatever is done on the way."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_END: ContextVar[float] = ContextVar("atlas_deadline", default=math.inf)


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


def seconds_left() -> float:
    """Return how many seconds are left, infinite where there is no deadline; 0 once it is over."""
    return max(0.0, _END.get() - time.monotonic())
