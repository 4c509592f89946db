"""A router that leaves a thread's pair only where that pays."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from langchain_atlas.errors import AtlasError, PoolError, SettingError, suggest
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.messages.thread_calls import Expected, ThreadCall, thread_calls, thread_tokens
from langchain_atlas.routers.thread.economy import ThreadState, TokenPrices, worths
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.trajectory import START, Decision, Query, Trajectory, with_all_spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.pool.pool import Pair, Pool
    from langchain_atlas.routers.base import Router

CACHE_TTL_S = 300.0
"""Seconds that providers keep a prompt's start after a call, at least; what OpenAI and Anthropic name."""
FEWEST_CACHED = 1024
"""Shortest prompt that most providers cache, in tokens."""
STAYS = "stays"
"""The `Decision.rule` of a decision to stay with a pair of the thread instead of the wrapped router's choice."""

_MOST_PAIRS = 4
_LATEST_TURNS = 20


class StayingRouter(RouterWrapper):
    """Routes as the wrapped router does, but stays with a pair of the thread where leaving it does not pay.

    What it knows of the thread is in the thread's messages: the replies of every integration hold the record of their
    decision. So it keeps nothing itself, and any process can continue any thread. The tokens of the thread are counted
    as billed; those that a pair read within the cache's time to live cost its cached price, the others the full one.
    For every pair of the thread, and for the wrapped router's choice, the turns to come are played out; see
    `economy.py`. What they will be like is told by the latest twenty turns: how often the pair that is best on one is
    so on the next, too.

    The wrapped router decides alone for the first message of a thread, after a failed call, for a run that sets its own
    `cost_weight`, and where a price or an expectation is unknown.

    Args:
        router: the router to wrap; it must say what it expects of a pair, as all that compare pairs do.
        pool: the pool, for the prices of its models.
        value_usd: dollars that a right answer is worth, above 0; by default that of the wrapped router.
        thread_turns: number of turns that a thread usually has. One that has passed it is expected to go on for
            half as many again.
        cache_ttl_s: seconds that the provider keeps a prompt's start after a call, for all models or by model.
        cache_min_tokens: shortest prompt that is cached, in tokens.
        clock: tells the time, in seconds since 1970.

    Raises:
        SettingError: a setting is out of range, names a model that the pool lacks, or no value of an answer is known.
        PoolError: the router knows none of the pool's pairs.
        InvalidInputError: `router` is not a router.
    """

    not_deciding: ClassVar[tuple[str, ...]] = ("_clock",)

    def __init__(
        self,
        router: Router,
        pool: Pool,
        *,
        value_usd: float | None = None,
        thread_turns: int = 8,
        cache_ttl_s: float | Mapping[str, float] = CACHE_TTL_S,
        cache_min_tokens: int = FEWEST_CACHED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_sides(router, None)
        super().__init__(router)
        given = router.settings.get("value_usd") if value_usd is None else value_usd
        self._own_value = value_usd is not None
        self._value_usd = _above_zero("value_usd", given, "It is what a right answer is worth, in dollars.")
        self._thread_turns = _above_zero("thread_turns", thread_turns)
        self._ttl_s = _by_model(cache_ttl_s, pool)
        if isinstance(cache_min_tokens, bool) or not cache_min_tokens >= 0:
            raise SettingError(f"cache_min_tokens is {cache_min_tokens!r}; it must be a number of tokens from 0.")
        if router.pairs and not set(router.pairs) & set(pool.pairs):
            raise PoolError("The router knows none of the pool's pairs; fit it on outcomes of the pool's pairs.")
        self._pool = pool
        self._fewest = cache_min_tokens
        self._clock = clock

    def _around(self, router: Router) -> StayingRouter:
        wrapper = super()._around(router)
        if not self._own_value:
            wrapper._value_usd = _above_zero("value_usd", router.settings.get("value_usd"))  # noqa: SLF001  # own class
        return wrapper

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        decision = self.router.decide(query, trajectory)
        return self._dated(decision) if trajectory.steps else self._reckoned(query, decision)

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does on the event loop."""
        decision = await self.router.adecide(query, trajectory)
        thread = None if trajectory.steps else self._thread(query, decision)
        if thread is None:
            return self._dated(decision)
        stays = []
        for only in thread.alone(query):
            try:
                stays.append(await self.router.adecide(only))
            except AtlasError:  # the query's limits rule it out
                continue
        return self._dated(with_all_spent(self._best(thread, decision, stays), decision, *stays))

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries, each in its own thread."""
        decided = zip(queries, self.router.decide_batch(queries), strict=True)
        return [self._reckoned(query, decision) for query, decision in decided]

    def _reckoned(self, query: Query, decision: Decision) -> Decision:
        thread = self._thread(query, decision)
        if thread is None:
            return self._dated(decision)
        stays = []
        for only in thread.alone(query):
            try:
                stays.append(self.router.decide(only))
            except AtlasError:  # the query's limits rule it out
                continue
        return self._dated(with_all_spent(self._best(thread, decision, stays), decision, *stays))

    def _dated(self, decision: Decision) -> Decision:
        """Return the decision with its time, by which later turns know how old the provider's cache is."""
        return decision if decision.pair is None else decision.model_copy(update={"decided_at": self._clock()})

    def _thread(self, query: Query, decision: Decision) -> _Thread | None:
        """Return the thread if there is something to reckon: another pair of it might take this turn."""
        if decision.pair is None or not query.history + query.since or query.cost_weight is not None:
            return None
        if _expectation(decision) is None or self._prices(decision) is None:
            return None  # it can't be compared
        messages = (*query.history, *query.since)
        calls = thread_calls(messages)
        used = dict.fromkeys(call.pair for call in reversed(calls))  # the latest first
        allowed, known = query.constraints.pairs, self.router.pairs
        others = [
            pair
            for pair in used
            if pair != decision.pair and (allowed is None or pair in allowed) and (not known or pair in known)
        ]
        return _Thread(calls, thread_tokens(messages), tuple(others[: _MOST_PAIRS - 1])) if others else None

    def _best(self, thread: _Thread, decision: Decision, stays: Sequence[Decision]) -> Decision:
        """Return the decision whose pair is worth most for the rest of the thread."""
        first, last = thread.calls[-1].pair == decision.pair, thread.calls[-1].pair
        compared = (decision, *stays) if first else (*stays, decision)  # of equals the thread's latest pair is taken
        options = [one for one in compared if _expectation(one) is not None and self._prices(one) is not None]
        if len(options) == 1 or not any(one is decision for one in options):
            return decision
        state, left = self._state(thread, options), self._turns_left(thread)
        worth = worths(state, left)
        place = max(range(len(options)), key=worth.__getitem__)
        best, other = options[place], _other(options, place, last if options[place] is decision else decision.pair)
        dollars = [state.reading(one) for one in (place, other)]
        why = (
            f"{best.pair} is worth ${worth[place] - worth[other]:.3g} more than {options[other].pair} over the "
            f"{left} turn{'s that are' if left != 1 else ' that is'} expected; the thread's {thread.tokens} tokens "
            f"cost ${dollars[0]:.3g} with it and ${dollars[1]:.3g} with the other."
        )
        if best is decision:
            told = {"runner_up": options[other].chosen, "reason": f"{decision.reason} In this thread {why}"}
            return decision.model_copy(update=told)
        told = {"rule": STAYS, "runner_up": decision.chosen, "reason": f"{decision.pair} would be chosen, but {why}"}
        return best.model_copy(update=told)

    def _turns_left(self, thread: _Thread) -> int:
        """Return the number of turns that are expected, this one included."""
        left = math.ceil(self._thread_turns) - thread.turns
        return left if left > 0 else max(math.ceil(thread.turns / 2), 1)

    def _prices(self, decision: Decision) -> TokenPrices | None:
        """Return what a token of the thread costs with a pair; None when unknown."""
        assert decision.pair is not None  # noqa: S101  # only such decisions are compared
        try:
            model = self._pool.model(decision.pair.model)
        except PoolError:
            return None
        full = model.price(1000, 0)
        cached = model.price(1000, 0, 1000)
        return None if full is None or cached is None else TokenPrices(full / 1000, cached / 1000)

    def _state(self, thread: _Thread, options: Sequence[Decision]) -> ThreadState:
        pairs = [one.pair for one in options if one.pair is not None]
        now, prices, cached, idle = self._clock(), [], [], []
        for option, pair in zip(options, pairs, strict=True):
            price = self._prices(option)
            assert price is not None  # noqa: S101  # options have prices
            last = thread.last(pair)
            since = 0.0 if last is None or last.decided_at is None else max(0.0, now - last.decided_at)
            lasting = last is not None and since <= self._ttl(pair) and (last.prompt_tokens or 0) >= self._fewest
            hits = thread.hits(pair, self._fewest, self._ttl(pair))
            prices.append(TokenPrices(price.full, price.full - hits * (price.full - price.cached)))
            cached.append(float(last.prompt_tokens or 0) if lasting and last is not None else 0.0)
            idle.append(since)
        return ThreadState(
            prices=prices,
            tokens=thread.tokens,
            cached=cached,
            idle_s=idle,
            turns=thread.merits(options, self._value_usd),
            growth=thread.growth,
            gap_s=thread.gap_s(now),
            ttl_s=[self._ttl(pair) for pair in pairs],
            fewest=self._fewest,
            calls=max(1.0, len(thread.calls) / max(1, thread.turns)),
        )

    def _ttl(self, pair: Pair) -> float:
        return self._ttl_s.get(pair.model, CACHE_TTL_S)


@dataclass(frozen=True)
class _Thread:
    """What the messages of a thread tell of it."""

    calls: list[ThreadCall]
    tokens: int
    others: tuple[Pair, ...]

    @property
    def turns(self) -> int:
        """Number of turns so far."""
        return len({call.turn for call in self.calls})

    @property
    def growth(self) -> float:
        """Tokens that a turn adds; what was there before the first one does not count, such as a system prompt."""
        begun = next((call.prompt_tokens for call in self.calls if call.prompt_tokens is not None), 0)
        return max(0, self.tokens - begun) / max(1, self.turns)

    def alone(self, query: Query) -> list[Query]:
        """Return the query once for each other pair of the thread, which alone it allows."""
        limits = query.constraints
        return [query.replace(constraints=limits.replace(pairs=frozenset({pair}))) for pair in self.others]

    def last(self, pair: Pair) -> ThreadCall | None:
        return next((call for call in reversed(self.calls) if call.pair == pair), None)

    def hits(self, pair: Pair, fewest: float, ttl_s: float) -> float:
        """Return the share of the tokens that should have been cached, and were; 1 while nothing is known."""
        expected = read = 0.0
        calls = [call for call in self.calls if call.pair == pair]
        for before, call in pairwise(calls):
            lasting = (
                before.decided_at is None or call.decided_at is None or call.decided_at - before.decided_at <= ttl_s
            )
            if call.cached_tokens is not None and lasting and (before.prompt_tokens or 0) >= max(1.0, fewest):
                expected += before.prompt_tokens or 0
                read += min(call.cached_tokens, before.prompt_tokens or 0)
        return read / expected if expected else 1.0

    def gap_s(self, now: float) -> float:
        """Return the mean seconds from turn to turn; 0 when unknown."""
        times = [call.decided_at for call in self.calls if call.decided_at is not None]
        return max(0.0, now - times[0]) / max(1, self.turns) if times else 0.0

    def merits(self, options: Sequence[Decision], value_usd: float) -> list[list[float]]:
        """Return what each option was worth on the latest turns and is on this one, in dollars, without the thread.

        A pair that was not compared on a turn counts as on the others.
        """
        told = [*{call.turn: call.expected for call in self.calls}.values()][-(_LATEST_TURNS - 1) :]
        columns = []
        for option in options:
            now = _expectation(option)
            assert now is not None and option.pair is not None  # noqa: S101, PT018  # options have expectations
            column = [_dollars(expected.get(option.pair), value_usd) for expected in [*told, {option.pair: now}]]
            known = [value for value in column if value is not None]
            columns.append([sum(known) / len(known) if value is None else value for value in column])
        return [list(row) for row in zip(*columns, strict=True)]


def _expectation(decision: Decision) -> Expected | None:
    chosen = decision.chosen
    if decision.pair is None or chosen is None or chosen.expected_cost_usd is None:
        return None
    return Expected(chosen.expected_success, chosen.expected_cost_usd)


def _dollars(expected: Expected | None, value_usd: float) -> float | None:
    return None if expected is None else value_usd * expected.success - expected.cost_usd


def _other(options: Sequence[Decision], place: int, wanted: Pair | None) -> int:
    """Return the option that the best one is compared with: that of a pair, or else any other."""
    rest = [one for one in range(len(options)) if one != place]
    return next((one for one in rest if options[one].pair == wanted), rest[0])


def _above_zero(name: str, value: object, what: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        hint = f" {what}" if what else ""
        raise SettingError(f"{name} is {value!r}; it must be a number above 0.{hint}")
    return float(value)


def _by_model(given: float | Mapping[str, float], pool: Pool) -> dict[str, float]:
    names = [model.name for model in pool.models]
    if not isinstance(given, Mapping):
        given = dict.fromkeys(names, given)
    for name, seconds in given.items():
        if name not in names:
            raise SettingError(f"cache_ttl_s names model {name!r}. {suggest(name, names)}")
        if isinstance(seconds, bool) or not seconds >= 0:
            raise SettingError(f"cache_ttl_s of {name} is {seconds!r}; it must be seconds from 0.")
    return dict(given)
