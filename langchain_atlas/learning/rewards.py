"""The reward of a trajectory: section 3 of the paper, and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

RIGHT = 0.5
"""Lowest score of an answer that counts as right where only right and wrong are distinguished."""

MALFORMED = -1.0
"""`R_fmt` of a trajectory that ends without an answer; a compact policy can't write any other malformed one."""

MISCHOSEN = -0.15
"""`R_sel` of a trajectory whose answer is from a pair that costs more than the cheapest right one."""


@dataclass(frozen=True)
class Rewards:
    """Weights of the components; 0 turns one off."""

    outcome: float = 1.0
    """Weight of the score of the answer given (the paper's gamma)."""
    selection: float = 0.0
    """Weight of answering with a pair that costs no more than the cheapest right one (the paper's xi, 1 there); whether
    the answer is right is part of the outcome's component. Off by default: it rewards agreement with hindsight, which
    costs accuracy here; see ``docs/rl-learning.md``."""
    format: float = 1.0
    """Weight of ending with an answer."""
    cost: float = 1.0
    """Weight of the cost component: the price times the cost, 1 for a call of the most expensive pair."""

    def components(
        self, score: Tensor, answered: Tensor, optimal: Tensor, cost: Tensor, price: Tensor
    ) -> dict[str, Tensor]:
        """Return every component, weighted, shape [B] each.

        Args:
            score: score of the answer given, 0 to 1.
            answered: whether there is an answer.
            optimal: whether its pair costs no more than the cheapest right one.
            cost: cost of all calls, 1 for a call of the most expensive pair.
            price: score that one unit of cost is worth.
        """
        return {
            "outcome": self.outcome * score * answered,
            "selection": self.selection * MISCHOSEN * (~optimal).float(),
            "format": self.format * MALFORMED * (~answered).float(),
            "cost": -self.cost * price * cost,
        }
