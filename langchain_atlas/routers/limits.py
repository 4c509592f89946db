"""What a query's limits leave to a router that makes several calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool import Pair
    from langchain_atlas.trajectory import Query, Trajectory


@dataclass(frozen=True)
class Limits:
    """What is left of a query's limits before a decision."""

    allowed: NDArray[np.bool_]
    """Pairs that may be called, shape [n_pairs]."""
    reason: str
    """Why no pair may be, where none may."""

    @classmethod
    def left(
        cls,
        query: Query,
        trajectory: Trajectory,
        pairs: Sequence[Pair],
        cost: NDArray[np.float64],
        latency: NDArray[np.float64],
    ) -> Self:
        """Return what is left.

        Args:
            query: what is asked, with its constraints.
            trajectory: the calls made for it. Where the cost of one is not known, nothing can be said to be left of a
                limit on cost; so with latency.
            pairs: the router's pairs.
            cost: dollars that a call of each is expected to take, shape [n_pairs]; infinite where unknown.
            latency: seconds, likewise.
        """
        wanted, made = query.constraints.pairs, trajectory.observations
        allowed = np.array([wanted is None or pair in wanted for pair in pairs])
        reason = "No pair is left to ask." if allowed.any() else "The query allows none of the router's pairs."
        for limit, expected, spent, unit in (
            (query.constraints.max_cost_usd, cost, [seen.cost_usd for seen in made], "dollars"),
            (query.constraints.max_latency_s, latency, [seen.latency_s for seen in made], "seconds"),
        ):
            if limit is None:
                continue
            known = [part for part in spent if part is not None]
            fits = expected <= (limit - sum(known) if len(known) == len(spent) else -np.inf)
            if not (allowed & fits).any() and allowed.any():
                least = np.min(expected[allowed])
                told = f"{least:.3g}" if np.isfinite(least) else "unknown for every pair"
                reason = (
                    f"No pair is expected to stay within {limit:g} {unit} with {len(made)} calls made; the least is "
                    f"{told}. Raise the limit."
                )
            allowed = allowed & fits
        return cls(allowed, reason)
