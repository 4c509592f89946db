"""A budget that holds: what is spent, and what the runs under way may still cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_atlas.amounts import known_dollars

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping


@dataclass
class Purse:
    """Dollars for some runs."""

    budget_usd: float
    """Dollars for all of them."""
    spent_usd: float = 0.0
    """Dollars that were spent, or that runs of unknown cost were expected to cost."""
    refused: int = 0
    """Number of runs that did not fit."""
    _reserved: dict[Hashable, float] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Dollars that are not spent."""
        return max(0.0, self.budget_usd - self.spent_usd)

    def reserve(self, run: Hashable, most_usd: float | None) -> bool | None:
        """Set aside what a run may cost.

        Returns:
            Whether it fits; None if it does not fit now, but may once the runs under way are paid for.
        """
        if most_usd is None or most_usd > self.left:
            self.refused += 1
            return False
        if most_usd > self.left - sum(self._reserved.values()):
            return None
        self._reserved[run] = most_usd
        return True

    def pay(self, run: Hashable, cost_usd: float | None) -> None:
        """Note what a run cost; one of unknown cost cost what was set aside for it."""
        reserved = self._reserved.pop(run, 0.0)
        self.spent_usd += reserved if cost_usd is None else cost_usd


def spent_in(rows: Iterable[Mapping[str, Any]]) -> float:
    """Return the known dollars of outcomes, as rows of the table."""
    return sum(known_dollars(row.get("cost_usd")) or 0.0 for row in rows)
