"""Budgets: how many dollars a run of a pair may still use, known to whoever makes its calls."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_atlas.errors import ConstraintError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Budget:
    """What a run may use."""

    usd: float
    """Dollars that are left of the query's limit."""
    expected_usd: float | None = None
    """Dollars that a call of unknown cost counts as; None where nothing is expected of it."""
    limit: str = "max_cost_usd"
    """Name of the limit that leaves so many."""

    def check(self, known_usd: float, unknown_calls: int) -> None:
        """Make sure that another model call may be made.

        Args:
            known_usd: dollars of the calls whose cost is known.
            unknown_calls: number of the other calls.

        Raises:
            ConstraintError: the budget is used up, or nobody knows whether it is.
        """
        if unknown_calls and self.expected_usd is None:
            raise ConstraintError(
                f"{self.usd:.3g} dollars were left for this run, and what its calls cost is not known, so it makes no "
                f"more of them. Give the model's prices in the pool, or lift {self.limit}."
            )
        used = known_usd + unknown_calls * (self.expected_usd or 0.0)
        if used >= self.usd and used > 0:  # where nothing is left, calls that cost nothing go on
            raise ConstraintError(
                f"{used:.3g} dollars are used of the {self.usd:.3g} that were left for this run, so it makes no more "
                f"calls. Raise {self.limit}."
            )


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
