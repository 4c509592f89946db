"""Running an agent that is one half of a pair: what its models and tools do becomes part of one observation.

Its tokens are counted once, whoever counts them (see `langchain_atlas.costs.usage_counting`): a callback collects the
replies of all models in it; after an interrupt, replies from before it are found in the agent's state.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, messages_to_dict
from langchain_core.runnables.config import ensure_config, get_callback_manager_for_config

from langchain_atlas.costs.billing import billed
from langchain_atlas.costs.hidden_counts import with_count
from langchain_atlas.costs.usage_counting import heard_once
from langchain_atlas.errors import PoolError
from langchain_atlas.execution.models.plain_values import plain_message
from langchain_atlas.execution.tool_calls import result_text
from langchain_atlas.loop.limits.pair_budget import current_budget
from langchain_atlas.masking import error_text, shortened
from langchain_atlas.tools.event_loop import loop_thread
from langchain_atlas.tracing.tokens import speaking_for_node
from langchain_atlas.trajectory import ToolTrace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import RunnableConfig

    from langchain_atlas.execution.invocations import AgentCall
    from langchain_atlas.pool.pool import Model

_OWN = "atlas_model"
"""Key in the metadata of a model's runs that tells the pair's own model from others in the agent."""


@dataclass(frozen=True)
class AgentRun:
    """What came of running an agent."""

    answer: str = ""
    """Its answer; empty if it gave none, or failed."""
    said: AIMessage | None = None
    """The model's message that is the answer."""
    replies: tuple[tuple[AIMessage | None, bool], ...] = ()
    """The reply to every model call, None for one that failed, and whether it is of the pair's own model."""
    traces: tuple[ToolTrace, ...] = ()
    """The tool calls that it made."""
    messages: tuple[dict[str, Any], ...] = ()
    """What was said on the way, as plain JSON."""
    error: Exception | None = None
    """The error, if it failed."""


@dataclass(frozen=True)
class Built:
    """What an agent is built around."""

    model: Model
    """The pair's model."""
    chat_model: BaseChatModel
    """Its chat model."""
    options: Mapping[str, Any]
    """Parameters of its calls."""
    sent: list[BaseMessage]
    """The conversation, as far as the model reads it."""


def run_agent(call: AgentCall, around: Built) -> AgentRun:
    """Run an agent.

    Args:
        call: the call.
        around: what the agent is built around.

    Raises:
        GraphBubbleUp: the agent interrupts the enclosing graph.
    """
    run = _Run(call, around)
    with heard_once(), speaking_for_node():
        try:
            agent = call.agent.known(run.key)
            if agent is None:
                made = call.agent.build(run.model)
                agent = call.agent.keep(
                    run.key, loop_thread("tools").run(_awaited(made)) if isawaitable(made) else made
                )
            state, config = run.start(agent)
            if call.agent.must_await(agent):
                return run.end(loop_thread("tools").run(agent.ainvoke(state, config)))
            return run.end(agent.invoke(state, config))
        except Exception as error:  # noqa: BLE001  # an observation tells it, with what was used until then
            return run.failed(error)


async def arun_agent(call: AgentCall, around: Built) -> AgentRun:
    """Async version of `run_agent`."""
    run = _Run(call, around)
    with heard_once(), speaking_for_node():
        try:
            agent = call.agent.known(run.key)
            if agent is None:
                made = call.agent.build(run.model)
                agent = call.agent.keep(run.key, await made if isawaitable(made) else made)
            state, config = run.start(agent)
            return run.end(await agent.ainvoke(state, config))
        except Exception as error:  # noqa: BLE001  # as in `run_agent`
            return run.failed(error)


async def _awaited(made: Any) -> Any:
    return await made


class _Run:
    """One run of an agent."""

    def __init__(self, call: AgentCall, around: Built) -> None:
        self._call, self._sent = call, around.sent
        self.model = with_options(around.chat_model, around.options)
        self.key = (f"{id(around.chat_model)}", json.dumps(dict(around.options), sort_keys=True, default=repr))
        self._heard = _Listener(around.model)

    def start(self, agent: Any) -> tuple[Any, RunnableConfig]:
        """Return the agent's input and the config to invoke it with."""
        config = ensure_config()
        manager = get_callback_manager_for_config(config).copy()
        manager.add_handler(self._heard, inherit=True)
        steps = self._call.agent.settings.max_steps
        config = {**config, "callbacks": manager, "run_name": self._call.agent.tool.name}
        config.pop("run_id", None)
        if steps is not None:
            config["recursion_limit"] = steps
        return self._call.agent.given(agent, self._sent, self._call.text), config

    def end(self, returned: Any) -> AgentRun:
        """Return what came of it."""
        new = _new(returned, self._sent)
        answer, said = self._call.agent.answer(returned, new)
        replies = self._heard.ended()
        known = {reply.id for reply, _ in replies if reply is not None}
        before = [one for one in new if isinstance(one, AIMessage) and one.usage_metadata and one.id not in known]
        traces = [*_traces(new, self._heard.traces), *(trace for name, trace in self._heard.traces if name is None)]
        return AgentRun(
            answer=answer,
            said=None if said is None else with_count(said),
            replies=(*((with_count(one), True) for one in before), *replies),
            traces=tuple(traces),
            messages=tuple(messages_to_dict([plain_message(with_count(one)) for one in new])),
        )

    def failed(self, error: Exception) -> AgentRun:
        """Return what was used until it failed; an interrupt is none of its failures.

        Raises:
            GraphBubbleUp: the error is one.
        """
        from langgraph.errors import GraphBubbleUp

        if isinstance(error, GraphBubbleUp):
            raise error
        traces = tuple(trace for _, trace in self._heard.traces)
        return AgentRun(replies=self._heard.ended(), traces=traces, error=error)


def with_options(chat_model: BaseChatModel, options: Mapping[str, Any]) -> BaseChatModel:
    """Return a copy of a chat model with some parameters set, whose runs are marked as the pair's own.

    Raises:
        PoolError: the chat model has no such parameter.
    """
    known = {name: value for name, value in options.items() if name in type(chat_model).model_fields}
    other = {name: value for name, value in options.items() if name not in known}
    if other and "model_kwargs" not in type(chat_model).model_fields:
        raise PoolError(
            f"{type(chat_model).__name__} has no parameter {next(iter(other))!r} that an agent could be given; set it "
            "on the chat model itself."
        )
    if other:
        known["model_kwargs"] = {**(getattr(chat_model, "model_kwargs", None) or {}), **other}
    return chat_model.model_copy(update={**known, "metadata": {**(chat_model.metadata or {}), _OWN: "pair"}})


class _Listener(BaseCallbackHandler):
    """Collects the replies of the models, and the calls of the tools, that run below an agent."""

    raise_error = True  # a budget that is used up ends the run
    run_inline = True

    def __init__(self, model: Model) -> None:
        self._model = model
        self.traces: list[tuple[str | None, ToolTrace]] = []
        self._budget = current_budget()
        self._open: dict[UUID, bool] = {}
        self._replies: list[tuple[AIMessage | None, bool]] = []
        self._tools: dict[UUID, _Called] = {}
        self._usd, self._unknown = 0.0, 0

    def ended(self) -> tuple[tuple[AIMessage | None, bool], ...]:
        """Return all replies, with None for every call that never ended."""
        return (*self._replies, *((None, own) for own in self._open.values()))

    def on_chat_model_start(self, *_: Any, run_id: UUID, metadata: dict[str, Any] | None = None, **__: Any) -> None:
        """Record that a model is called, if the budget allows it."""
        if self._budget is not None and self._replies:
            self._budget.check(self._usd, self._unknown)
        self._open[run_id] = (metadata or {}).get(_OWN) == "pair"

    def on_llm_start(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Record that a model that takes a text is called."""
        self._open[run_id] = False

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
        """Record a reply."""
        first = response.generations[0][0] if response.generations and response.generations[0] else None
        message = getattr(first, "message", None)
        reply = with_count(message) if isinstance(message, AIMessage) else None
        own = self._open.pop(run_id, False)
        self._replies.append((reply, own))
        cost = None if reply is None else billed(reply, self._model if own else None).cost_usd
        self._usd, self._unknown = self._usd + (cost or 0.0), self._unknown + (cost is None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Record a call that failed."""
        del error
        if run_id in self._open:
            self._replies.append((None, self._open.pop(run_id)))
            self._unknown += 1

    def on_tool_start(
        self, serialized: Any, input_str: str, *, run_id: UUID, inputs: dict[str, Any] | None = None, **told: Any
    ) -> None:
        """Record that a tool is called."""
        name = told.get("name") or (serialized or {}).get("name") or "tool"
        self._tools[run_id] = _Called(str(name), dict(inputs or {"input": input_str}))

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """Record a tool's result."""
        called = self._tools.pop(run_id, None)
        if called is not None:
            self.traces.append((getattr(output, "tool_call_id", None), called.trace(output)))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Record that a tool failed; an interrupt is no failure."""
        from langgraph.errors import GraphBubbleUp

        called = self._tools.pop(run_id, None)
        if called is not None and not isinstance(error, GraphBubbleUp):
            self.traces.append((None, called.trace(error=error)))


@dataclass
class _Called:
    """A tool call that has begun."""

    name: str
    arguments: dict[str, Any]
    begun: float = field(default_factory=time.perf_counter)

    def trace(self, output: Any = None, error: BaseException | None = None) -> ToolTrace:
        text = None if error is not None else result_text(output)
        failed = None if error is None else error_text(error)
        if getattr(output, "status", "success") == "error":
            failed, text = shortened(text or ""), None
        plain = json.loads(json.dumps(self.arguments, default=repr))
        seconds = time.perf_counter() - self.begun
        return ToolTrace(name=self.name, arguments=plain, output=text, error=failed, latency_s=seconds)


def _new(returned: Any, sent: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages that an agent added: those after the last one that it was sent."""
    messages = returned.get("messages") if isinstance(returned, dict) else None
    if isinstance(returned, BaseMessage):
        return [returned]
    if not isinstance(messages, list):
        return []
    found = [one for one in messages if isinstance(one, BaseMessage)]
    last = sent[-1] if sent else None
    places = [at for at, one in enumerate(found) if last is not None and _alike(one, last)]
    return found[places[-1] + 1 :] if places else found


def _alike(first: BaseMessage, second: BaseMessage) -> bool:
    return first.type == second.type and first.content == second.content


def _traces(new: Sequence[BaseMessage], heard: Sequence[tuple[str | None, ToolTrace]]) -> list[ToolTrace]:
    """Return a trace of every tool call in the agent's messages: what was heard of it, or what its result says."""
    known = {name: trace for name, trace in heard if name is not None}
    calls = {call["id"]: call for one in new if isinstance(one, AIMessage) for call in one.tool_calls}
    traces = []
    for result in (one for one in new if isinstance(one, ToolMessage)):
        call: Mapping[str, Any] = calls.get(result.tool_call_id, {})
        trace = known.pop(result.tool_call_id, None)
        if trace is None:
            called = _Called(str(call.get("name") or result.name or "tool"), {})
            trace = called.trace(result).replace(latency_s=None)
        traces.append(trace.replace(arguments=dict(call.get("args") or trace.arguments)))
    return [*traces, *known.values()]
