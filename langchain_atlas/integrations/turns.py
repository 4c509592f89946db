"""How a node takes the turns of the loop: limited, announced, approved by a human, and kept for a run that resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.config import get_stream_writer

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.execution.wrapper import ExecutorWrapper
from langchain_atlas.integrations.kept import akept, kept
from langchain_atlas.loop import limited
from langchain_atlas.pool import Pair
from langchain_atlas.routers.fallback import FallbackRouter
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.trajectory import START, Decision, Observation, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.execution.base import Executor
    from langchain_atlas.integrations.approval import Approval
    from langchain_atlas.routers.base import Router

OnRouterError = Pair | str
"""What happens when a router fails: ``raise``, or the pair that is asked instead."""


def guarded(router: Router, executor: Executor, on_router_error: OnRouterError) -> Router:
    """Return the router, with a pair standing in for it when it fails if one is named.

    Raises:
        PoolError: the executor has no such pair.
    """
    if on_router_error == "raise":
        return router
    pair = on_router_error if isinstance(on_router_error, Pair) else Pair.parse(on_router_error)
    if executor.pairs and pair not in executor.pairs:
        known = suggest(str(pair), map(str, executor.pairs))
        raise PoolError(f"on_router_error is {str(pair)!r}, which is neither 'raise' nor a pair. {known}")
    return FallbackRouter(router, pair)


def announce(decision: Decision) -> None:
    """Stream a decision as a custom event; outside a graph nobody listens."""
    if is_in_graph():
        get_stream_writer()({"atlas_decision": decision.to_json()})


def is_in_graph() -> bool:
    """Say whether a graph is running us."""
    from langgraph.runtime import get_runtime

    try:
        return get_runtime() is not None
    except (KeyError, RuntimeError):
        return False


class NodeRouter(RouterWrapper):
    """A router as a node of a graph asks it.

    Args:
        router: who decides.
        max_turns: most turns of the loop.
        approval: asks a human where one has a word in it.
        durable: whether decisions are kept in the graph's checkpoint.
    """

    def __init__(self, router: Router, max_turns: int, approval: Approval | None, *, durable: bool) -> None:
        super().__init__(router)
        self._max_turns = max_turns
        self._approval = approval
        self._durable = durable

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""

        def decide() -> dict[str, Any]:
            return self._announced(self.router.decide(query, trajectory), trajectory)

        decided = kept("decide", decide) if self._durable and is_in_graph() else decide()
        return self._reviewed(query, trajectory, Decision.from_json(decided))

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does on the event loop."""

        async def decide() -> dict[str, Any]:
            return self._announced(await self.router.adecide(query, trajectory), trajectory)

        decided = await (akept("decide", decide) if self._durable and is_in_graph() else decide())
        return self._reviewed(query, trajectory, Decision.from_json(decided))

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of each query by itself, as a human may have a word in it."""
        return [self.decide(query) for query in queries]

    def _announced(self, decision: Decision, trajectory: Trajectory) -> dict[str, Any]:
        decision = limited(decision, trajectory, self._max_turns)
        announce(decision)
        return decision.to_json()

    def _reviewed(self, query: Query, trajectory: Trajectory, decision: Decision) -> Decision:
        if self._approval is None:
            return decision
        reviewed = self._approval.review(query, trajectory, decision)
        if reviewed != decision:
            announce(reviewed)
        return reviewed


class DurableExecutor(ExecutorWrapper):
    """Keeps what the calls returned in the graph's checkpoint, so that none is made twice.

    Args:
        executor: who acts.
    """

    def run(self, pair: Pair, query: Query) -> Observation:
        """Run `pair` on `query`; see `Executor.run`."""
        if not is_in_graph():
            return self.executor.run(pair, query)

        def execute() -> dict[str, Any]:
            return self.executor.run(pair, query).to_json()

        return Observation.from_json(kept("execute", execute))

    async def arun(self, pair: Pair, query: Query) -> Observation:
        """Do what `run` does on the event loop."""
        if not is_in_graph():
            return await self.executor.arun(pair, query)

        async def execute() -> dict[str, Any]:
            return (await self.executor.arun(pair, query)).to_json()

        return Observation.from_json(await akept("execute", execute))
