"""What moved a query to the pair that it goes to: one part of the router, the guard, or the setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.utility.estimates import PairEstimates

_ALIKE = 1e-9


def moved(
    expected: PairEstimates,
    allowed: NDArray[np.bool_],
    trusted: NDArray[np.float64],
    chosen: int,
    pairs: Sequence[Pair],
) -> str:
    """Say what moved a query to a pair, in one short sentence with a space before it; empty if that is not known.

    Args:
        expected: the estimates for every pair.
        allowed: the pairs that may be called, shape [n_pairs].
        trusted: the expected success without price, less the guard's margin, shape [n_pairs].
        chosen: column of the pair that the query goes to.
        pairs: the pairs.
    """
    likeliest, safest = _best(expected.success, allowed, chosen), _best(trusted, allowed, chosen)
    if safest != chosen:
        return f" The setting moved it here from {pairs[safest]}: cost or time counts too."
    if likeliest != chosen:
        return f" The guard moved it here from {pairs[likeliest]}: too little is known of that one here."
    if not expected.parts:
        return ""
    (first, alone), *others = expected.parts.items()
    before = _best(alone, allowed, chosen)
    if before == chosen:
        return f" {first}'s own record decides."
    name, _ = max(others, key=lambda each: each[1][chosen] - each[1][before])
    return f" {name} moved it here from {pairs[before]}, which the cluster's own record prefers."


def _best(values: NDArray[np.float64], allowed: NDArray[np.bool_], chosen: int) -> int:
    """Return the column of the highest allowed value; of equals, the chosen one."""
    masked = np.where(allowed, values, -np.inf)
    best = int(masked.argmax())
    return chosen if masked[chosen] >= masked[best] - _ALIKE else best
