"""One model call of an agent: which pair makes it, and what is done when that fails."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_atlas.agents.courses import Call, Course, Reach, Run, decided, failed_observation
from langchain_atlas.agents.messages import answer_message, has_images, portable, read_query
from langchain_atlas.errors import AtlasError, ConstraintError, ExecutionError
from langchain_atlas.execution.invocations import Native, NoTool
from langchain_atlas.execution.ledger import used_by
from langchain_atlas.routers.base import last_answer, some
from langchain_atlas.trajectory import START, Decision, Observation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain.agents.middleware.types import ModelRequest

    from langchain_atlas.agents.agent_record import AgentRecord
    from langchain_atlas.execution.live import LiveExecutor
    from langchain_atlas.pool import Pair
    from langchain_atlas.trajectory import Query, Trajectory

Pin = Literal["loop", "thread"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Habits:
    """How the middleware goes about every call; its arguments."""

    executor: LiveExecutor
    """Knows the pool's chat models and tools."""
    pairs: tuple[Pair, ...]
    """The pairs to choose from."""
    pin: Pin | None
    """For how long a pair is kept."""
    switching_cost: float
    """By how much another pair must be better than the one used last."""
    keep_tools: frozenset[str]
    """The agent's tools that are bound beside the pair's."""
    fail_open: bool
    """Whether the agent's own model is called where no pair replies."""
    max_turns: int
    """Most decisions."""

    def is_bound(self, pair: Pair) -> bool:
        """Say whether the agent carries this pair out: its model is called with its tools, if it has any."""
        return type(self.executor.invocation(pair.tool)) in (NoTool, Native)


@dataclass(frozen=True)
class Reply:
    """What an agent's model call came to."""

    messages: list[Any]
    """The model's message, and for structured output the message that answers its call."""
    structured_response: Any
    """The structured output, where that was asked for and given."""
    record: AgentRecord
    """How it came about."""


class AgentCall:
    """One model call of an agent.

    Args:
        habits: the middleware's settings.
        request: the call as the agent would make it.
        settings: what this run sets; see `AtlasContext`.
        before: the record of the thread's previous call.
    """

    def __init__(
        self, habits: Habits, request: ModelRequest[Any], settings: Mapping[str, Any], before: AgentRecord
    ) -> None:
        self._habits = habits
        self._request = request
        self._settings = settings
        self._before = before
        asks = [message for message in request.messages if isinstance(message, HumanMessage)]
        self._ask_id = asks[-1].id if asks else None
        self._trajectory: Trajectory = START

    def course(self) -> Course:
        """Have the router choose until a pair replies, or else call the agent's own model.

        Returns:
            A course that returns the `Reply`.

        Raises:
            AtlasError: no pair replied, and the agent's own model is not to be called.
        """
        before = self._before
        if self._habits.pin is not None and before.is_for(self._ask_id) and before.cause is not None:
            return (yield from self._open(before.cause))  # a loop stays with the model that it went to
        try:
            reply = yield from self._routed()
        except Exception as error:
            cause = failed_observation(self._habits.pairs[0], error).error
            if not self._habits.fail_open:
                raise
        else:
            if isinstance(reply, Reply):
                return reply
            cause = reply
            if not self._habits.fail_open:
                raise ExecutionError(f"No pair replied. {cause}")
        _LOG.warning("No pair replied, so the agent's own model is called. %s", cause)
        return (yield from self._open(cause))

    def _open(self, cause: str | None) -> Course:
        response = yield Call(self._request)
        return self._reply(response.result, response.structured_response, cause=cause)

    def _routed(self) -> Course:
        """Try pairs in turn; the course's value is the reply, or why there is none."""
        query, kept = self._query, None
        while True:
            decision: Decision | None = None
            if not self._trajectory.steps:
                decision, kept = self._pinned()
            if decision is None:
                decision, self._trajectory = yield from decided(query, self._trajectory, self._habits.max_turns)
                decision, kept = yield from self._unless_better(decision)
            if decision.pair is None:
                failures = "; ".join(f"{seen.pair}: {seen.error}" for seen in self._trajectory.observations)
                return failures or f"The router chose to answer without a call. {decision.reason}"
            carried = self._bound if self._habits.is_bound(decision.pair) else self._run
            reply = yield from carried(decision, kept)
            if reply is not None:
                return reply

    @cached_property
    def _query(self) -> Query:
        query = read_query(self._request.messages, self._settings)
        wanted = query.constraints.pairs
        allowed = frozenset(pair for pair in self._habits.pairs if self._fits(pair, query))
        if wanted is not None:
            allowed &= wanted
        if not allowed:
            raise ConstraintError(
                f"None of the pairs {some(self._habits.pairs)} can make this call: it holds images, needs tools that "
                "the agent runs, or allows other pairs only."
            )
        return query.replace(constraints=query.constraints.replace(pairs=allowed))

    def _fits(self, pair: Pair, query: Query) -> bool:
        model = self._habits.executor.pool.model(pair.model)
        if has_images(self._request.messages) and "image" not in model.modalities:
            return False
        if self._habits.executor.pool.tool(pair.tool).takes_images and not query.images:
            return False
        in_tool_loop = isinstance(self._request.messages[-1], ToolMessage)
        if in_tool_loop or self._habits.keep_tools or self._request.response_format is not None:
            return self._habits.is_bound(pair) and model.function_calling is not False
        return True

    def _pinned(self) -> tuple[Decision | None, str | None]:
        """Return the earlier decision that still holds, with why."""
        pin, before = self._habits.pin, self._before
        if pin is None or before.pair is None or before.pair not in (self._query.constraints.pairs or ()):
            return None, None
        same_loop = before.is_for(self._ask_id)
        if pin == "loop" and not same_loop:
            return None, None
        decisions = [step.decision for step in before.steps if step.decision.pair == before.pair]
        return (decisions[-1], "loop" if same_loop else pin) if decisions else (None, None)

    def _unless_better(self, decision: Decision) -> Course:
        """Stay with the pair used last, unless the decided one is better by more than switching costs."""
        last, query = self._before.pair, self._query
        stays = last is not None and last in (query.constraints.pairs or ()) and not self._trajectory.observations
        if not (self._habits.switching_cost and stays and decision.pair is not None) or decision.pair == last:
            return decision, None
        only = query.replace(constraints=query.constraints.replace(pairs=frozenset({last})))
        try:
            staying, _ = yield from decided(only, START, self._habits.max_turns)
        except AtlasError:
            return decision, None  # the query's limits rule the last pair out
        gain = _gain(decision, staying)
        if staying.pair != last or gain is None or gain > self._habits.switching_cost:
            return decision, None
        return staying, "switching-cost"

    def _bound(self, decision: Decision, kept: str | None) -> Course:
        """Call the pair's model with its tools bound."""
        pair = decision.pair
        assert pair is not None  # noqa: S101  # only routes lead here
        model = self._habits.executor.pool.model(pair.model)
        start = time.perf_counter()
        try:
            chat_model = yield Reach(pair.model)
            response = yield Call(self._bound_request(pair, chat_model))
        except Exception as error:  # noqa: BLE001  # whatever a provider raises is an observation
            self._trajectory = self._trajectory.then(decision, failed_observation(pair, error))
            return None
        message = next(message for message in response.result if isinstance(message, AIMessage))
        usage, cost = used_by(message, model)
        observation = Observation(
            pair=pair,
            answer=message.text or None,
            usage=usage,
            cost_usd=cost,
            latency_s=time.perf_counter() - start,
            message_id=message.id,
        )
        self._trajectory = self._trajectory.then(decision, observation)
        return self._reply(response.result, response.structured_response, pair=pair, kept=kept)

    def _bound_request(self, pair: Pair, chat_model: Any) -> ModelRequest[Any]:
        request, invocation = self._request, self._habits.executor.invocation(pair.tool)
        own = {tool.name for tool in invocation.tools}
        tools = [tool for tool in request.tools if _name(tool) in self._habits.keep_tools - own]
        changes: dict[str, Any] = {
            "model": chat_model,
            "messages": [*map(portable, request.messages)],
            "tools": [*invocation.tools, *tools],
            "model_settings": {**self._habits.executor.options(pair), **request.model_settings},
        }
        if invocation.settings.system:
            texts = [invocation.settings.system, request.system_prompt]
            changes["system_message"] = SystemMessage("\n\n".join(text for text in texts if text))
        choice = getattr(invocation.settings, "tool_choice", "auto")
        if choice != "auto" and isinstance(request.messages[-1], HumanMessage):
            changes["tool_choice"] = choice
        return request.override(**changes)

    def _run(self, decision: Decision, kept: str | None) -> Course:
        """Have the executor run the pair, in its own way of using the tool."""
        pair, query, system = decision.pair, self._query, self._request.system_message
        assert pair is not None  # noqa: S101  # only routes lead here
        if system is not None:
            query = query.replace(history=(system, *query.history))
        try:
            observation = yield Run(pair, query if decision.input is None else query.replace(text=decision.input))
        except Exception as error:  # noqa: BLE001  # an executor may be told to raise
            observation = failed_observation(pair, error)
        self._trajectory = self._trajectory.then(decision, observation)
        if observation.failed:
            return None
        ended = self._trajectory.then(last_answer(self._trajectory, rule="agent", reason="The pair answered."))
        return self._reply([answer_message(ended)], None, pair=pair, kept=kept)

    def _reply(self, messages: list[Any], structured_response: Any, **fields: Any) -> Reply:
        record = self._before.next(self._ask_id, self._trajectory, **fields)
        return Reply(messages, structured_response, record)


def _name(tool: Any) -> str:
    """Return what a tool of the agent's is called; of a tool that its provider runs, the type may be all there is."""
    if not isinstance(tool, dict):
        return str(tool.name)
    return str(tool.get("name") or tool.get("function", {}).get("name") or tool.get("type"))


def _gain(decision: Decision, staying: Decision) -> float | None:
    """Return by how much a decision is better than staying; None where the router does not say."""
    new, old = decision.chosen, staying.chosen
    if new is None or old is None:
        return None
    if new.utility is not None and old.utility is not None:
        return new.utility - old.utility
    return new.expected_success - old.expected_success
