"""A router that keeps working when the one it wraps fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from langgraph.errors import GraphBubbleUp

from langchain_atlas.errors import ConstraintError, PoolError, suggest
from langchain_atlas.failures.masked_errors import cleaned
from langchain_atlas.masking import error_text
from langchain_atlas.pool.pairs import as_pair
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import last_answer
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.trajectory import START, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.routers.base import Router

_LOG = logging.getLogger(__name__)

RULE = "router-failed"
"""The rule of decisions that replace those of a failed router."""


OnRouterError = str | Pair
"""What happens when a router fails: ``raise``, or the pair that is called instead."""


class FallbackRouter(RouterWrapper):
    """Delegates to another router; when that fails, one pair is called instead.

    When the router raises (its encoder can't be loaded, its policy breaks), this logs a warning and gives the failure
    in the decision's reason. If there is already an answer, that is given. The query's constraints stay in force:
    `ConstraintError` does not count as a failure, and the pair is called only if the query allows it. Its cost is then
    not estimated.

    Args:
        router: the router to delegate to.
        pair: the pair that is called when it fails.
    """

    def __init__(self, router: Router, pair: Pair) -> None:
        super().__init__(router)
        self.pair = pair

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        try:
            return self.router.decide(query, trajectory)
        except (ConstraintError, GraphBubbleUp):
            raise
        except Exception as error:  # noqa: BLE001  # any exception of a router is a failure
            return self._instead(query, trajectory, error)

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does on the event loop."""
        try:
            return await self.router.adecide(query, trajectory)
        except (ConstraintError, GraphBubbleUp):
            raise
        except Exception as error:  # noqa: BLE001  # any exception of a router is a failure
            return self._instead(query, trajectory, error)

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries; when that fails, one by one."""
        try:
            return self.router.decide_batch(queries)
        except Exception:  # noqa: BLE001  # deciding each alone shows which query raised it
            return [self.decide(query) for query in queries]

    def _instead(self, query: Query, trajectory: Trajectory, error: Exception) -> Decision:
        allowed = query.constraints.pairs
        if allowed is not None and self.pair not in allowed:
            raise error
        _LOG.warning("The router failed; %s stands in for it.", self.pair, exc_info=cleaned(error))
        reason = f"The router failed ({error_text(error)})."
        tried = any(seen.pair == self.pair or not seen.failed for seen in trajectory.observations)
        if tried:
            return last_answer(trajectory, rule=RULE, reason=reason)
        return Decision(kind="route", pair=self.pair, rule=RULE, reason=f"{reason} {self.pair} is asked instead.")


def with_fallback(router: Router, pairs: Sequence[Pair], on_router_error: OnRouterError) -> Router:
    """Return the router, wrapped in a fallback if `on_router_error` is a pair.

    Args:
        router: the router that decides.
        pairs: the pairs that can be run; empty for any.
        on_router_error: ``raise``, or the pair.

    Raises:
        PoolError: the pair can't be run.
    """
    if on_router_error == "raise":
        return router
    pair = as_pair(on_router_error)
    if pairs and pair not in pairs:
        known = suggest(str(pair), map(str, pairs))
        raise PoolError(f"on_router_error is {str(pair)!r}, which is neither 'raise' nor a pair. {known}")
    return FallbackRouter(router, pair)
