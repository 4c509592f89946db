"""The loop as a LangGraph graph, with one node for each of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.uuid import uuid7
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic_core import core_schema
from typing_extensions import TypedDict

from langchain_atlas.execution.in_graph import graph_scope
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.integrations.graphs.approval import Approval, Approve
from langchain_atlas.integrations.graphs.durable import announce
from langchain_atlas.integrations.graphs.steps import GraphStep
from langchain_atlas.integrations.messages import (
    AtlasContext,
    AtlasRecord,
    OnFailure,
    answer_or_error,
    checked_hold_back,
    checked_on_failure,
    read_query,
    record,
    run_settings,
)
from langchain_atlas.integrations.storing import as_store
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.limits.quota import as_quota
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS, checked_turns
from langchain_atlas.loop.suiting import suiting
from langchain_atlas.loop.turns import adrive, ask_router, drive, kept, run_pair
from langchain_atlas.routers.fallback import OnRouterError, with_fallback
from langchain_atlas.tracing.tokens import HOLD_BACK_S
from langchain_atlas.trajectory import Decision, Query, Trajectory

if TYPE_CHECKING:
    from langchain_atlas.execution.base import Executor
    from langchain_atlas.loop.effects import Steps
    from langchain_atlas.loop.limits.quota import Quota
    from langchain_atlas.loop.limits.settings import Limits
    from langchain_atlas.outcomes.store import Store
    from langchain_atlas.routers.base import Router


if TYPE_CHECKING:
    Messages = list[AnyMessage]
else:

    class Messages(list[AnyMessage]):
        """Messages that schemas show as such, accepted in every form that `add_messages` reads.

        LangChain validates the input of a tool made from the graph with pydantic, which can't read the other forms with
        a plain list of `AnyMessage`.
        """

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
            """Accept any list, or a single message."""
            del source, handler
            return core_schema.any_schema()

        @classmethod
        def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
            """Show a list of messages."""
            del schema
            return handler(TypeAdapter(list[AnyMessage]).core_schema)


class AtlasInput(TypedDict):
    """The input of the graph."""

    messages: Annotated[Messages, add_messages]
    """The conversation; its last human message is the question."""


class AtlasState(TypedDict, total=False):
    """State of the graph; all of it except the messages is plain JSON."""

    messages: Annotated[Messages, add_messages]
    """The conversation."""
    atlas: AtlasRecord
    """Record of the run; see `langchain_atlas.integrations.messages.record`."""
    atlas_next: dict[str, Any]
    """The next decision to carry out, with the id of its user message and the key of its trajectory."""


def create_atlas_graph(
    router: Router,
    executor: Executor,
    *,
    max_turns: int = MAX_TURNS,
    approve: Approve | None = None,
    on_router_error: OnRouterError = "raise",
    on_failure: OnFailure = "raise",
    hold_back_s: float | None = HOLD_BACK_S,
    store: Store | str | None = None,
    limits: Limits | None = None,
) -> StateGraph[AtlasState, AtlasContext, AtlasInput, AtlasState]:
    """Build the loop as a graph: ``decide`` and ``execute`` in turn, then ``answer``.

    With a router that takes the first answer, ``execute`` makes the last decision too, and leads to ``answer``.

    Decisions are streamed as custom events (``stream_mode="custom"``), tokens as those of any chat model
    (``stream_mode="messages"``).

    Args:
        router: the router.
        executor: the executor.
        max_turns: maximum number of turns of the loop.
        approve: when a human must approve a pair before it is run, in a separate node ``approve``: above an expected
            cost of the call in dollars, or when a function of the query and the decision returns True. Needs a
            checkpointer.
        on_router_error: ``raise``, or the pair that is called if the router fails.
        on_failure: what ``answer`` does when every call failed and no pair is left: ``raise`` an `ExecutionError`,
            which is also of the calls' kinds; or write a ``message`` that says what failed.
        hold_back_s: seconds from its first word for which a reply is kept out of the graph's message stream, if the
            router takes the first answer. If a reply breaks off within that time, another pair is called, and none of
            it is streamed; if it breaks off later, a `BrokenStreamError` is raised. None holds a reply back until it is
            complete. If the router may make another call, the answer is streamed in one piece once it is decided.
        store: where decisions and what came of them are kept: a `Store`, or its address, such as
            ``sqlite:///atlas.db``. None keeps nothing. See ``docs/store.md``.
        limits: `Limits` that hold over many calls, users and processes, counted in the store. See ``docs/limits.md``.

    Returns:
        The graph, not compiled, so that the caller chooses checkpointer, store and interrupts.

    Raises:
        SettingError: `max_turns` is below 1, `approve` is neither a number nor a function, or `on_failure` is unknown.
        PoolError: `on_router_error` is a pair that the executor does not have.
    """
    check_sides(router, executor)
    approval = None if approve is None else Approval(approve, executor.pairs)
    router = with_fallback(router, executor.pairs, on_router_error)
    loop = _Loop(router, executor, checked_turns(max_turns), approval, checked_on_failure(on_failure))
    loop.hold_back_s = checked_hold_back(hold_back_s)
    loop.store = as_store(store)
    loop.quota = as_quota(limits, loop.store, executor.pairs)
    return _wired(loop, asks=approval is not None)


def _wired(loop: _Loop, *, asks: bool) -> StateGraph[AtlasState, AtlasContext, AtlasInput, AtlasState]:
    """Return the graph of a loop; `asks` if a human approves pairs in it."""
    before = "approve" if asks else "execute"
    graph = StateGraph(AtlasState, context_schema=AtlasContext, input_schema=AtlasInput, output_schema=AtlasState)
    graph.add_node("decide", GraphStep(loop.decide, loop.adecide))
    graph.add_node("execute", GraphStep(loop.execute, loop.aexecute))
    graph.add_node("answer", GraphStep(loop.answer))
    graph.add_edge(START, "decide")
    graph.add_conditional_edges("decide", GraphStep(_next), {"route": before, "think": "decide", "answer": "answer"})
    if asks:
        graph.add_node("approve", GraphStep(loop.approve))
        graph.add_conditional_edges("approve", GraphStep(_next), {"route": "execute", "answer": "answer"})
    graph.add_conditional_edges("execute", GraphStep(_after), {"decide": "decide", "answer": "answer"})
    graph.add_edge("answer", END)
    return graph


class _Loop:
    """The turns of the loop, with each of its two halves in a node, so that LangGraph saves the state between them."""

    def __init__(
        self,
        router: Router,
        executor: Executor,
        max_turns: int,
        approval: Approval | None,
        on_failure: OnFailure,
    ) -> None:
        self._router = router
        self._executor = executor
        self._max_turns = max_turns
        self._approval = approval
        self._on_failure = on_failure
        self.hold_back_s: float | None = HOLD_BACK_S
        self.store: Store | None = None
        self.quota: Quota | None = None

    def decide(self, state: AtlasState, config: RunnableConfig) -> AtlasState:
        query, trajectory = _read(state, config)
        with graph_scope(state):
            suited = suiting(query, self._router, self._executor)
        return _decided(state, query, trajectory, drive(ask_router(suited, trajectory), self._handler()))

    async def adecide(self, state: AtlasState, config: RunnableConfig) -> AtlasState:
        query, trajectory = _read(state, config)
        with graph_scope(state):
            suited = suiting(query, self._router, self._executor)
        return _decided(state, query, trajectory, await adrive(ask_router(suited, trajectory), self._handler()))

    def approve(self, state: AtlasState, config: RunnableConfig) -> AtlasState:
        query, trajectory, decision = _pending(state, config)
        assert self._approval is not None  # noqa: S101  # the node only exists with an approval
        reviewed = self._approval.review(query, trajectory, decision)
        return {} if reviewed == decision else _decided(state, query, trajectory, reviewed)

    def execute(self, state: AtlasState, config: RunnableConfig) -> AtlasState | list[Any]:
        query, trajectory, decision = _pending(state, config)
        with graph_scope(state) as scope:
            trajectory, final = drive(self._acting(query, decision, trajectory), self._handler(_key(state)))
        return scope.update(_executed(state, query, trajectory, final))

    async def aexecute(self, state: AtlasState, config: RunnableConfig) -> AtlasState | list[Any]:
        query, trajectory, decision = _pending(state, config)
        with graph_scope(state) as scope:
            trajectory, final = await adrive(self._acting(query, decision, trajectory), self._handler(_key(state)))
        return scope.update(_executed(state, query, trajectory, final))

    def _acting(
        self, query: Query, decision: Decision, trajectory: Trajectory
    ) -> Steps[tuple[Trajectory, Decision | None]]:
        """Run the pair; have the last decision made too where that is to give its answer."""
        observation = yield from kept(run_pair, query, decision, trajectory)
        trajectory = trajectory.then(decision, observation)
        if observation.failed or not self._router.takes_first_answer:
            return trajectory, None
        final: Decision = yield from ask_router(query, trajectory)
        return trajectory, final

    def answer(self, state: AtlasState, config: RunnableConfig) -> AtlasState:
        del config  # every step receives it
        with self._executor.trajectory(_key(state)):  # the end of the trajectory: tools drop their state
            return {"messages": [answer_or_error(_trajectory(state), self._on_failure)]}

    def _handler(self, key: str | None = None) -> Handler:
        return Handler(
            self._router,
            self._executor,
            self._max_turns,
            hold_back_s=self.hold_back_s,
            key=key,
            store=self.store,
            quota=self.quota,
        )


def _next(state: AtlasState, config: RunnableConfig) -> str:
    del config  # every step receives it
    return str(state["atlas_next"]["decision"]["kind"])


def _after(state: AtlasState, config: RunnableConfig) -> str:
    del config
    return "answer" if _trajectory(state).done else "decide"


def _read(state: AtlasState, config: RunnableConfig) -> tuple[Query, Trajectory]:
    """Return the query and its trajectory; a new user message in an old thread starts a new trajectory."""
    query = read_query(state.get("messages", []), run_settings(config))
    trajectory = _trajectory(state)
    same_ask = state.get("atlas_next", {}).get("query_id") == query.id
    return query, trajectory if same_ask and not trajectory.done else Trajectory()


def _key(state: AtlasState) -> str | None:
    """Return the key of the trajectory, if it has begun."""
    key: str | None = state.get("atlas_next", {}).get("trajectory_id")
    return key


def _pending(state: AtlasState, config: RunnableConfig) -> tuple[Query, Trajectory, Decision]:
    query, trajectory = _read(state, config)
    return query, trajectory, Decision.from_json(state["atlas_next"]["decision"])


def _trajectory(state: AtlasState) -> Trajectory:
    return Trajectory.from_json({"steps": state.get("atlas", {}).get("steps", [])})


def _decided(state: AtlasState, query: Query, trajectory: Trajectory, decision: Decision) -> AtlasState:
    announce(decision)
    key = _key(state) if trajectory.steps else None
    if decision.kind != "route":
        trajectory = trajectory.then(decision)
    ahead = {
        "decision": decision.to_json(),
        "query_id": query.id,
        "trajectory_id": str(uuid7()) if key is None else key,
    }
    return {"atlas": record(trajectory), "atlas_next": ahead}


def _executed(state: AtlasState, query: Query, trajectory: Trajectory, final: Decision | None) -> AtlasState:
    return {"atlas": record(trajectory)} if final is None else _decided(state, query, trajectory, final)
