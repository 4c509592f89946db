"""Middleware for `langchain.agents.create_agent` that chooses the model and the tools for every model call."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NotRequired

from langchain_core.messages import AIMessage
from langgraph.config import get_config
from langgraph.types import Command

from langchain_atlas.errors import MissingExtraError, PoolError, SettingError
from langchain_atlas.execution.models.plain_values import plain_message
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.integrations.agents.call import AgentRequest, Habits, Pin, Reply
from langchain_atlas.integrations.agents.record import AgentRecord
from langchain_atlas.integrations.agents.run_pins import PinsByRun
from langchain_atlas.integrations.graphs.durable import announce
from langchain_atlas.integrations.messages import RECORD_KEY, AtlasRecord, checked_hold_back, run_settings
from langchain_atlas.integrations.storing import as_store
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.limits.quota import as_quota
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS, checked_turns
from langchain_atlas.loop.turns import adrive, drive
from langchain_atlas.routers.thread.escalating import EscalatingRouter
from langchain_atlas.tracing.tokens import HOLD_BACK_S

try:
    from langchain.agents.middleware.types import AgentMiddleware, AgentState, ExtendedModelResponse, ModelResponse
except ImportError as error:
    raise MissingExtraError("AtlasMiddleware", "agents") from error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from contextlib import AbstractContextManager

    from langchain.agents.middleware.types import ModelRequest, ToolCallRequest
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import BaseTool

    from langchain_atlas.execution.live import LiveExecutor
    from langchain_atlas.integrations.agents.run_pins import RunPins
    from langchain_atlas.loop.limits.settings import Limits
    from langchain_atlas.outcomes.store import Store
    from langchain_atlas.routers.base import Router


class AtlasAgentState(AgentState[Any]):
    """An agent's state, with the record of the latest decision."""

    atlas: NotRequired[AtlasRecord]
    """An `AgentRecord` as plain JSON."""


class AtlasMiddleware(AgentMiddleware[AtlasAgentState, Any, Any]):
    """Lets the router choose the model and the tools for every model call of an agent.

    A pair whose tool is used natively is bound: its model is called with its tools and the agent's own tools, but not
    with those of other pairs, and the agent runs the tools that the model calls. A pair with another invocation is run
    by the executor, and its answer is the model's reply. The record of the decision is in the agent's state under
    ``atlas`` and in the reply's ``response_metadata["atlas"]``.

    If a pair fails, the router's next choice is called. If the router can't decide, or has no next choice, the agent's
    own model is called as if there were no middleware; this is logged as a warning, and the record holds the cause. The
    agent's own model is never called if the run sets limits (`AtlasContext`) or `limits` are given, which it can't
    respect, or if a setting is invalid: then the error is raised. A run's limits apply to a human message and the tool
    loop that it starts.

    Args:
        router: the router.
        executor: provides the pool's chat models and tools, and runs the pairs that an agent can't.
        pin: ``loop``: one decision for a human message and the tool loop that it starts; ``thread``: one for the
            whole thread, as long as that pair is allowed and does not fail; ``run``: as ``loop``, and the subagents of
            a run whose prompts start alike share the decision; None: one for every model call.
        switching_cost: gain in the router's utility (0 to 1) that another pair must offer before a thread leaves the
            last used pair. Leaving it loses the provider's prompt cache.
        escalate: ``stalled`` moves a tool loop that stalls up to a stronger pair, and back down when it goes well; see
            `EscalatingRouter`, which may be given as the router for other limits. None keeps to the pair.
        keep_tools: ``all`` binds the tools of the agent, and of its other middleware, in addition to the chosen pair's;
            a list of names binds only these, and an empty list none.
        fail_open: call the agent's own model if no pair replies and the run sets no limits, instead of raising the
            error.
        max_turns: maximum number of decisions (failed calls and thoughts) for one model call.
        hold_back_s: seconds from its first word for which a reply is kept out of the agent's stream. If it breaks off
            within that time, another pair is called, and none of it is streamed; if it breaks off later, a
            `BrokenStreamError` is raised. None holds a reply back until it is complete.
        store: where decisions and what came of them are kept: a `Store`, or its address, such as
            ``sqlite:///atlas.db``. None keeps nothing. See ``docs/store.md``.
        limits: `Limits` that hold over many calls, users and processes, counted in the store. See ``docs/limits.md``.

    Raises:
        PoolError: the router knows none of the executor's pairs.
        SettingError: a setting is out of range.
        MissingExtraError: `langchain` is not installed.
    """

    state_schema = AtlasAgentState

    def __init__(
        self,
        router: Router,
        executor: LiveExecutor,
        *,
        pin: Pin | None = "loop",
        switching_cost: float = 0.0,
        escalate: Literal["stalled"] | None = None,
        keep_tools: Collection[str] | Literal["all"] = "all",
        fail_open: bool = True,
        max_turns: int = MAX_TURNS,
        hold_back_s: float | None = HOLD_BACK_S,
        store: Store | str | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__()
        check_sides(router, executor)
        if pin not in ("loop", "thread", "run", None):
            raise SettingError(f"pin is {pin!r}; it must be 'loop', 'thread', 'run' or None.")
        if escalate not in ("stalled", None):
            raise SettingError(f"escalate is {escalate!r}; it must be 'stalled' or None.")
        if not 0 <= switching_cost <= 1:
            raise SettingError(f"switching_cost is {switching_cost!r}; it must be a number from 0 to 1.")
        if isinstance(keep_tools, str) and keep_tools != "all":
            raise SettingError(f"keep_tools is {keep_tools!r}; it must be 'all' or a list of names.")
        known = router.pairs or executor.pool.pairs
        pairs = tuple(pair for pair in executor.pool.pairs if pair in known)
        if not pairs:
            raise PoolError("The router knows none of the executor's pairs; fit it on outcomes of the pool's pairs.")
        escalating = router if isinstance(router, EscalatingRouter) else None
        if escalate is not None and escalating is None:
            router = escalating = EscalatingRouter(router)
        self.router = router
        self.executor = executor
        self._max_turns = checked_turns(max_turns)
        self.store = as_store(store)
        self.limits = limits
        self._quota = as_quota(limits, self.store, executor.pairs)
        self._hold_back_s = checked_hold_back(hold_back_s)
        kept = None if keep_tools == "all" else frozenset(keep_tools)
        habits = Habits(executor, pairs, pin, switching_cost, kept, fail_open and limits is None, escalating)
        bound = [pair.tool for pair in pairs if habits.is_bound(pair)]
        tools: list[BaseTool] = [tool for name in bound for tool in executor.invocation(name).tools]
        self.tools = list({tool.name: tool for tool in tools}.values())
        self._run_pins = PinsByRun()
        self._habits = replace(habits, pool_tools=tuple(tools))

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ExtendedModelResponse[Any]:
        """Choose the model and the tools, and call the model."""
        return _response(drive(self._call(request).steps(), self._handler(handler)))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ExtendedModelResponse[Any]:
        """Async version of `wrap_model_call`."""
        return _response(await adrive(self._call(request).steps(), self._handler(handler)))

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Run the chosen pair's tool, not another one with the same name; agents in it share this run's pins."""
        if self._habits.pin != "run":
            return handler(self._with_tool(request))
        with self._pins(request):
            return handler(self._with_tool(request))

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Async version of `wrap_tool_call`."""
        if self._habits.pin != "run":
            return await handler(self._with_tool(request))
        with self._pins(request):
            return await handler(self._with_tool(request))

    def _handler(self, call: Callable[[ModelRequest[Any]], Any]) -> Handler:
        return Handler(
            self.router,
            self.executor,
            self._max_turns,
            call,
            live=True,
            hold_back_s=self._hold_back_s,
            tell=announce,
            store=self.store,
            quota=self._quota,
        )

    def _call(self, request: ModelRequest[Any]) -> AgentRequest:
        return AgentRequest(
            self.router, self._habits, request, run_settings(get_config()), AgentRecord.of(request.state)
        )

    def _pins(self, request: ToolCallRequest) -> AbstractContextManager[RunPins]:
        """Return the scope of this run's pins: that of the agent within whose tools this one runs, or its own."""
        thread = (get_config().get("configurable") or {}).get("thread_id")
        return self._run_pins.scope((str(thread), str(AgentRecord.of(request.state).ask_id)))

    def _with_tool(self, request: ToolCallRequest) -> ToolCallRequest:
        pair = AgentRecord.of(request.state).pair
        if pair not in self._habits.pairs:
            return request
        for tool in self.executor.invocation(pair.tool).tools:
            if tool.name == request.tool_call["name"]:
                return request.override(tool=tool)
        return request


def _response(reply: Reply) -> ExtendedModelResponse[Any]:
    """Return the reply in the agent's form, with the record in its state and in the message."""
    record = reply.record.to_json()
    messages = [
        plain_message(
            message.model_copy(update={"response_metadata": {**message.response_metadata, RECORD_KEY: record}})
        )
        if isinstance(message, AIMessage)
        else message
        for message in reply.messages
    ]
    return ExtendedModelResponse(
        model_response=ModelResponse(result=messages, structured_response=reply.structured_response),
        command=Command(update={RECORD_KEY: record}),
    )
