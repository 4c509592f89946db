"""The cascade that a cautious policy starts from: two cheap pairs, then stronger ones until two answers agree.

If queries may be unlike the remembered ones, records hardly show which answer is right, but two things still hold:
answers of different tools and models that agree are mostly right, and when none agree, the pair with the best overall
record is the best guess. See ``docs/rl-learning.md`` for the evidence, and for how the constants were chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.routers.arrays import (
    Array,
    constants,
    highest,
    library_of,
    numbers,
    one_hot,
    sigmoid,
    taken,
)

if TYPE_CHECKING:
    from langchain_atlas.routers.policy.state_features import State

BY_MODEL = 0.6
"""Weight of its model's record in a pair's strength; the rest is the pair's own record. A pair is not to be relied on
for what its model does badly elsewhere."""

_THRIFT, _THRIFT_BY_PRICE = (0.3, 0.03, 0.0), (8.0, 0.3, 0.05)
"""Success that the first two pairs, the third and the fourth may lack if they are free while the strongest pair has a
cost: at a price of 0, and the addition for a price of 1. When cost matters more, the first two get cheaper first."""

_SAME_TOOL_WITNESS, _SAME_TOOL = 0.05, 0.06
"""Penalty of the second pair, and of later ones, for a tool that was already used: it may fail the same way."""

_WORTH = (float("inf"), 0.15, 0.9, 0.6, 0.0)
"""Maximum cost of the next call, as a fraction of a right answer, after 0, 1, ... calls."""

_WITNESSES = 2
"""Number of calls before stronger pairs are called."""

_STYLE, _BROKEN = 0.1, 0.3
"""Penalty on a pair's success for an answer whose style mostly fails, and for one that violates a schema."""

_VERDICT, _VOUCHED = 0.1, 1.4
"""Effect of a verdict on an answer's strength, and the evidence with which it counts as much as an agreeing answer."""

_CLEAR = 0.2
"""Margin by which a decided action is worth more than the others."""

_SUPPORT = 10.0


def cascade_values(state: State) -> tuple[Array, Array]:
    """Return the cascade's value of every answer, shape [B, T], and of every call, shape [B, P].

    After no or one call, the cheapest good pair is worth most; the second must use another tool than the first. When
    two answers agree, one of them is given. When none do, a stronger pair is called, and then another, as far as the
    price allows; if there is no agreement at the end, the answer of the strongest pair is given.
    """
    library, prior, made = library_of(state.called), state.prior, state.made
    called, count = state.called.clip(min=0), made.sum(axis=1)
    own, of_model = sigmoid(prior.of_pairs("success")), sigmoid(prior.of_pairs("success_of_model"))
    success = (1 - BY_MODEL) * own + BY_MODEL * of_model
    style = prior.by_style[prior.record[:, None], called, state.styles]
    broken = state.flags.sum(axis=-1).clip(max=1)
    strength = taken(success, called, 1) + _STYLE * style.clip(-3, 0) - _BROKEN * broken
    verdict = state.verdict
    if verdict is not None:
        strength = strength + _VERDICT * verdict
    agreeing = made & ((state.same & made[:, :, None] & made[:, None, :]).sum(axis=-1) > 1)
    if verdict is not None:
        agreeing = agreeing | (made & (verdict >= _VOUCHED))
    given = library.where(made, strength + _SUPPORT * numbers(agreeing), -library.inf).argmax(axis=1)
    answers = _CLEAR * numbers(one_hot(given, strength.shape[1]))

    scores = _liking(state, success, count)
    open_ = library.where(state.allowed, scores, -library.inf)
    top = open_.argmax(axis=1)[:, None]
    expense = taken(state.price[:, None] * prior.cost, top, 1).squeeze(1)
    wanted = (expense < constants(_WORTH, expense)[count]) & ((count < _WITNESSES) | ~agreeing.any(axis=1))
    above = 2 * _CLEAR * numbers(wanted)[:, None]
    return answers, above + (scores - taken(open_, top, 1)).clip(-1.0, 0.0)


def _liking(state: State, success: Array, count: Array) -> Array:
    """Return the preference for each pair as the next call, shape [B, P]: success, minus cost and tool penalties."""
    library, prior, made = library_of(state.called), state.prior, state.made
    called = state.called.clip(min=0)
    strongest = taken(prior.cost, success.argmax(axis=1)[:, None], 1).clip(min=1e-6)
    stage = (count - _WITNESSES + 1).clip(0, len(_THRIFT) - 1)
    price = (state.price[:, None] * strongest).clip(max=1)
    thrift, by_price = constants(_THRIFT, price)[stage], constants(_THRIFT_BY_PRICE, price)[stage]
    thrift = thrift[:, None] + by_price[:, None] * price
    has_spoken = highest(prior.same_tool[called] * numbers(made)[..., None], axis=1)
    likeness = library.where(count < _WITNESSES, _SAME_TOOL_WITNESS, _SAME_TOOL)[:, None] * has_spoken
    liking: Array = success - thrift * prior.cost / strongest - likeness
    return liking
