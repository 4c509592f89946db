"""The cascade that a cautious policy starts from: two cheap witnesses, and the strongest pair as arbiter.

Where queries may be unlike those remembered, records say little about which answer is right, but two things still hold:
answers of different tools and models that say the same are mostly right, and the pair with the best record overall is
the best guess when they don't. See ``docs/rl.md`` for what this rests on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from langchain_atlas.routers.situation import N_FLAGS, PAIR_FEATURES

if TYPE_CHECKING:
    from torch import Tensor

    from langchain_atlas.routers.situation import Situation

THRIFT = 0.07
"""Success that a witness may lack for every tenfold in cost that it saves."""

_SAME_TOOL, _SAME_MODEL = 0.08, 0.03
"""What a second witness loses for being like the first."""

_WITNESSES, _ARBITER = 2, 3
"""Calls after which the witnesses, and the arbiter, have spoken."""

_WORTH = (float("inf"), 0.08, 0.35, 0.10, 0.0)
"""Most that the next call may cost, in parts of a right answer, after 0, 1, ... calls."""

_ARBITER_THRIFT, _ARBITER_THRIFT_BY_PRICE = 0.02, 0.05
"""Success that an arbiter may lack for every tenfold in cost: at no price, and what a price of 1 adds."""

_STYLE, _BROKEN = 0.1, 0.3
"""What an answer in a form that mostly fails, or one that breaks a schema, takes off its pair's success."""

_CLEAR = 0.2
"""By how much a decided step is worth more than others."""

_SUPPORT = 10.0
_NEVER = -1e9
_SUCCESS, _BY_MODEL = PAIR_FEATURES.index("success"), PAIR_FEATURES.index("success_of_model")


def cascade_worth(situation: Situation) -> tuple[Tensor, Tensor]:
    """Return what the cascade makes of every answer, shape [B, T], and of every call, shape [B, P].

    After no or one call the cheapest good witness is worth most, of another tool and model than the first. When two
    answers say the same, they are given. When they don't, the strongest pair is asked if the price allows, and its
    word counts; a fourth call is a second opinion when it stands alone.
    """
    prospect, made = situation.prospect, situation.made
    called, count = situation.called.clamp(min=0), made.sum(1)
    # A pair whose model does badly otherwise is not to be relied on elsewhere, whatever it did here.
    success = torch.sigmoid(prospect.pairs[..., [_SUCCESS, _BY_MODEL]]).mean(-1)
    style = prospect.by_style[prospect.record[:, None], called, situation.styles]
    broken = situation.answers[..., :N_FLAGS].sum(-1).clamp(max=1)
    strength = success.gather(1, called) + _STYLE * style.clamp(-3, 0) - _BROKEN * broken
    agreeing = made & ((situation.same & made[:, :, None] & made[:, None, :]).sum(-1) > 1)
    with_arbiter = situation.same[:, _ARBITER - 1] & made

    supported = torch.where(made, torch.where(agreeing, strength + _SUPPORT, strength), _NEVER).argmax(1)
    by_arbiter = torch.where(with_arbiter, strength, _NEVER).argmax(1)
    alone = (count >= _ARBITER) & (with_arbiter.sum(1) <= 1)
    outvoted = (count > _ARBITER) & alone & agreeing.any(1)
    given = torch.where((count >= _ARBITER) & ~outvoted, by_arbiter, supported)
    answers = torch.zeros_like(strength).scatter(1, given[:, None], _CLEAR)

    witnessing = count < _WITNESSES
    scores = torch.where(witnessing[:, None], _as_witness(situation, success), _as_arbiter(situation, success))
    top = torch.where(situation.allowed, scores, _NEVER).max(1, keepdim=True)
    expense = (situation.price[:, None] * prospect.cost).gather(1, top.indices).squeeze(1)
    heard = torch.where(made, success.gather(1, called), _NEVER).max(1).values
    stronger = success.gather(1, top.indices).squeeze(1) > heard
    asked = torch.where(count == _WITNESSES, stronger & ~agreeing.any(1), alone)
    wanted = (expense < torch.tensor(_WORTH)[count]) & (witnessing | asked)
    above = torch.where(wanted, 2 * _CLEAR, 0.0)[:, None]
    return answers, above + (scores - top.values).clamp(min=-1.0)


def _as_witness(situation: Situation, success: Tensor) -> Tensor:
    prospect, first = situation.prospect, situation.called[:, 0].clamp(min=0)
    likeness = _SAME_TOOL * prospect.same_tool[first] + _SAME_MODEL * prospect.same_model[first]
    thrifty: Tensor = success - THRIFT * torch.log10(prospect.cost + 1e-4)
    return thrifty - likeness * situation.made.any(1)[:, None]


def _as_arbiter(situation: Situation, success: Tensor) -> Tensor:
    thrift = _ARBITER_THRIFT + _ARBITER_THRIFT_BY_PRICE * situation.price.clamp(max=1)[:, None]
    score: Tensor = success - thrift * torch.log10(situation.prospect.cost + 1e-4)
    return score
