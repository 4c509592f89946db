"""The base of all routers that compare pairs by utility and route once: constraints, failover, the decision."""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from langchain_atlas.errors import ConstraintError, SettingError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router, last_answer, reconfigured, shared_pairs, some
from langchain_atlas.routers.batching import decide_together
from langchain_atlas.routers.constraints import feasible
from langchain_atlas.routers.utility.choice import Choice, top_two
from langchain_atlas.routers.utility.guard import DEFAULT_CONFIDENCE, standard_errors, trusted
from langchain_atlas.routers.utility.moved import moved
from langchain_atlas.routers.utility.reasons import guarded, interval, reason
from langchain_atlas.trajectory import START, Candidate, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.routers.utility.estimates import PairEstimates
    from langchain_atlas.trajectory import Observation

SETTINGS = ("cost_weight", "value_usd", "usd_per_second", "latency_share", "guard", "always", "failovers")
"""What can be changed in every router that compares pairs by utility, without fitting it again."""

ROUTED_ONCE = "routed-once"
"""The rule of the decision to give the answer of the pair that was asked."""


class UtilityRouter(Router):
    """Routes to the pair with the highest utility, ``(1 - w) * success - w * price``.

    w is the cost weight, the alpha of section 2 of the paper.

    The price is the expected cost scaled to [0, 1] over the pool; the fraction `latency_share` of it is latency, also
    scaled to [0, 1]. `usd_per_second` adds seconds at a price of their own. With `value_usd` the utility is in dollars,
    ``success * value_usd - dollars - seconds * usd_per_second``, and `cost_weight` is ignored. The router routes once;
    when the call fails it tries the next best pair, of another provider and of another model if possible, until a call
    succeeds or no pair is left; `failovers` limits the number of tries.

    A router that knows the uncertainty of its estimates has a default pair and a guard (see `guard.py`).

    Args:
        cost_weight: 0 for accuracy alone, 1 for cost alone.
        latency_share: fraction of the price that is latency instead of cost, 0 to 1.
        failovers: how many other pairs to try when calls fail, at most; None tries all that the query allows.
        value_usd: dollars that a right answer is worth, above 0; None uses `cost_weight`.
        usd_per_second: dollars that a second of waiting counts as.
        guard: one-sided confidence with which another pair must be better than the default pair, 0 to below 1; up to
            0.5 there is no guard. By default 0.85, or 0.7 where many queries of many kinds are learned from.
        always: a pair that answers everything, written ``model@@tool``; None routes.

    Raises:
        SettingError: a parameter is out of range.
    """

    is_deterministic = True
    _pairs: tuple[Pair, ...]

    def __init__(
        self,
        *,
        cost_weight: float = 0.5,
        latency_share: float = 0.0,
        failovers: int | None = None,
        value_usd: float | None = None,
        usd_per_second: float = 0.0,
        guard: float | None = None,
        always: str | None = None,
    ) -> None:
        self.cost_weight = cost_weight
        self.latency_share = latency_share
        self.failovers = failovers
        self.value_usd = value_usd
        self.usd_per_second = usd_per_second
        self.guard = DEFAULT_CONFIDENCE if guard is None else guard
        self._guard_is_set = guard is not None
        self.always = always

    @abstractmethod
    def _prepare(self, queries: Sequence[Query]) -> Sequence[Any]:
        """Compute for many queries at once what does not depend on the pairs they allow; one item per query."""

    @abstractmethod
    def _expect(self, item: Any, permitted: NDArray[np.bool_]) -> PairEstimates:
        """Return the estimates for every pair, given an item of `_prepare` and the pairs that may be called."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Route once, then answer; see `Router.decide`."""
        tried = trajectory.observations
        if tried and not tried[-1].failed:
            return last_answer(trajectory, rule=ROUTED_ONCE, reason="This router asks one pair.")
        if self._is_used_up(tried):
            return last_answer(trajectory, rule="failovers-used", reason=f"{len(tried)} calls failed.")
        router = self._as_it_is()
        return router._decide(query, trajectory, router._prepare([query])[0])  # noqa: SLF001  # of its own class

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does on the event loop; queries of several tasks are decided together."""
        tried = trajectory.observations
        if not tried:
            return await decide_together(self, query)
        if not tried[-1].failed or self._is_used_up(tried):
            return self.decide(query, trajectory)  # nothing is compared, so a thread is not worthwhile
        return await super().adecide(query, trajectory)

    def _is_used_up(self, tried: Sequence[Observation]) -> bool:
        return self.failovers is not None and len(tried) > self.failovers

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries with one pass of the encoder."""
        router = self._as_it_is()
        items = router._prepare(queries) if queries else []  # noqa: SLF001  # of its own class
        decided = zip(queries, items, strict=True)
        return [router._decide(query, START, item) for query, item in decided]  # noqa: SLF001  # of its own class

    def _as_it_is(self) -> Self:
        """Return a snapshot, so that learning in another thread does not change it during a decision."""
        router = object.__new__(type(self))
        router.__dict__.update(self.__dict__)  # as `copy.copy` does, in a fifth of the time
        return router

    def _decide(self, query: Query, trajectory: Trajectory, item: Any) -> Decision:
        permitted = self._permitted(query)
        if trajectory.observations:
            permitted = self._untried(permitted, tuple(seen.pair for seen in trajectory.observations), query.avoid)
            if not permitted.any():
                return last_answer(trajectory, rule="failovers-used", reason="No other pair is left to try.")
        try:
            choice = self._choose(query, trajectory, item, permitted)
        except ConstraintError as error:
            if not trajectory.observations:
                raise
            return last_answer(trajectory, rule="failovers-used", reason=f"No other pair may be tried: {error}")
        expected, utility, best, second = choice.expected, choice.utility, choice.best, choice.second
        said = ""
        if choice.rule == "one-pair":
            said = "Every query goes to one pair. "
        elif choice.rule == "guard" and second is not None:
            said = guarded(expected, self.pairs[best], self.pairs[second], second)
        chosen = self._candidate(expected, best, utility)
        why = "" if said else moved(expected, choice.allowed, self._trusted(expected), best, self.pairs)
        return Decision(
            kind="route",
            pair=chosen.pair,
            rule=f"failover, {choice.rule}" if trajectory.observations else choice.rule,
            cluster=expected.cluster,
            distance=expected.distance,
            chosen=chosen,
            runner_up=None if second is None else self._candidate(expected, second, utility),
            reason=said + reason(expected, chosen) + why,
        )

    def _choose(self, query: Query, trajectory: Trajectory, item: Any, permitted: NDArray[np.bool_]) -> Choice:
        """Choose a pair.

        Raises:
            ConstraintError: none satisfies the query's constraints.
        """
        expected = self._expect(item, permitted)
        left = feasible(query, trajectory, self.pairs, expected.cost, expected.latency, permitted=permitted)
        allowed = left.checked()
        utility = np.where(allowed, self.utility(expected, query.cost_weight), -np.inf)
        best, second = top_two(utility)
        rule = expected.rule
        if self.always is not None and query.cost_weight is None and not trajectory.observations:
            only = self.pairs.index(Pair.parse(self.always))
            if allowed[only]:
                second = best if best != only else second
                best, rule = only, "one-pair"
        elif best == expected.default and expected.spread is not None:
            taken = (1 - self._weight(expected, query.cost_weight)) * self._margin
            other = int(np.argmax(utility + taken * expected.spread))
            if other != best:
                rule, second = "guard", other
        return Choice(expected, allowed, utility, best, second, rule)

    def choose_batch(self, queries: Sequence[Query]) -> NDArray[np.int64]:
        """Return the column of the pair that each query goes to first, shape [n_queries]; -1 where none may be called.

        These are the pairs of `decide_batch`, without the reasons, which take most of its time.
        """
        router = self._as_it_is()
        items = router._prepare(queries) if queries else []  # noqa: SLF001  # of its own class
        chosen = np.full(len(queries), -1, dtype=np.int64)
        for number, (query, item) in enumerate(zip(queries, items, strict=True)):
            try:
                chosen[number] = router._choose(query, START, item, router._permitted(query)).best  # noqa: SLF001
            except ConstraintError:
                continue
        return chosen

    def utility(self, expected: PairEstimates, cost_weight: float | None = None) -> NDArray[np.float64]:
        """Return the utility of every pair, shape [n_pairs]: a fraction of a right answer, minus the price.

        Args:
            expected: the estimates for every pair.
            cost_weight: 0 for accuracy alone, 1 for cost alone; None for the router's own.
        """
        dollars, seconds = expected.highest
        price = expected.scaled_cost
        if self.latency_share:
            price = (1 - self.latency_share) * price + self.latency_share * expected.scaled_latency
        unit = dollars
        if self.usd_per_second and seconds:
            waiting = self.usd_per_second * seconds * expected.scaled_latency
            # If no cost is known, the price is the latency alone.
            unit = dollars or self.usd_per_second * seconds
            price = price * (dollars > 0) + waiting / unit
        weight = self._weight(expected, cost_weight)
        return (1 - weight) * self._trusted(expected) - weight * price

    def _weight(self, expected: PairEstimates, cost_weight: float | None) -> float:
        """Return the weight of cost, 0 for accuracy alone, 1 for cost alone."""
        if cost_weight is not None or self.value_usd is None:
            return self.cost_weight if cost_weight is None else cost_weight
        unit = expected.highest[0] or self.usd_per_second * expected.highest[1]
        return unit / (unit + self.value_usd)

    def _trusted(self, expected: PairEstimates) -> NDArray[np.float64]:
        """Return each pair's success, minus its uncertainty if it would be chosen over the default pair."""
        return trusted(expected.success, expected.spread, self._margin)

    @property
    def _margin(self) -> float:
        """Number of standard errors that the guard subtracts."""
        return standard_errors(self.guard)

    def sweep(
        self, queries: Sequence[Query], allowed: NDArray[np.bool_], values: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the column of the pair that each query would go to first at many settings; no pair is called.

        Args:
            queries: the queries.
            allowed: which pairs each query may be sent to, shape [n_queries, n_pairs]; at least one each.
            values: dollars that a right answer is worth, see `value_usd`, shape [n_values]; infinity for accuracy
                alone.

        Returns:
            Shape [n_values, n_queries].
        """
        router = self._as_it_is()
        chosen = np.empty((len(values), len(queries)), dtype=np.int64)
        items = router._prepare(queries) if queries else []  # noqa: SLF001  # of its own class
        free, paid = (router.configure(cost_weight=weight, value_usd=None, always=None) for weight in (0.0, 1.0))
        for number, (item, permitted) in enumerate(zip(items, allowed, strict=True)):
            expected = router._expect(item, permitted)  # noqa: SLF001
            unit = expected.highest[0] or self.usd_per_second * expected.highest[1]
            weight = np.where(np.isinf(values), 0.0, unit / (unit + np.where(np.isinf(values), 1.0, values)))[:, None]
            utility = (1 - weight) * free.utility(expected) + weight * paid.utility(expected)
            chosen[:, number] = np.where(permitted, utility, -np.inf).argmax(axis=1)
        return chosen

    def expected_success(self, queries: Sequence[Query]) -> NDArray[np.float64]:
        """Return the score that is expected of every pair on some queries, shape [n_queries, n_pairs], 0 to 1."""
        router, every = self._as_it_is(), np.ones(len(self.pairs), dtype=bool)
        items = router._prepare(queries) if queries else []  # noqa: SLF001  # of its own class
        found = [router._expect(item, every).success for item in items]  # noqa: SLF001  # of its own class
        return np.array(found, dtype=np.float64).reshape(len(items), len(self.pairs))

    def _permitted(self, query: Query) -> NDArray[np.bool_]:
        """Return which pairs the query allows, shape [n_pairs].

        Raises:
            ConstraintError: it allows none of the router's pairs.
        """
        pairs = query.constraints.pairs
        if pairs is None:
            return np.ones(len(self.pairs), dtype=bool)
        permitted = np.array([pair in pairs for pair in self.pairs])
        if not permitted.any():
            if not pairs:
                raise ConstraintError(
                    f"The query allows no pair; the router has {len(self.pairs)}: {some(self.pairs)}."
                )
            raise ConstraintError(f"The router knows none of the pairs that the query allows: {some(pairs)}.")
        return permitted

    def _untried(
        self, permitted: NDArray[np.bool_], tried: tuple[Pair, ...], avoid: frozenset[Pair]
    ) -> NDArray[np.bool_]:
        """Leave out the pairs that failed, and also their providers and models while others remain."""
        failed_models = {pair.model for pair in tried}
        left: NDArray[np.bool_] = permitted & np.array([pair not in tried for pair in self.pairs])
        for better in (
            np.array([pair not in avoid for pair in self.pairs]),
            np.array([pair.model not in failed_models for pair in self.pairs]),
        ):
            if (left & better).any():
                left = left & better
        return left

    def _candidate(self, expected: PairEstimates, column: int, utility: NDArray[np.float64]) -> Candidate:
        return Candidate(
            pair=self.pairs[column],
            expected_success=float(expected.success[column]),
            evidence=None if expected.evidence is None else int(expected.evidence[column]),
            interval=interval(expected, column),
            expected_cost_usd=_or_none(expected.cost[column]),
            expected_latency_s=_or_none(expected.latency[column]),
            utility=float(utility[column]),
        )

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from."""
        return self._pairs

    @property
    def takes_first_answer(self) -> bool:
        """Whether it answers with the first call that succeeds: yes."""
        return True

    @property
    def failures_are_turns(self) -> bool:
        """Whether a failed call uses up a turn: no."""
        return False

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {name: getattr(self, name) for name in SETTINGS}

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        check_settings(settings)
        changed = reconfigured(self, settings)
        changed._guard_is_set = self._guard_is_set or "guard" in settings  # noqa: SLF001  # of its own class
        return changed

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a router that chooses only from these of its pairs.

        Raises:
            PoolError: none of them is one of its pairs.
        """
        kept = shared_pairs(self.pairs, pairs)
        if len(kept) == len(self.pairs):
            return self
        router = self._with_pairs(kept)
        if router.always is not None and router.always not in map(str, kept):
            default = router._default  # noqa: SLF001  # of its own class
            router.always = None if default is None else str(default)
        return router

    @property
    def _default(self) -> Pair | None:
        """The pair to call if nothing else is known; None if the router has none."""
        return None

    @abstractmethod
    def _with_pairs(self, pairs: tuple[Pair, ...]) -> Self:
        """Return a router with these of its pairs, in this order."""


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check that settings are in range.

    Raises:
        SettingError: a setting is not in range.
    """
    for name, value in settings.items():
        if value is None and name in {"strength", "value_usd", "always", "failovers"}:
            continue
        if name == "always":
            Pair.parse(value)
            continue
        whole = name == "failovers"
        right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        low, high = (0.0, sys.float_info.max)
        if name in {"cost_weight", "latency_share"}:
            high = 1.0
        elif name == "guard":
            high = 1 - sys.float_info.epsilon
        elif name == "value_usd":
            low = sys.float_info.min
        if not right or not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            bottom = " above 0" if low else " from 0"
            top = f" to {high:g}" if high == 1 else " to below 1" if name == "guard" else ""
            raise SettingError(f"{name} is {value!r}; it must be {kind}{bottom}{top}.")


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
