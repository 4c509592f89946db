"""What a trajectory is rewarded for: section 3 of the paper, and its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

RIGHT = 0.5
"""Least score of an answer that counts as right where right and wrong are told apart."""

MALFORMED = -1.0
"""`R_fmt` of a trajectory that ends without an answer; a compact policy can't write any other malformed one."""

MISCHOSEN = -0.15
"""`R_sel` of a trajectory whose answer is by a pair that costs more than the cheapest right one."""


@dataclass(frozen=True)
class Rewards:
    """Weights of the components; 0 switches one off."""

    outcome: float = 1.0
    """Weight of the score of the answer given (the paper's gamma)."""
    selection: float = 0.0
    """Weight of having been answered by no dearer a pair than the cheapest of those that are right (the paper's xi, 1
    there); whether the answer is right is the outcome's part. Off by default: it rewards agreeing with hindsight,
    which costs accuracy here; see ``docs/rl.md``."""
    format: float = 1.0
    """Weight of ending with an answer."""
    cost: float = 1.0
    """Weight of the cost term: the price times what was spent, 1 for a call of the dearest pair."""

    def components(
        self, score: Tensor, answered: Tensor, optimal: Tensor, cost: Tensor, price: Tensor
    ) -> dict[str, Tensor]:
        """Return every component, weighted, shape [B] each.

        Args:
            score: of the answer given, 0 to 1.
            answered: whether there is an answer.
            optimal: whether its pair costs no more than the cheapest that is right.
            cost: of all calls, in units of the dearest pair's.
            price: score that one unit of cost is worth.
        """
        return {
            "outcome": self.outcome * score * answered,
            "selection": self.selection * MISCHOSEN * (~optimal).float(),
            "format": self.format * MALFORMED * (~answered).float(),
            "cost": -self.cost * price * cost,
        }
