"""The least that another call must be expected to bring: below it, the policy gives the answer that it has.

The policy's estimate of what another call brings is never exactly 0, and where calls cost next to nothing it asks until
the turns are used up. Most of these calls change no answer. See ``docs/rl-measured.md`` for what it saves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.routers.arrays import Array, library_of, numbers

if TYPE_CHECKING:
    from langchain_atlas.routers.policy.state_features import State


def with_least_gain(values: Array, state: State, least: float) -> Array:
    """Return each action's value, that of every call after the first lowered by the least gain.

    Args:
        values: the policy's value of each action, answers first, then pairs, shape [B, T + P].
        state: the states.
        least: fraction of a right answer.
    """
    if not least:
        return values
    library, made = library_of(values), state.made
    toll = least * numbers(made.any(axis=1))[:, None]
    n_answers = made.shape[1]
    return library.concatenate([values[:, :n_answers], values[:, n_answers:] - toll], axis=1)
