"""The floor of path two: the default pair is called if the policy's own answer is not expected to beat it.

The policy's estimate for an answer that it has is compared with the estimate for the default pair on this query, at
the price of calling it. The uncertainty of the estimate favours the default pair, more so the farther the query is
from the remembered ones. A cautious policy needs no floor: its cascade ends with the strongest pair when answers do not
agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.routers.arrays import Array, library_of, one_hot, sigmoid
from langchain_atlas.routers.policy.state_features import MAX_CALLS

if TYPE_CHECKING:
    from langchain_atlas.routers.policy.state_features import State

_ERROR = 0.02
"""Standard error of the policy's estimates near the remembered queries, as a fraction of a right answer."""

_ERROR_BY_DISTANCE = 0.05
"""Additional error for a query that is twice as far from its neighbours as remembered queries are."""


def with_floor(values: Array, state: State, default: Array, margin: float) -> Array:
    """Return each action's value if calling the default pair is worth at least as much as that pair alone.

    Args:
        values: the policy's value of each action, answers first, then pairs, shape [B, T + P].
        state: the states.
        default: column of the default pair of each state, shape [B].
        margin: number of standard errors that favour the default pair.
    """
    library = library_of(values)
    prior, rows = state.prior, library.arange(len(values))
    overall, around = (prior.of_pairs(name)[rows, default] for name in ("success", "success_around"))
    chance = sigmoid((overall + around) / 2)
    error = _ERROR + _ERROR_BY_DISTANCE * (prior.of_query("near") - 1).clip(min=0)
    least = chance + margin * error - state.price * prior.cost[rows, default]
    # Before any call, it is only one way to begin: the policy may know a cheaper one.
    open_ = state.allowed[rows, default] & (state.turns > 0) & state.made.any(axis=1)
    column = MAX_CALLS + default
    raised = library.where(open_, library.maximum(values[rows, column], least), values[rows, column])
    return library.where(one_hot(column, values.shape[1]), raised[:, None], values)
