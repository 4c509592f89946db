"""The floor under path two: the default pair is asked where the policy's own answer is not expected to beat it.

The policy's expectation for an answer that it holds is compared with what the default pair is expected to do on this
query, at the price of asking it. What the expectation may be wrong by counts for the default pair, and more so the
farther the query lies from what is remembered. A cautious policy needs no floor: its cascade ends with the strongest
pair where answers do not agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from langchain_atlas.routers.policy.state import MAX_CALLS

if TYPE_CHECKING:
    from torch import Tensor

    from langchain_atlas.routers.policy.state import State

_ERROR = 0.02
"""Standard error of the policy's expectations near what is remembered, in parts of a right answer."""

_ERROR_BY_DISTANCE = 0.05
"""What a query adds to it that is twice as far from its neighbours as remembered queries are."""


def with_floor(values: Tensor, state: State, default: Tensor, margin: float) -> Tensor:
    """Return what each action is worth when asking the default pair is worth no less than that pair alone.

    Args:
        values: what the policy makes of each action, answers first, then pairs, shape [B, T + P].
        state: the states.
        default: column of the default pair of each, shape [B].
        margin: how many standard errors count for the default pair.
    """
    prior, rows = state.prior, torch.arange(len(values))
    overall, around = (prior.of_pairs(name)[rows, default] for name in ("success", "success_around"))
    chance = torch.sigmoid((overall + around) / 2)
    error = _ERROR + _ERROR_BY_DISTANCE * (prior.of_query("near") - 1).clamp(min=0)
    least = chance + margin * error - state.price * prior.cost[rows, default]
    # Before anything was asked it is only one way to begin: the policy may know a cheaper one.
    open_ = state.allowed[rows, default] & (state.turns > 0) & state.made.any(dim=1)
    column = MAX_CALLS + default
    raised = torch.where(open_, torch.maximum(values[rows, column], least), values[rows, column])
    return values.scatter(1, column[:, None], raised[:, None])
