"""The choice of a pair by utility, before it is explained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.routers.utility.estimates import PairEstimates


class Choice(NamedTuple):
    """The pair chosen for a query."""

    expected: PairEstimates
    """The estimates for every pair."""
    allowed: NDArray[np.bool_]
    """The pairs that may be called, shape [n_pairs]."""
    utility: NDArray[np.float64]
    """Their utility, shape [n_pairs]; minus infinity for the others."""
    best: int
    """Column of the chosen pair."""
    second: int | None
    """Column of the next best, or of the pair that the guard kept the query from."""
    rule: str
    """The rule that decided."""


def top_two(utility: NDArray[np.float64]) -> tuple[int, int | None]:
    """Return the columns of the highest utility and of the next, if that may be called too."""
    others = np.fmax(utility, -np.inf)  # which an unknown utility counts as
    best = int(others.argmax())
    others[best] = -np.inf
    second = int(others.argmax())
    return best, second if math.isfinite(others[second]) else None
