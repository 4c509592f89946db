"""Whole trajectories of many queries at once, on recorded outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from langchain_atlas.routers.floor import with_floor
from langchain_atlas.routers.situation import MAX_CALLS

if TYPE_CHECKING:
    from torch import Tensor

    from langchain_atlas.learning.recordings import Recordings
    from langchain_atlas.routers.policy import CompactPolicy
    from langchain_atlas.routers.situation import Prospect


@dataclass(frozen=True)
class Outcomes:
    """What came of some trajectories, shape [B]."""

    score: Tensor
    """Score of the answer given."""
    cost: Tensor
    """Cost of all calls, in dollars."""
    calls: Tensor
    """Number of calls."""
    answered: Tensor
    """Column whose answer was given."""
    called: Tensor
    """Columns of the calls, -1 for calls not made, shape [B, T]."""


@torch.no_grad()
def follow(
    policy: CompactPolicy,
    recordings: Recordings,
    prospect: Prospect,
    price: float,
    *,
    turns: int = MAX_CALLS,
    floor: tuple[Tensor, float] | None = None,
) -> Outcomes:
    """Take the best action everywhere, from the start to the answer, on all queries of the recordings.

    Args:
        policy: the policy.
        recordings: what is replayed.
        prospect: what is known of every pair on each query.
        price: score that one unit of cost is worth.
        turns: most calls.
        floor: column of the default pair on each query, shape [B], and the margin of `with_floor`; None for none.
    """
    policy.eval()
    n = len(recordings)
    rows = torch.arange(n)
    called = torch.full((n, MAX_CALLS), -1)
    prices = torch.full((n,), price)
    cost = torch.zeros(n)
    going = torch.ones(n, dtype=torch.bool)
    answered = torch.zeros(n, dtype=torch.long)
    for turn in range(turns + 1):
        situation = recordings.situation(
            prospect, rows, recordings.recorded, called, prices, torch.full((n,), turns - turn)
        )
        worth = policy(situation).worth
        if floor is not None and not policy.config.cautious:
            worth = with_floor(worth, situation, *floor)
        action = worth.argmax(dim=1)
        stops = going & (action < MAX_CALLS)
        answered = torch.where(stops, called.gather(1, action.clamp(max=MAX_CALLS - 1)[:, None]).squeeze(1), answered)
        going = going & ~stops
        column = action - MAX_CALLS
        if turn < turns:
            called[going, turn] = column[going]
            cost[going] += recordings.costs[rows[going], column[going]]
    return Outcomes(
        score=recordings.scores[rows, answered],
        cost=cost * recordings.outlook.scale[0],
        calls=(called >= 0).sum(1),
        answered=answered,
        called=called,
    )
