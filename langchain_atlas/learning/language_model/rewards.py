"""The reward of a transcript: section 3 of the paper, and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError
from langchain_atlas.routers.prompted.format_rules import broken_rules
from langchain_atlas.routers.prompted.tags import MALFORMED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.pool.pool import Pair

MISCHOSEN = -0.15
"""`R_sel` where the answer is not that of the optimal pair."""

COMPONENTS = ("format", "outcome", "selection", "cost")
"""The components of a transcript's reward."""


@dataclass(frozen=True)
class TranscriptRewards:
    """Weights of the components; 0 turns one off.

    Raises:
        SettingError: a weight is negative.
    """

    format: float = 1.0
    """Weight of `R_fmt`: 0 for a well-formed transcript, -1 for any other."""
    outcome: float = 1.0
    """Weight of `R_out`, the score of the answer, 0 to 1 (the paper's gamma)."""
    selection: float = 1.0
    """Weight of `R_sel`: 0 if the answer is the optimal pair's, else -0.15 (the paper's xi)."""
    cost: float = 0.0
    """Score that a call of the most expensive pair is worth; the paper has no such term."""

    def __post_init__(self) -> None:
        for name in COMPONENTS:
            if not getattr(self, name) >= 0:
                raise SettingError(f"The weight of {name!r} is {getattr(self, name)!r}; it must be 0 or more.")

    def components(
        self, transcript: str, pairs: Sequence[Pair], *, score: float, optimal: bool, cost: float
    ) -> dict[str, float]:
        """Return every component, weighted; their sum is the reward.

        Args:
            transcript: everything that the policy wrote, with the results in between.
            pairs: the pairs that could be called.
            score: score of the answer, 0 to 1; 0 if there is none.
            optimal: whether the answer is that of the cheapest pair that is right, or no pair is right.
            cost: cost of all calls, 1 for a call of the most expensive pair.
        """
        return {
            "format": self.format * (MALFORMED if broken_rules(transcript, pairs) else 0.0),
            "outcome": self.outcome * score,
            "selection": self.selection * (0.0 if optimal else MISCHOSEN),
            "cost": -self.cost * cost,
        }
