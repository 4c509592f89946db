"""Which pairs are expected to satisfy a query's constraints, for all routers.

The loop itself refuses what exceeds a limit, whichever router decides; see `loop/limits/trajectory_limits.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import ConstraintError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.trajectory import Query, Trajectory


@dataclass(frozen=True)
class Feasible:
    """What a query's constraints permit before a decision."""

    allowed: NDArray[np.bool_]
    """Pairs that may be called, shape [n_pairs]."""
    reason: str
    """Why no pair may be called, if none may."""

    def checked(self) -> NDArray[np.bool_]:
        """Return the pairs that may be called, shape [n_pairs].

        Raises:
            ConstraintError: no pair may be called.
        """
        if not self.allowed.any():
            raise ConstraintError(self.reason)
        return self.allowed


def feasible(
    query: Query,
    trajectory: Trajectory,
    pairs: Sequence[Pair],
    cost: NDArray[np.float64],
    latency: NDArray[np.float64],
    *,
    permitted: NDArray[np.bool_] | None = None,
) -> Feasible:
    """Return which pairs may be called so that the trajectory is expected to stay within the query's limits.

    Limits apply to the whole trajectory, in expectation. A call whose cost is unknown, such as a failed one, counts as
    the expected cost of its pair; if that is unknown too, nothing is left to spend. A run that
    called its model several times at an unknown cost counts so for each call. A pair of unknown cost can't be
    expected to stay within a limit on cost. The same applies to latency.

    Args:
        query: the query, with its constraints.
        trajectory: the calls made for it.
        pairs: the router's pairs.
        cost: expected dollars of a call of each pair, shape [n_pairs]; NaN or infinite where unknown.
        latency: expected seconds of a call of each pair, shape [n_pairs]; NaN or infinite where unknown.
        permitted: the pairs to choose from, shape [n_pairs]; by default, those that the query allows.
    """
    if permitted is None:
        wanted = query.constraints.pairs
        permitted = np.array([wanted is None or pair in wanted for pair in pairs])
    limits = query.constraints
    if limits.max_cost_usd is None and limits.max_latency_s is None and permitted.any():
        return Feasible(permitted, "")
    allowed, made = permitted, trajectory.observations
    reason = "No pair is left to ask." if allowed.any() else "The query allows none of the router's pairs."
    for limit, expected, seen, unit, times in (
        (limits.max_cost_usd, cost, [call.cost_usd for call in made], "dollars", True),
        (limits.max_latency_s, latency, [call.latency_s for call in made], "seconds", False),
    ):
        if limit is None:
            continue
        spent = 0.0
        for call, used in zip(made, seen, strict=True):
            unknown = _expected_of(call.pair, pairs, expected) * (max(1, call.model_calls) if times else 1)
            spent += unknown if used is None else used
        total = np.where(np.isfinite(expected), expected, np.inf) + spent  # NaN where what was spent is unknown
        fits = total <= limit
        if allowed.any() and not (allowed & fits).any():
            reason = _refusal(limit, unit, spent, total[allowed])
        allowed = allowed & fits
    return Feasible(allowed, reason)


def untried(query: Query, trajectory: Trajectory, pairs: Sequence[Pair]) -> NDArray[np.bool_]:
    """Return the pairs that the query allows and that have not failed, shape [n_pairs].

    Pairs of a provider that failed are included only if there are no others.

    Args:
        query: the query.
        trajectory: the calls made for it.
        pairs: the router's pairs.
    """
    wanted = query.constraints.pairs
    failed = {seen.pair for seen in trajectory.observations if seen.failed}
    left = np.array([pair not in failed and (wanted is None or pair in wanted) for pair in pairs])
    better: NDArray[np.bool_] = left & np.array([pair not in query.avoid for pair in pairs])
    return better if better.any() else left


def _expected_of(pair: Pair, pairs: Sequence[Pair], expected: NDArray[np.float64]) -> float:
    """Return what was expected of a call; NaN if unknown, as for a pair that is not the router's."""
    value = float(expected[pairs.index(pair)]) if pair in pairs else np.nan
    return value if np.isfinite(value) else np.nan


def _refusal(limit: float, unit: str, spent: float, totals: NDArray[np.float64]) -> str:
    known = totals[np.isfinite(totals)]
    least = f"{known.min():.3g}" if known.size else "unknown for every pair"
    after = (
        f" after {spent:.3g} already spent" if spent > 0 else " after calls of unknown use" if np.isnan(spent) else ""
    )
    return f"No pair is expected to stay within {limit:g} {unit}{after}; the least is {least}. Raise the limit."
