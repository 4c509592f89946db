"""Router and executor wrappers for nodes: decisions are announced, approved and saved, and calls are saved.

LangGraph saves them in the run's checkpoint, so that a resumed run does not repeat the work.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.runnables.config import get_callback_manager_for_config
from langgraph.config import get_stream_writer
from langgraph.errors import GraphBubbleUp
from langgraph.func import task

from langchain_atlas.errors import ExecutionError
from langchain_atlas.execution.in_graph import current_scope, graph_scope
from langchain_atlas.execution.wrapper import ExecutorWrapper
from langchain_atlas.loop.identity import identified
from langchain_atlas.loop.limits.trajectory_limits import limited
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.tracing.tokens import aholding, holding
from langchain_atlas.trajectory import START, Decision, Observation, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from langchain_core.runnables import RunnableConfig

    from langchain_atlas.integrations.graphs.approval import Approval
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router

PATIENCE_S = 0.5
"""Seconds that a synchronous node waits for a free thread before it does the work itself."""


EVENT = "atlas_decision"
"""Name of the custom events that report decisions."""


def announce(decision: Decision) -> None:
    """Stream a decision as a custom event; outside a graph this does nothing."""
    if is_in_graph():
        get_stream_writer()({EVENT: decision.to_json()})


def announcer(config: RunnableConfig) -> Callable[[Decision], None]:
    """Return a function that reports decisions in a graph, and to the run's handlers as LangChain custom events."""

    def tell(decision: Decision) -> None:
        announce(decision)
        if _hears(config):
            dispatch_custom_event(EVENT, decision.to_json(), config=config)

    return tell


def aannouncer(config: RunnableConfig) -> Callable[[Decision], Awaitable[None]]:
    """Async version of `announcer`."""

    async def tell(decision: Decision) -> None:
        announce(decision)
        if _hears(config):
            await adispatch_custom_event(EVENT, decision.to_json(), config=config)

    return tell


def _hears(config: RunnableConfig) -> bool:
    manager = get_callback_manager_for_config(config)
    return bool(manager.handlers) and manager.parent_run_id is not None


def is_in_graph() -> bool:
    """Return whether a graph is running us."""
    from langgraph.runtime import get_runtime

    try:
        return get_runtime() is not None
    except (KeyError, RuntimeError):
        return False


class NodeRouter(RouterWrapper):
    """A router as used by a node of a graph.

    Args:
        router: the wrapped router.
        max_turns: maximum number of turns of the loop.
        approval: requests human approval where needed; None for no approval.
        durable: whether decisions are saved in the graph's checkpoint.
        identify: whether decisions get an id for the store. It is saved with them, so that a resumed run stores none
            twice.
    """

    def __init__(
        self, router: Router, max_turns: int, approval: Approval | None, *, durable: bool, identify: bool = False
    ) -> None:
        super().__init__(router)
        self._max_turns = max_turns
        self._approval = approval
        self._durable = durable
        self._identify = identify

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""

        def decide() -> Decision:
            return self._announced(self.router.decide(query, trajectory), trajectory)

        if not (self._durable and is_in_graph()):
            return self._reviewed(query, trajectory, decide())
        decided = kept("decide", lambda: decide().to_json())
        return self._reviewed(query, trajectory, Decision.from_json(decided))

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Async version of `decide`."""

        async def decide() -> Decision:
            return self._announced(await self.router.adecide(query, trajectory), trajectory)

        async def decide_as_json() -> dict[str, Any]:
            return (await decide()).to_json()

        if not (self._durable and is_in_graph()):
            return self._reviewed(query, trajectory, await decide())
        return self._reviewed(query, trajectory, Decision.from_json(await akept("decide", decide_as_json)))

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of each query separately, because each may need human approval."""
        return [self.decide(query) for query in queries]

    def _announced(self, decision: Decision, trajectory: Trajectory) -> Decision:
        decision = limited(decision, trajectory, self._max_turns, self.router)
        if self._identify:
            decision = identified(decision, self.router)
        announce(decision)
        return decision

    def _reviewed(self, query: Query, trajectory: Trajectory, decision: Decision) -> Decision:
        if self._approval is None:
            return decision
        reviewed = self._approval.review(query, trajectory, decision)
        if reviewed != decision:
            announce(reviewed)
        return reviewed


class DurableExecutor(ExecutorWrapper):
    """Saves the results of calls in the graph's checkpoint, so that no call is made twice.

    Args:
        executor: the wrapped executor.
    """

    def run(self, pair: Pair, query: Query) -> Observation:
        """Run `pair` on `query`; see `Executor.run`."""
        if not is_in_graph():
            return self.executor.run(pair, query)

        def execute() -> dict[str, Any]:
            with _commands() as taken:
                return taken(holding(lambda: self.executor.run(pair, query)))

        return _observed(kept("execute", execute))

    async def arun(self, pair: Pair, query: Query) -> Observation:
        """Async version of `run`."""
        if not is_in_graph():
            return await self.executor.arun(pair, query)

        async def execute() -> dict[str, Any]:
            with _commands() as taken:
                return taken(await aholding(lambda: self.executor.arun(pair, query)))

        return _observed(await akept("execute", execute))


@contextmanager
def _commands() -> Iterator[Callable[[Observation], dict[str, Any]]]:
    """Yield a function that converts an observation to plain JSON, with the commands of its tools, if any."""
    around = current_scope()
    if around is None:
        yield lambda seen: seen.to_json()
        return
    with graph_scope(around.state, around.messages_key) as scope:
        yield lambda seen: {**seen.to_json(), **({"commands": list(scope.commands)} if scope.commands else {})}


def _observed(result: dict[str, Any]) -> Observation:
    """Return the saved observation, and pass its commands to the running node."""
    scope = current_scope()
    if scope is not None:
        scope.commands += result.get("commands", [])
    return Observation.from_json({name: value for name, value in result.items() if name != "commands"})


def kept(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the result of `work`, or its saved result if the run was resumed.

    LangGraph runs a task in its thread pool, where nodes that wait for their tasks may occupy every thread (there are a
    few more than cores, or ``max_concurrency``). So a task that does not start in time is run in this thread; the pool
    records its result when it can.

    Args:
        name: name of the task in streams and traces.
        work: returns plain JSON.

    Raises:
        ExecutionError: the work wants to interrupt the graph, and no thread was free for it.
    """
    begun = threading.Lock()
    result: Future[dict[str, Any]] = Future()

    def run() -> dict[str, Any]:
        if begun.acquire(blocking=False):
            _settle(result, work)
        return result.result()

    run.__name__ = name
    future = task(run)()
    wait([future], PATIENCE_S)
    if future.done() or not begun.acquire(blocking=False):
        return future.result()
    _settle(result, work)
    try:
        return result.result()
    except GraphBubbleUp as interruption:
        raise ExecutionError(
            f"{name!r} wants to interrupt the graph, but the graph's threads are all taken. Give the run a "
            "'max_concurrency' above the number of branches that run at once, or run it on an event loop (ainvoke)."
        ) from interruption


async def akept(name: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Async version of `kept`, which does not need a thread."""

    async def run() -> dict[str, Any]:
        return await work()

    run.__name__ = name
    done: dict[str, Any] = await task(run)()
    return done


def _settle(result: Future[dict[str, Any]], work: Callable[[], dict[str, Any]]) -> None:
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001  # raised when the result is read
        result.set_exception(error)
