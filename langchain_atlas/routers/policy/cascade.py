"""The cascade that a cautious policy starts from: two cheap witnesses, then stronger pairs until two answers agree.

Where queries may be unlike those remembered, records say little about which answer is right, but two things still hold:
answers of different tools and models that say the same are mostly right, and the pair with the best record overall is
the best guess when none do. See ``docs/rl.md`` for what this rests on, and for how its constants were chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from langchain_atlas.routers.policy.state import State

BY_MODEL = 0.6
"""How much of a pair's strength is its model's record, the rest being its own: what a model does badly elsewhere, a
pair of it is not to be relied on for, whatever it did here."""

_THRIFT, _THRIFT_BY_PRICE = (0.3, 0.03, 0.0), (8.0, 0.3, 0.05)
"""Success that a witness, a third pair and a fourth may lack if they cost nothing in place of what the strongest pair
costs: at no price, and what a price of 1 adds. Where money is short, witnesses become cheaper first."""

_SAME_TOOL_WITNESS, _SAME_TOOL = 0.05, 0.06
"""What a second witness, and a later pair, lose for having a tool that has spoken: it may fail again as it did."""

_WORTH = (float("inf"), 0.15, 0.9, 0.6, 0.0)
"""Most that the next call may cost, in parts of a right answer, after 0, 1, ... calls."""

_WITNESSES = 2
"""Calls after which the witnesses have spoken."""

_STYLE, _BROKEN = 0.1, 0.3
"""What an answer in a form that mostly fails, or one that breaks a schema, takes off its pair's success."""

_CLEAR = 0.2
"""By how much a decided step is worth more than others."""

_SUPPORT = 10.0


def cascade_values(state: State) -> tuple[Tensor, Tensor]:
    """Return what the cascade makes of every answer, shape [B, T], and of every call, shape [B, P].

    After no or one call the cheapest good witness is worth most, of another tool than the first. When two answers say
    the same, they are given. When none do, a stronger pair is asked, and then another, as far as the price allows;
    with no agreement at the end, the answer of the strongest pair is given.
    """
    prior, made = state.prior, state.made
    called, count = state.called.clamp(min=0), made.sum(1)
    both = torch.stack([prior.of_pairs("success"), prior.of_pairs("success_of_model")], dim=-1)
    own, of_model = torch.sigmoid(both).unbind(dim=-1)
    success = (1 - BY_MODEL) * own + BY_MODEL * of_model
    style = prior.by_style[prior.record[:, None], called, state.styles]
    broken = state.flags.sum(-1).clamp(max=1)
    strength = success.gather(1, called) + _STYLE * style.clamp(-3, 0) - _BROKEN * broken
    agreeing = made & ((state.same & made[:, :, None] & made[:, None, :]).sum(-1) > 1)
    given = torch.where(made, strength + _SUPPORT * agreeing, -torch.inf).argmax(1)
    answers = torch.zeros_like(strength).scatter(1, given[:, None], _CLEAR)

    scores = _liking(state, success, count)
    top = torch.where(state.allowed, scores, -torch.inf).max(1, keepdim=True)
    expense = (state.price[:, None] * prior.cost).gather(1, top.indices).squeeze(1)
    wanted = (expense < torch.tensor(_WORTH)[count]) & ((count < _WITNESSES) | ~agreeing.any(1))
    above = torch.where(wanted, 2 * _CLEAR, 0.0)[:, None]
    return answers, above + (scores - top.values).clamp(min=-1.0, max=0.0)


def _liking(state: State, success: Tensor, count: Tensor) -> Tensor:
    """Return how much every pair is liked for the next call, shape [B, P]: its success, less thrift and likeness."""
    prior, made = state.prior, state.made
    called = state.called.clamp(min=0)
    strongest = prior.cost.gather(1, success.argmax(1, keepdim=True)).clamp(min=1e-6)
    stage = (count - _WITNESSES + 1).clamp(0, len(_THRIFT) - 1)
    price = (state.price[:, None] * strongest).clamp(max=1)
    thrift = torch.tensor(_THRIFT)[stage][:, None] + torch.tensor(_THRIFT_BY_PRICE)[stage][:, None] * price
    has_spoken = (prior.same_tool[called] * made[..., None]).max(1).values
    likeness = torch.where(count < _WITNESSES, _SAME_TOOL_WITNESS, _SAME_TOOL)[:, None] * has_spoken
    liking: Tensor = success - thrift * prior.cost / strongest - likeness
    return liking
