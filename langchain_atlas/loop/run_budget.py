"""Budgets: how many dollars a run of a pair may still use, known to whoever makes its calls."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Budget:
    """What a run may use."""

    usd: float
    """Dollars that are left of the query's limit."""
    expected_usd: float | None = None
    """Dollars that a call of unknown cost counts as; None where nothing is expected of it."""


_BUDGET: ContextVar[Budget | None] = ContextVar("atlas_budget", default=None)


@contextmanager
def budget(given: Budget | None) -> Iterator[None]:
    """Give the run that is started inside a budget; None for no limit."""
    token = _BUDGET.set(given)
    try:
        yield
    finally:
        _BUDGET.reset(token)


def current_budget() -> Budget | None:
    """Return the budget of the run that is started here; None where there is no limit."""
    return _BUDGET.get()
