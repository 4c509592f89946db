"""What a router expects of each pair on one query."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class PairEstimates:
    """What a router expects of every pair on one query; arrays have shape [n_pairs]."""

    success: NDArray[np.float64]
    """Expected score, 0 to 1."""
    cost: NDArray[np.float64]
    """Expected dollars of a call; NaN where unknown."""
    latency: NDArray[np.float64]
    """Expected seconds of a call; NaN where unknown."""
    scaled_cost: NDArray[np.float64]
    """Cost scaled to [0, 1] over the pool."""
    scaled_latency: NDArray[np.float64]
    """Latency scaled to [0, 1] over the pool."""
    highest: tuple[float, float]
    """Dollars and seconds that correspond to a scaled cost and latency of 1; 0 where none is known."""
    rule: str
    """The rule that produced the estimates."""
    where: str
    """What the estimates are based on, for the decision's reason, such as ``cluster 3 (java)``."""
    evidence: NDArray[np.float64] | None = None
    """Number of outcomes behind each expected score; None when it can't be counted."""
    counted: NDArray[np.float64] | None = None
    """Number of outcomes, and of the prior's, that each expected score counts as; None where that is not known. The
    score then has a Beta distribution, with so many right and wrong outcomes as parameters."""
    cluster: int | None = None
    """The cluster that the query fell into."""
    distance: float | None = None
    """Distance to the queries that the estimates are based on."""
    default: int | None = None
    """Column of the default pair, if the router has one."""
    spread: NDArray[np.float64] | None = None
    """Standard error of each pair's success minus the default pair's; None where there is no default."""
    paired: NDArray[np.float64] | None = None
    """Number of paired outcomes with the default pair near the query."""
    parts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """What each part of the router expects alone, by its name in a sentence, the cluster's own record first; see
    `moved.moved`."""
    far: bool = False
    """Whether the query is farther away than nearly all logged queries."""

    def beta(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the parameters of every score's Beta distribution, shape [n_pairs] each; None when there is none."""
        return None if self.counted is None else (self.counted * self.success, self.counted * (1 - self.success))


def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale costs or latencies to [0, 1] over the pool; an unknown one counts as the pool's highest.

    Counting it as free would make unpriced pairs win; leaving it out would hide them.
    """
    top = highest_known(values)
    return np.where(np.isnan(values), 1.0, values / top if top > 0 else 0.0)


def highest_known(values: NDArray[np.float64]) -> float:
    """Return the highest known cost or latency; 0 where none is known."""
    return float(np.nanmax(values, initial=0.0))
