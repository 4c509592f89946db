"""Thompson sampling beside a router: now and then another pair is called, to learn how good it is."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.errors import SettingError
from langchain_atlas.routers.utility.router import UtilityRouter
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.trajectory import START, Candidate, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.utility.estimates import PairEstimates

RULE = "exploring"
"""The `Decision.rule` of a decision for another pair than the router's own choice."""

_DRAWS = 256


@dataclass
class _Spent:
    """What exploring cost so far, by what was expected."""

    queries: int = 0
    explored: int = 0
    usd: float = 0.0
    points: float = 0.0
    """Sum of expected accuracy given up, in points."""


class ExploringRouter(RouterWrapper):
    """Lets a router that compares pairs by utility explore by Thompson sampling, within a budget.

    For the first step of a query, a score is drawn for each pair from the distribution of its expected score, which is
    shrunken towards that of the whole pool; the pair with the highest utility is called. The probability of each pair
    under such draws is estimated, and the decision is drawn by it, so that its `propensity` is known. With few
    outcomes, pairs are often drawn; with many, hardly ever. Together with a store and a `LearningRouter`, what is
    explored is learned from.

    Pairs that would exceed the budget are not drawn; their probability falls to the router's own choice. Both budgets
    are kept by this process, in expectation.

    Args:
        router: the router; a `UtilityRouter`, or wrappers around one, such as `LearningRouter`.
        budget_usd: dollars that explored calls may be expected to cost more than the router's own choices, in all.
        budget_points: expected accuracy that may be given up, in points on the mean of all queries.
        seed: seed of the draws.

    Raises:
        SettingError: the router compares no pairs by utility, or a budget is negative.
    """

    not_deciding = frozenset({"_lock", "_spent", "_draw"})

    def __init__(self, router: Router, *, budget_usd: float, budget_points: float, seed: int | None = None) -> None:
        super().__init__(router)
        for name, value in (("budget_usd", budget_usd), ("budget_points", budget_points)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise SettingError(f"{name} is {value!r}; it must be a number from 0.")
        self._utility_router()
        self.budget_usd = budget_usd
        self.budget_points = budget_points
        self._draw = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._spent = _Spent()

    @property
    def is_deterministic(self) -> bool:  # type: ignore[override]  # as in the wrapper
        """Whether it always decides the same: no."""
        return False

    @property
    def explored(self) -> dict[str, float]:
        """Number of queries and of explored ones, with what these were expected to cost: dollars, and points in all."""
        with self._lock:
            return dict(vars(self._spent))

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        return self._explored(query, trajectory, self.router.decide(query, trajectory))

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Async version of `decide`."""
        own = await self.router.adecide(query, trajectory)
        if trajectory.steps or own.pair is None:
            return own
        return await asyncio.to_thread(self._explored, query, trajectory, own)  # it may encode, and it draws

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries."""
        decided = self.router.decide_batch(queries)
        return [self._explored(query, START, decision) for query, decision in zip(queries, decided, strict=True)]

    def _explored(self, query: Query, trajectory: Trajectory, own: Decision) -> Decision:
        """Return the router's own decision, or one for a pair that was drawn in its place."""
        if trajectory.steps or own.pair is None:
            return own
        router = self._utility_router()._as_it_is()  # noqa: SLF001  # of the same room
        permitted = router._permitted(query)  # noqa: SLF001
        expected = router._expect(router._prepare([query])[0], permitted)  # noqa: SLF001
        if own.pair not in router.pairs or expected.counted is None:
            return own
        mine = router.pairs.index(own.pair)
        with self._lock:
            self._spent.queries += 1
            shares = self._shares(router, query, expected, permitted, mine)
            column = int(self._draw.choice(len(shares), p=shares))
            propensity = min(1.0, float(shares[column]))
            if column == mine:
                return own.model_copy(update={"propensity": propensity})
            usd, points = _more(expected, mine)
            self._spent.explored += 1
            self._spent.usd += max(0.0, float(usd[column]))
            self._spent.points += float(points[column])
        return _decision(router.pairs[column], expected, column, own, propensity)

    def _shares(
        self, router: UtilityRouter, query: Query, expected: PairEstimates, permitted: NDArray[np.bool_], mine: int
    ) -> NDArray[np.float64]:
        """Return the probability with which each pair is called, shape [n_pairs]."""
        limits, (usd, points) = query.constraints, _more(expected, mine)
        allowed = permitted & (self._spent.usd + np.maximum(usd, 0.0) <= self.budget_usd)
        allowed &= self._spent.points + points <= self.budget_points * self._spent.queries
        for most, one in ((limits.max_cost_usd, expected.cost), (limits.max_latency_s, expected.latency)):
            if most is not None:
                allowed &= one <= most
        beta = expected.beta()
        assert beta is not None  # noqa: S101  # the caller looked
        solved, failed = (np.maximum(part, 1e-9) for part in beta)
        drawn = self._draw.beta(solved, failed, (_DRAWS, len(permitted)))
        utility = router.utility(expected, query.cost_weight)
        trusted = router._trusted(expected)  # noqa: SLF001
        weight = router._weight(expected, query.cost_weight)  # noqa: SLF001
        sampled = np.where(permitted, utility + (1 - weight) * (drawn - trusted), -np.inf)
        shares = np.bincount(sampled.argmax(axis=1), minlength=len(permitted)) / _DRAWS
        allowed[mine] = True
        shares[mine] += shares[~allowed].sum()
        kept: NDArray[np.float64] = np.where(allowed, shares, 0.0)
        kept /= kept.sum()
        return kept

    def _utility_router(self) -> UtilityRouter:
        """Return the router inside all wrappers.

        Raises:
            SettingError: it compares no pairs by utility.
        """
        router: Any = self.router
        while isinstance(router, RouterWrapper):
            router = router.router
        if not isinstance(router, UtilityRouter):
            raise SettingError(f"The router is {router!r}; only one that compares pairs by utility can explore.")
        return router


def _more(expected: PairEstimates, mine: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the dollars that each pair is expected to cost more, infinite where unknown, and the points it loses."""
    usd = np.where(np.isfinite(expected.cost), expected.cost, np.inf) - np.nan_to_num(expected.cost[mine])
    return usd, 100 * np.maximum(0.0, expected.success[mine] - expected.success)


def _decision(pair: Pair, expected: PairEstimates, column: int, own: Decision, propensity: float) -> Decision:
    cost, latency = float(expected.cost[column]), float(expected.latency[column])
    chosen = Candidate(
        pair=pair,
        expected_success=float(expected.success[column]),
        evidence=None if expected.evidence is None else int(expected.evidence[column]),
        expected_cost_usd=cost if np.isfinite(cost) else None,
        expected_latency_s=latency if np.isfinite(latency) else None,
    )
    return Decision(
        kind="route",
        pair=pair,
        rule=RULE,
        cluster=own.cluster,
        distance=own.distance,
        chosen=chosen,
        runner_up=own.chosen,
        propensity=propensity,
        reason=f"Explores: {pair} was drawn in place of {own.pair}, to learn how good it is.",
    )
