"""What each pair is worth for the rest of a thread, in dollars.

The next turns are played out for every pair that might take this one: with one pair for all of them, with the router's
choice on each, and with whichever is best on each as the caches stand. The best of these is what a pair's choice leads
to (a rollout of these policies), so that the plan is at least as good as any of them, as far as turns like those seen
go on. A call costs what the router expects for the query alone, and the tokens of the thread at the pair's prices:
cached as far as the pair read them within the cache's time to live, else at the full price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_TURNS = 30
"""Turns that are played out, at most."""

Plan = int | Literal["best alone", "best now"]
"""How the turns to come are routed: all to one pair; or each to the best one, without or with regard to caches."""


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

    def reading(self, pair: int, tokens: float, cached: float) -> float:
        """Return what the thread's tokens cost a pair on one turn, in dollars."""
        price = self.prices[pair]
        kept = min(cached, tokens)
        later = price.cached if tokens >= self.fewest else price.full
        return kept * price.cached + (tokens - kept) * price.full + (self.calls - 1) * tokens * later


def worth(state: ThreadState, pair: int, turns_left: int) -> float:
    """Return what is left of the rest of a thread, in dollars, if a pair takes this turn.

    Args:
        state: the thread.
        pair: position of the pair.
        turns_left: number of turns to come, this one included; `MOST_TURNS` are played out at most.
    """
    now = state.turns[-1][pair] - state.reading(pair, state.tokens, state.cached[pair])
    ahead = min(turns_left, MOST_TURNS) - 1
    if ahead <= 0:
        return now
    plans: list[Plan] = ["best alone", "best now", *range(len(state.prices))]
    return now + max(_played(state, pair, ahead, plan) for plan in plans)


def _played(state: ThreadState, first: int, ahead: int, plan: Plan) -> float:
    """Return the dollars of the turns after this one, which `first` takes."""
    cached, idle = list(state.cached), [seconds + state.gap_s for seconds in state.idle_s]
    tokens, pairs = state.tokens, range(len(cached))
    cached[first], idle[first] = (tokens if tokens >= state.fewest else 0.0), state.gap_s
    total = 0.0
    for number in range(ahead):
        tokens += state.growth
        merits = state.turns[number % len(state.turns)]
        warm = [cached[pair] if idle[pair] <= state.ttl_s[pair] else 0.0 for pair in pairs]
        if isinstance(plan, int):
            pair = plan
        elif plan == "best alone":
            pair = max(pairs, key=merits.__getitem__)
        else:
            gains = [merits[one] - state.reading(one, tokens, warm[one]) for one in pairs]
            pair = max(pairs, key=gains.__getitem__)
        total += merits[pair] - state.reading(pair, tokens, warm[pair])
        cached[pair] = tokens if tokens >= state.fewest else 0.0
        idle = [seconds + state.gap_s for seconds in idle]
        idle[pair] = state.gap_s
    return total
