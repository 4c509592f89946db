"""Whole trajectories of many queries at once, on recorded outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.process import DecisionProcess
from langchain_atlas.learning.tensors import as_tensors
from langchain_atlas.routers.policy.floor import with_floor
from langchain_atlas.routers.policy.least_gain import with_least_gain
from langchain_atlas.routers.policy.network import PlainPolicy
from langchain_atlas.routers.policy.state_features import MAX_CALLS

if TYPE_CHECKING:
    from torch import Tensor

    from langchain_atlas.learning.recordings import Recordings
    from langchain_atlas.routers.policy.network import Policy
    from langchain_atlas.routers.policy.state_features import PriorFeatures, State


@dataclass(frozen=True)
class Outcomes:
    """The results of some trajectories, shape [B]."""

    score: Tensor
    """Score of the answer given; 0 where there was none."""
    cost: Tensor
    """Cost of all calls, in dollars."""
    calls: Tensor
    """Number of calls."""
    answered: Tensor
    """Column whose answer was given, -1 where there was none."""
    called: Tensor
    """Columns of the calls, -1 for calls not made, shape [B, T]."""


@torch.no_grad()
def follow(
    policy: Policy,
    recordings: Recordings,
    prior: PriorFeatures,
    price: float,
    *,
    turns: int = MAX_CALLS,
    least_gain: float = 0.0,
    floor: tuple[Tensor, float] | None = None,
) -> Outcomes:
    """Take the best action in every state, from the start to the answer, on all queries of the recordings.

    Args:
        policy: the policy.
        recordings: the outcomes to replay.
        prior: what is known of every pair on each query.
        price: score that one unit of cost is worth.
        turns: maximum number of calls.
        least_gain: see `with_least_gain`.
        floor: column of the default pair on each query, shape [B], and the margin of `with_floor`; None for none.
    """
    plain = policy.plain()
    learned = CompactPolicy.of(plain) if isinstance(plain, PlainPolicy) else plain
    n, process = len(recordings), DecisionProcess(recordings, horizon=turns)
    start = process.start(torch.arange(n), as_tensors(prior), recordings.recorded, torch.full((n,), price))

    def best(state: State) -> Tensor:
        assessed = learned.assess(state)
        values = assessed.action_values
        if floor is not None and not policy.config.cautious:
            values = with_floor(values, state, *floor)
        values = with_least_gain(values, state, least_gain)
        return torch.where(assessed.mask, values, -torch.inf).argmax(dim=1)

    cost, end = torch.zeros(n), start
    for turn in process.turns(start, best):
        cost += process.cost(turn.before, turn.action)
        end = turn.after
    return Outcomes(
        score=process.score(end),
        cost=cost * recordings.featurizer.scale.dollars,
        calls=(end.called >= 0).sum(1),
        answered=end.answered,
        called=end.called,
    )
