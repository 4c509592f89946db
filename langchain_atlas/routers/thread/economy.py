"""What each pair is worth for the rest of a thread, in dollars.

The next turns are played out for every pair that might take this one: with one pair for all of them, with the router's
choice on each, and with whichever is best on each as the caches stand. The best of these is what a pair's choice leads
to (a rollout of these policies), so that the plan is at least as good as any of them, as far as the forecast goes. A
call costs what the router expects for the query alone, and the tokens of the thread at the pair's prices: cached as far
as the pair read them within the cache's time to live, else at the full price.

The forecast: turns are of kinds, by the pair that is worth most on them, and worth what the turns of their kind were so
far. One kind follows another by a Markov chain, of which the thread has told a little. So many courses are drawn, each
from a chain of its own: drawn from what the thread leaves open (a Dirichlet distribution for each kind). The draws are
always the same, so that equal threads are decided equally.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_TURNS = 30
"""Turns that are played out, at most."""
_COURSES = 64
"""Number of courses that are drawn."""
_LEAST = 1e-3
"""Least count of a kind that follows another, so that its share can be drawn."""
_LASTING = 0.6
"""How likely a kind is to be followed by itself before anything is known; that counts as one turn."""


@dataclass(frozen=True)
class TokenPrices:
    """What a token of the thread costs with one pair, in dollars."""

    full: float
    """Read for the first time."""
    cached: float
    """Read from the provider's cache."""


@dataclass(frozen=True)
class ThreadState:
    """A thread before a turn. Sequences have one member for each pair that may take it."""

    prices: Sequence[TokenPrices]
    """Prices of the thread's tokens."""
    tokens: float
    """Tokens of the thread so far, without this turn's query."""
    cached: Sequence[float]
    """Tokens that each pair's provider has cached."""
    idle_s: Sequence[float]
    """Seconds since each pair's last call."""
    turns: Sequence[Sequence[float]]
    """Dollars that each pair is worth on the latest turns, apart from the thread's tokens: value of the expected score
    less expected cost; oldest first, and last this turn. Shape [n_turns, n_pairs]."""
    growth: float
    """Tokens that a turn adds."""
    gap_s: float
    """Seconds from turn to turn."""
    ttl_s: Sequence[float]
    """Seconds that each pair's provider keeps its cache after a call."""
    fewest: float
    """Shortest prompt that is cached, in tokens."""
    calls: float
    """Model calls of a turn; all but the first find the thread in the cache."""

    def readings(self, tokens: float, cached: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the thread's tokens cost each pair on one turn, in dollars; shape [..., n_pairs], as `cached`."""
        full, kept_price = (np.array([getattr(price, name) for price in self.prices]) for name in ("full", "cached"))
        kept = np.minimum(cached, tokens)
        later = kept_price if tokens >= self.fewest else full
        dollars: NDArray[np.float64] = kept * kept_price + (tokens - kept) * full + (self.calls - 1) * tokens * later
        return dollars

    def reading(self, pair: int) -> float:
        """Return what the thread's tokens cost a pair on this turn, in dollars."""
        return float(self.readings(self.tokens, np.array(self.cached, dtype=np.float64))[pair])


def worths(state: ThreadState, turns_left: int) -> list[float]:
    """Return what is left of the rest of a thread, in dollars, for each pair that might take this turn.

    Args:
        state: the thread.
        turns_left: number of turns to come, this one included; `MOST_TURNS` are played out at most.
    """
    turns = np.array(state.turns, dtype=np.float64)
    now = turns[-1] - state.readings(state.tokens, np.array(state.cached, dtype=np.float64))
    ahead = min(turns_left, MOST_TURNS) - 1
    if ahead > 0:
        now = now + _played(state, _forecast(turns, ahead)).max(axis=1)
    return [float(dollars) for dollars in now]


def _forecast(turns: NDArray[np.float64], ahead: int) -> NDArray[np.float64]:
    """Draw what pairs are worth on the turns to come, shape [ahead, n_courses, n_pairs]."""
    kinds, at = np.unique(turns.argmax(axis=1), return_inverse=True)
    means = np.stack([turns[at == kind].mean(axis=0) for kind in range(len(kinds))])
    if len(kinds) == 1:
        return np.broadcast_to(means, (ahead, 1, turns.shape[1]))
    follows = np.full((len(kinds), len(kinds)), (1 - _LASTING) / (len(kinds) - 1))
    np.fill_diagonal(follows, _LASTING)
    np.add.at(follows, (at[:-1], at[1:]), 1.0)
    uniform = _draws()
    chains = np.random.default_rng(1).gamma(np.broadcast_to(np.maximum(follows, _LEAST), (_COURSES, *follows.shape)))
    reached = (chains / chains.sum(axis=2, keepdims=True)).cumsum(axis=2)
    drawn, kind, course = [], np.full(_COURSES, at[-1]), np.arange(_COURSES)
    for chances in uniform[:ahead]:
        kind = np.minimum((chances[:, None] > reached[course, kind]).sum(axis=1), len(kinds) - 1)
        drawn.append(means[kind])
    return np.stack(drawn)


@cache
def _draws() -> NDArray[np.float64]:
    return np.random.default_rng(0).random((MOST_TURNS, _COURSES))


def _played(state: ThreadState, forecast: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean dollars of the turns after this one, by the pair that takes it and by plan.

    Returns:
        Shape [n_pairs, n_pairs + 2]: the plans are each pair for all turns, the best pair of each without regard to
        caches, and the best with regard to them.
    """
    n_pairs, ttl = len(state.prices), np.array(state.ttl_s)
    shape = (n_pairs, n_pairs + 2, forecast.shape[1], n_pairs)  # who takes this turn, plan, course, pair
    cached = np.broadcast_to(np.array(state.cached, dtype=np.float64), shape).copy()
    idle = np.broadcast_to(np.array(state.idle_s, dtype=np.float64) + state.gap_s, shape).copy()
    for first in range(n_pairs):
        cached[first, ..., first] = state.tokens if state.tokens >= state.fewest else 0.0
        idle[first, ..., first] = state.gap_s
    total, tokens = np.zeros(shape[:-1]), state.tokens
    choice = np.empty(shape[:-1], dtype=np.int64)
    choice[:, :n_pairs] = np.arange(n_pairs)[None, :, None]
    for merits in forecast:
        tokens += state.growth
        gains = merits - state.readings(tokens, np.where(idle <= ttl, cached, 0.0))
        choice[:, n_pairs] = merits.argmax(axis=1)
        choice[:, n_pairs + 1] = gains[:, n_pairs + 1].argmax(axis=-1)
        total += np.take_along_axis(gains, choice[..., None], axis=-1)[..., 0]
        np.put_along_axis(cached, choice[..., None], tokens if tokens >= state.fewest else 0.0, axis=-1)
        idle += state.gap_s
        np.put_along_axis(idle, choice[..., None], state.gap_s, axis=-1)
    mean: NDArray[np.float64] = total.mean(axis=-1)
    return mean
