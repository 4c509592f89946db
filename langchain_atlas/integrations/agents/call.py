"""One model call of an agent: choosing the pair for it, and handling its failure."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_atlas.errors import AtlasError
from langchain_atlas.execution.invocations import Native, NoTool
from langchain_atlas.execution.invocations.base import results_in
from langchain_atlas.execution.invocations.calls.native_calls import read_reply
from langchain_atlas.execution.invocations.calls.schemas import signatures_of
from langchain_atlas.execution.observing import empty_answer, observed
from langchain_atlas.failures.kinds import execution_error, failures
from langchain_atlas.integrations.agents.run_pins import RunPins, prompt_start
from langchain_atlas.integrations.messages import answer_message, last_said, read_query
from langchain_atlas.loop.effects import CallModel
from langchain_atlas.loop.limits.trajectory_limits import seconds_for
from langchain_atlas.loop.suiting import suiting
from langchain_atlas.loop.turns import ask_router, call_model, failure, run_pair, turns
from langchain_atlas.messages.histories import sendable
from langchain_atlas.messages.user_message import with_settings
from langchain_atlas.routers.thread.escalating import STALLED
from langchain_atlas.trajectory import START, Constraints, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain.agents.middleware.types import ModelRequest, ModelResponse

    from langchain_atlas.execution.live import LiveExecutor
    from langchain_atlas.integrations.agents.record import AgentRecord, Kept
    from langchain_atlas.loop.effects import Steps
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.thread.escalating import EscalatingRouter
    from langchain_atlas.trajectory import Decision, Observation

Pin = Literal["loop", "thread", "run"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Habits:
    """The middleware's settings, which apply to every call."""

    executor: LiveExecutor
    """Provides the pool's chat models and tools."""
    pairs: tuple[Pair, ...]
    """The pairs to choose from."""
    pin: Pin | None
    """How long a pair is kept."""
    switching_cost: float
    """Gain in utility that another pair must offer over the last used one."""
    keep_tools: frozenset[str] | None
    """Names of the agent's tools that are bound in addition to the pair's; None for all of them."""
    fail_open: bool
    """Whether the agent's own model is called if no pair replies."""
    escalating: EscalatingRouter | None = None
    """The router if it moves stalled tool loops to another pair, which then are not kept."""

    pool_tools: tuple[Any, ...] = ()
    """The pairs' tools, which are registered with the agent only so that it can run them."""

    def kept(self, tools: Iterable[Any]) -> list[Any]:
        """Return the agent's tools that are bound for every pair."""
        pools = {id(tool) for tool in self.pool_tools}
        if self.keep_tools is None:
            return [tool for tool in tools if id(tool) not in pools]
        return [tool for tool in tools if _name(tool) in self.keep_tools]

    def is_bound(self, pair: Pair) -> bool:
        """Return whether the agent itself runs this pair: it calls the model with the pair's tools, if any."""
        return type(self.executor.invocation(pair.tool)) in (NoTool, Native)


@dataclass(frozen=True)
class Reply:
    """The result of an agent's model call."""

    messages: list[Any]
    """The model's message, and for structured output the message that answers its call."""
    structured_response: Any
    """The structured output, if requested and returned."""
    record: AgentRecord
    """The record of the decisions."""


class AgentRequest:
    """One model call of an agent.

    Args:
        router: the router.
        habits: the middleware's settings.
        request: the call as the agent would make it.
        settings: the settings of this run; see `AtlasContext`.
        before: the record of the thread's previous call.
    """

    def __init__(
        self,
        router: Router,
        habits: Habits,
        request: ModelRequest[Any],
        settings: Mapping[str, Any],
        before: AgentRecord,
    ) -> None:
        self._router = router
        self._habits = habits
        self._request = request
        self._settings = settings
        self._before = before
        asks = [message for message in request.messages if isinstance(message, HumanMessage)]
        self._ask_id = asks[-1].id if asks else None
        self._trajectory: Trajectory = START
        self._kept: Kept | None = None
        self._response: ModelResponse[Any] | None = None

    def steps(self) -> Steps[Reply]:
        """Let the router choose until a pair replies, or else call the agent's own model.

        Returns:
            Steps that return the `Reply`.

        Raises:
            AtlasError: no pair replied, and the agent's own model may not be called.
        """
        before, opens = self._before, self._may_open()
        if opens and self._habits.pin is not None and before.is_for(self._ask_id) and before.cause is not None:
            return (yield from self._open(before.cause))  # a tool loop stays with the model that started it
        try:
            trajectory = yield from turns(self._query, decide=self._decide, act=self._act, first_reply="agent")
        except Exception as error:
            cause = failure(error)
            if not opens:
                raise
        else:
            if trajectory.answered_by is not None:
                return self._replied(trajectory)
            reason = trajectory.steps[-1].decision.reason
            cause = failures(trajectory) or f"The router chose to answer without a call. {reason}"
            self._trajectory = Trajectory(steps=trajectory.steps[:-1])
            if not opens:
                raise execution_error(f"No pair replied. {cause}", trajectory.observations)
        _LOG.warning("No pair replied, so the agent's own model is called. %s", cause)
        return (yield from self._open(cause))

    def _may_open(self) -> bool:
        """Return whether the agent's own model may be called: never if the run sets limits, which it can't respect.

        Raises:
            InvalidInputError: a setting of the run is out of range.
        """
        open_ = self._limits == Constraints() and not self._settings.get("private")
        return self._habits.fail_open and open_

    @cached_property
    def _limits(self) -> Constraints:
        """The limits that the run sets."""
        return with_settings(Query(text=""), self._settings).constraints

    def _open(self, cause: str | None) -> Steps[Reply]:
        response = yield CallModel(self._request, live=True)
        return self._reply(response.result, response.structured_response, cause=cause)

    @cached_property
    def _query(self) -> Query:
        query = self._before.left(self._ask_id, read_query(self._request.messages, self._settings))
        able = frozenset(pair for pair in self._habits.pairs if self._takes(pair))
        bound = frozenset(pair for pair in able if self._habits.is_bound(pair))
        beside = self._request.system_prompt or ""
        return suiting(query, self._router, self._habits.executor, able, beside=beside, bound=bound)

    def _takes(self, pair: Pair) -> bool:
        """Return whether a pair can make this call: in a tool loop, or with the agent's own tools, it must be bound."""
        in_tool_loop = isinstance(last_said(self._request.messages), ToolMessage)
        if in_tool_loop or self._habits.kept(self._request.tools) or self._request.response_format is not None:
            model = self._habits.executor.pool.model(pair.model)
            return self._habits.is_bound(pair) and model.function_calling is not False
        return True

    def _decide(self, query: Query, trajectory: Trajectory) -> Steps[Decision]:
        """Keep an earlier decision if it still applies; else let the router decide."""
        self._trajectory = trajectory
        if not trajectory.steps:
            moves = self._moves(query)
            pinned, kept = (None, None) if moves else self._pinned()
            if pinned is not None and (yield from self._affords(pinned)):
                self._kept = kept
                return pinned
            self._kept = None
            if moves:
                return (yield from ask_router(query, trajectory))
        decision = yield from self._unless_better((yield from ask_router(query, trajectory)))
        return self._shared(decision) if self._habits.pin == "run" else decision

    def _moves(self, query: Query) -> bool:
        """Return whether the tool loop has stalled, or has recovered, so that its pair is not kept."""
        move = None if self._habits.escalating is None else self._habits.escalating.move(query)
        return move is not None and move.direction != "stay"

    def _pinned(self) -> tuple[Decision | None, Kept | None]:
        """Return the earlier decision that still applies, with the reason."""
        pin, before = self._habits.pin, self._before
        same_loop = before.is_for(self._ask_id)
        if pin == "run" and not same_loop:
            shared = RunPins.current().get(self._prompt_start)
            allowed = shared is not None and shared.pair in (self._query.constraints.pairs or ())
            return (shared, pin) if allowed else (None, None)
        if pin is None or before.pair is None or before.pair not in (self._query.constraints.pairs or ()):
            return None, None
        if pin == "loop" and not same_loop:
            return None, None
        decisions = [step.decision for step in before.steps if step.decision.pair == before.pair]
        if not decisions or (not same_loop and decisions[-1].rule == STALLED):  # that was for the stalled loop alone
            return None, None
        return _again(decisions[-1]), "loop" if same_loop else pin

    @cached_property
    def _prompt_start(self) -> str:
        return prompt_start(self._request.system_prompt, map(_name, self._request.tools))

    def _shared(self, decision: Decision) -> Decision:
        """Share a decision with the run's agents whose prompts start alike; the first one that is shared holds."""
        if decision.pair is None:
            return decision
        failed = bool(self._trajectory.observations)
        shared = RunPins.current().share(self._prompt_start, _again(decision), replace=failed)
        if failed or shared.pair == decision.pair or shared.pair not in (self._query.constraints.pairs or ()):
            return decision
        self._kept = "run"
        return shared

    def _affords(self, pinned: Decision) -> Steps[bool]:
        """Return whether the query's limits leave room for an earlier decision, by the router's expectations."""
        limits, pair = self._query.constraints, pinned.pair
        if limits.max_cost_usd is None and limits.max_latency_s is None:
            return True
        assert pair is not None  # noqa: S101  # only such decisions are pinned
        only = self._query.replace(constraints=limits.replace(pairs=frozenset({pair})))
        try:
            again = (yield from turns(only, act=None)).steps[-1].decision
        except AtlasError:
            return False
        return again.pair == pair

    def _unless_better(self, decision: Decision) -> Steps[Decision]:
        """Keep the last used pair, unless the gain of the new one exceeds the switching cost."""
        self._kept, last, query = None, self._before.pair, self._query
        stays = last is not None and last in (query.constraints.pairs or ()) and not self._trajectory.observations
        if not (self._habits.switching_cost and stays and decision.pair is not None) or decision.pair == last:
            return decision
        only = query.replace(constraints=query.constraints.replace(pairs=frozenset({last})))
        try:
            staying = (yield from turns(only, act=None)).steps[-1].decision
        except AtlasError:
            return decision  # the query's limits rule the last pair out
        gain = _gain(decision, staying)
        if staying.pair != last or gain is None or gain > self._habits.switching_cost:
            return decision
        self._kept = "switching-cost"
        return staying

    def _act(self, query: Query, decision: Decision, trajectory: Trajectory) -> Steps[Observation]:
        """Call the pair's model with its tools bound, or let the executor run the pair."""
        pair, system = decision.pair, self._request.system_message
        assert pair is not None  # noqa: S101  # only such decisions are acted on
        self._response = None
        if self._habits.is_bound(pair):
            model = self._habits.executor.pool.model(pair.model)
            request = partial(self._bound_request, pair)
            seconds = seconds_for(query, trajectory)
            read = partial(self._read, pair)
            observation = yield from call_model(pair, model, request, read, query=query, live=True, seconds=seconds)
        else:
            if system is not None:
                query = query.replace(history=(system, *query.history))
            observation = yield from run_pair(query, decision, trajectory)
        self._trajectory = trajectory.then(decision, observation)
        return observation

    def _read(self, pair: Pair, response: ModelResponse[Any], seconds: float) -> Observation:
        message = next(message for message in response.result if isinstance(message, AIMessage))
        own = self._habits.executor.invocation(pair.tool).tools
        read = read_reply(message, signatures_of([*own, *self._request.tools]), results_in(self._request.messages))
        if read is not message:
            result = [read if one is message else one for one in response.result]
            response, message = replace(response, result=result), read
        self._response = response
        observation = observed(pair, self._habits.executor.pool.model(pair.model), message, seconds)
        said = message.content or message.tool_calls or message.invalid_tool_calls or response.structured_response
        if not said and isinstance(self._request.messages[-1], HumanMessage):  # after a tool, silence may be intended
            return observation.replace(answer=None, error=empty_answer(message))
        return observation.replace(message_id=message.id)

    def _bound_request(self, pair: Pair, chat_model: Any) -> ModelRequest[Any]:
        request, invocation = self._request, self._habits.executor.invocation(pair.tool)
        own = {tool.name for tool in invocation.tools}
        tools = [tool for tool in self._habits.kept(request.tools) if _name(tool) not in own]
        messages = sendable(request.messages, reads=self._habits.executor.pool.model(pair.model).modalities)
        changes: dict[str, Any] = {
            "model": chat_model,
            "messages": messages,
            "tools": [*invocation.tools, *tools],
            "model_settings": {**self._habits.executor.options(pair), **request.model_settings},
        }
        texts = [invocation.settings.system, request.system_prompt]
        if isinstance(messages[0], SystemMessage) and isinstance(messages[0].content, str):
            texts.append(messages.pop(0).text)  # the agent adds its own system message in front
        if texts[0] or texts[2:]:
            changes["system_message"] = SystemMessage("\n\n".join(text for text in texts if text))
        choice = getattr(invocation.settings, "tool_choice", "auto")
        if choice != "auto" and isinstance(last_said(request.messages), HumanMessage):
            changes["tool_choice"] = choice
        return request.override(**changes)

    def _replied(self, trajectory: Trajectory) -> Reply:
        answered_by, response = trajectory.answered_by, self._response
        assert answered_by is not None  # noqa: S101  # a pair replied
        self._trajectory = Trajectory(steps=trajectory.steps[:-1])
        if response is None:
            return self._reply([answer_message(trajectory)], None, pair=answered_by.pair, kept=self._kept)
        return self._reply(response.result, response.structured_response, pair=answered_by.pair, kept=self._kept)

    def _reply(self, messages: list[Any], structured_response: Any, **fields: Any) -> Reply:
        limited = self._limits.max_cost_usd is not None or self._limits.max_latency_s is not None
        record = self._before.next(self._ask_id, self._trajectory, limited=limited, **fields)
        return Reply(messages, structured_response, record)


def _name(tool: Any) -> str:
    """Return the name of an agent's tool; a tool that the provider runs may only have a type."""
    if not isinstance(tool, dict):
        return str(tool.name)
    return str(tool.get("name") or tool.get("function", {}).get("name") or tool.get("type"))


def _again(decision: Decision) -> Decision:
    """Return an earlier decision for another call, which is dated anew if it was dated."""
    now = None if decision.decided_at is None else time.time()
    return decision.model_copy(update={"id": None, "decided_at": now})


def _gain(decision: Decision, staying: Decision) -> float | None:
    """Return the gain in utility of a decision over staying; None if the router gives no utilities."""
    new, old = decision.chosen, staying.chosen
    if new is None or old is None:
        return None
    if new.utility is not None and old.utility is not None:
        return new.utility - old.utility
    return new.expected_success - old.expected_success
