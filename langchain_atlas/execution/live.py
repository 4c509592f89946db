"""The live executor: calls the pair's model through LiteLLM, with only the pair's tool."""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from langchain_core.runnables.config import ContextThreadPoolExecutor
from langgraph.constants import TAG_NOSTREAM
from langgraph.errors import GraphBubbleUp

from langchain_atlas.costs.usage_counting import heard_once
from langchain_atlas.errors import PoolError, SettingError, suggest
from langchain_atlas.execution.agents import Built, arun_agent, run_agent
from langchain_atlas.execution.base import Executor
from langchain_atlas.execution.fitting import Fitting
from langchain_atlas.execution.in_graph import acall_tool, call_tool_in_graph
from langchain_atlas.execution.invocations import (
    INVOCATIONS,
    AgentCall,
    Invocation,
    InvocationCall,
    ModelCall,
    RefusedCall,
    ToolCall,
)
from langchain_atlas.execution.invocations.calls.schemas import sendable_tool
from langchain_atlas.execution.models.bounds import MAX_REPLY_BYTES
from langchain_atlas.execution.models.chat_models import (
    build_chat_model,
    check_key,
    drawn_anew,
    remember_keys,
    schema_format,
)
from langchain_atlas.execution.observing import ObservationBuilder, Outcome
from langchain_atlas.execution.tool_calls import counting_of, trace_of, trace_refused
from langchain_atlas.execution.verifiers.base import as_verifier
from langchain_atlas.failures.kinds import execution_error
from langchain_atlas.failures.masked_errors import keys_masked
from langchain_atlas.loop.deadlines import started
from langchain_atlas.messages.histories import sendable
from langchain_atlas.messages.user_message import media_in
from langchain_atlas.pool.parameters import taken
from langchain_atlas.pool.pool import AGENT
from langchain_atlas.pool.tool_sources import as_langchain_tool
from langchain_atlas.tools.python.sessions import tool_sessions
from langchain_atlas.tracing.tokens import sure_reply
from langchain_atlas.warming import begin_imports

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool

    from langchain_atlas.pool.pool import Model, Pair, Pool, Tool
    from langchain_atlas.trajectory import Observation, Query


class LiveExecutor(Executor):
    """Runs pairs on live models.

    A failure, also an unusable reply, becomes an observation with its error. Threads and tasks may share one.

    Args:
        pool: the pairs that may be run.
        chat_models: chat models to use for some of the pool's models, by name, instead of LiteLLM.
        invocations: custom invocations, by the name that a tool's `invocation` field gives.
        timeout_s: seconds that one model call may take, with its retries, pauses, and all of a streamed reply.
        retries: how often a request that failed for a transient reason is repeated, while there is time.
        max_reply_bytes: maximum size of one reply on the network, in bytes; a longer one is a failure.
        max_parallel: maximum number of simultaneous calls in one run, if an invocation makes several.
        raise_errors: raise `ExecutionError` when a run fails, instead of returning an observation with the error.
        verifier: checks every answer: a `Verifier`, a function of the query's text and the answer, or a list of both.

    Raises:
        PoolError: a tool can't be built, names an unknown invocation, or has invalid settings for it; or a model's key
            variable is not set.
        SettingError: a setting is out of range.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        chat_models: Mapping[str, BaseChatModel] | None = None,
        invocations: Mapping[str, type[Invocation]] | None = None,
        timeout_s: float = 60.0,
        retries: int = 2,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        max_parallel: int = 8,
        raise_errors: bool = False,
        verifier: Any = None,
    ) -> None:
        if timeout_s <= 0 or retries < 0:
            raise SettingError(f"timeout_s is {timeout_s!r} and retries {retries!r}; they must be above 0 and from 0.")
        for name, value in (("max_reply_bytes", max_reply_bytes), ("max_parallel", max_parallel)):
            if value < 1:
                raise SettingError(f"{name} is {value!r}; it must be a whole number from 1.")
        self.pool = pool
        self.timeout_s = timeout_s
        self.retries = retries
        self.max_reply_bytes = max_reply_bytes
        self.max_parallel = max_parallel
        self.raise_errors = raise_errors
        self.verifier = None if verifier is None else as_verifier(verifier)
        self._given = {pool.model(name).name: chat_model for name, chat_model in (chat_models or {}).items()}
        self._chat_models: dict[str, BaseChatModel] = dict(self._given)
        remember_keys(*self._given.values())
        self._building = threading.Lock()
        for model in pool.models:
            if model.name not in self._chat_models:
                check_key(model)
        known = {**INVOCATIONS, **(invocations or {})}
        self._invocations = {tool.name: _invocation(tool, known) for tool in pool.tools}
        self._fitting = Fitting(pool, self._invocations)
        self._options: Mapping[str, Any] = {}

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the pool."""
        return self.pool.pairs

    def tools_of(self, name: str) -> tuple[BaseTool, ...]:
        """Return the LangChain tools that a tool of the pool wraps, after building them.

        Raises:
            PoolError: the pool does not have this tool.
        """
        return self._invocations[self.pool.tool(name).name].tools

    def suited(self, query: Query) -> frozenset[Pair] | None:
        """Return the pairs whose model and tool suit a query with, or without, images; see `Executor.suited`.

        Images in the history or from a tool must be readable by the model, and so must documents and recordings; the
        query's own image may instead be read by a tool.
        """
        seen_before = media_in([*query.history, *query.since])
        if not query.images and not seen_before and not any(tool.takes_images for tool in self.pool.tools):
            return None
        suited = self.pool.suited(images=bool(query.images))
        if not seen_before:
            return suited
        return frozenset(pair for pair in suited if seen_before <= self.pool.model(pair.model).modalities)

    def unable(self, query: Query, *, beside: str = "", bound: Collection[Pair] = ()) -> Mapping[Pair, str]:
        """Return the pairs whose model can't hold or read the query, or whose tool needs a graph that is missing."""
        return self._fitting.unable(query, beside=beside, bound=bound)

    def provider(self, pair: Pair) -> str | None:
        """Return the address of a pair's model, or else LiteLLM's name of its provider with the name of its key.

        A model with a chat model given by the caller counts as a separate provider.
        """
        model = next((model for model in self.pool.models if model.name == pair.model), None)
        if model is None or model.name in self._given:
            return f"model {pair.model}"
        address = model.options.get("api_base") or model.options.get("base_url") or model.litellm.partition("/")[0]
        return f"{address} {model.api_key_env}"

    def trajectory(self, key: str | None = None, *, last: bool = True) -> AbstractContextManager[object]:
        """Return a context manager within which stateful tools keep their state; see `Executor.trajectory`."""
        return tool_sessions(key, last=last)

    def prepare(self) -> None:
        """Begin to import LiteLLM in the background, if any model of the pool is called through it."""
        if len(self._given) < len(self.pool.models):
            begin_imports()

    @keys_masked
    def run(self, pair: Pair, query: Query) -> Observation:
        """Run `pair` on `query`; see `Executor.run`.

        Raises:
            PoolError: the pool does not have this pair.
            ExecutionError: the run failed, and `raise_errors` is set.
        """
        model = self.pool.model(self.pool.check(pair).model)
        builder = ObservationBuilder(pair, model)
        conversation = self._invocations[pair.tool].converse(query)
        try:
            self._chat_model(model)
            builder.start()
            self._fitting.check(pair, query)
            calls = next(conversation)
            with tool_sessions(), started():
                while True:
                    builder.check_budget(calls)
                    calls = conversation.send(builder.add(calls, self._perform_all(pair, calls)))
        except StopIteration as end:
            return self.verify(query, builder.observation(answer=end.value))
        except Exception as error:  # noqa: BLE001  # whatever a provider raises is an observation
            return self._failed(builder, error)

    @keys_masked
    async def arun(self, pair: Pair, query: Query) -> Observation:
        """Async version of `run`; calls that may run in parallel do so."""
        model = self.pool.model(self.pool.check(pair).model)
        builder = ObservationBuilder(pair, model)
        conversation = self._invocations[pair.tool].converse(query)
        try:
            await self.achat_model(model.name)
            builder.start()
            self._fitting.check(pair, query)
            calls = next(conversation)
            with tool_sessions(), started():
                while True:
                    builder.check_budget(calls)
                    calls = conversation.send(builder.add(calls, await self._aperform_all(pair, calls)))
        except StopIteration as end:
            return await self.averify(query, builder.observation(answer=end.value))
        except Exception as error:  # noqa: BLE001  # whatever a provider raises is an observation
            return self._failed(builder, error)

    def verify(self, query: Query, observation: Observation) -> Observation:
        """Return an observation with the verifier's verdict on its answer; see `Executor.verify`."""
        return observation if self.verifier is None else self.verifier.judged(query, observation)

    async def averify(self, query: Query, observation: Observation) -> Observation:
        """Async version of `verify`."""
        return observation if self.verifier is None else await self.verifier.ajudged(query, observation)

    def chat_model(self, name: str) -> BaseChatModel:
        """Return the chat model for a model of the pool; the first call for each model may take seconds.

        Raises:
            PoolError: the pool has no model with this name.
        """
        return self._chat_model(self.pool.model(name))

    async def achat_model(self, name: str) -> BaseChatModel:
        """Async version of `chat_model`."""
        if self.pool.model(name).name in self._chat_models:
            return self._chat_models[name]
        return await asyncio.to_thread(self.chat_model, name)

    def given_model(self, name: str) -> BaseChatModel | None:
        """Return the chat model that was given for a model of the pool; None if the model is called through LiteLLM."""
        return self._given.get(name)

    def invocation(self, tool: str) -> Invocation:
        """Return the invocation of a tool of the pool, with its LangChain tools and its settings.

        Raises:
            PoolError: the pool has no tool with this name.
        """
        return self._invocations[self.pool.tool(tool).name]

    def options(self, pair: Pair) -> dict[str, Any]:
        """Return the parameters of a pair's model calls, from its tool and from the pool.

        Raises:
            PoolError: the pool has no tool with this name.
        """
        return {**self.invocation(pair.tool).settings.options, **self.pool.pair_options.get(pair, {})}

    def with_options(self, **options: Any) -> Self:
        """Return a copy with parameters for model calls whose replies may be the answer, such as ``stop``.

        They override those of the pool. Chat models and tools are shared with the original.
        """
        executor = copy.copy(self)
        executor._options = options  # noqa: SLF001  # an instance of this class
        return executor

    def _failed(self, builder: ObservationBuilder, error: Exception) -> Observation:
        if isinstance(error, GraphBubbleUp):  # a tool interrupts the graph, which is not a failure
            raise error
        observation = builder.observation(error=error)
        if self.raise_errors:
            raise execution_error(f"{observation.pair} failed: {observation.error}", [observation]) from error
        return observation

    def _perform_all(self, pair: Pair, calls: tuple[InvocationCall, ...]) -> list[Outcome]:
        """Carry out the calls of one step: model calls in parallel, tool calls one after another.

        A tool may interrupt a graph, and LangGraph identifies interrupts by their order.
        """
        asked = [call for call in calls if isinstance(call, ModelCall)]
        if len(asked) < 2:  # noqa: PLR2004  # nothing to run in parallel
            return [self._perform(pair, call) for call in calls]
        with ContextThreadPoolExecutor(min(len(asked), self.max_parallel)) as threads:
            running = {id(call): threads.submit(self._perform, pair, call) for call in asked}
            return [running[id(call)].result() if id(call) in running else self._perform(pair, call) for call in calls]

    async def _aperform_all(self, pair: Pair, calls: tuple[InvocationCall, ...]) -> list[Outcome]:
        """Carry out the calls of one step in parallel."""
        if len(calls) == 1:
            return [await self._aperform(pair, calls[0])]
        free = asyncio.Semaphore(self.max_parallel)

        async def perform(call: InvocationCall) -> Outcome:
            async with free:
                return await self._aperform(pair, call)

        return await asyncio.gather(*map(perform, calls))

    def _perform(self, pair: Pair, call: InvocationCall) -> Outcome:
        if isinstance(call, RefusedCall):
            return trace_refused(call)
        start = time.perf_counter()
        try:
            if isinstance(call, ToolCall):
                with counting_of(call.tool):
                    return trace_of(call, start, message=call_tool_in_graph(call))
            if isinstance(call, AgentCall):
                return run_agent(call, self._for_agent(pair, call))
            with heard_once(), sure_reply(call.answers):
                return self._bound(pair, call).invoke(self._sent(pair, call))
        except GraphBubbleUp:  # a tool interrupts the graph: that is no failure
            raise
        except Exception as error:  # noqa: BLE001  # the conversation receives the error
            return trace_of(call, start, error=error) if isinstance(call, ToolCall) else error

    async def _aperform(self, pair: Pair, call: InvocationCall) -> Outcome:
        if isinstance(call, RefusedCall):
            return trace_refused(call)
        start = time.perf_counter()
        try:
            if isinstance(call, ToolCall):
                with counting_of(call.tool):
                    return trace_of(call, start, message=await acall_tool(call))
            if isinstance(call, AgentCall):
                return await arun_agent(call, self._for_agent(pair, call))
            with heard_once(), sure_reply(call.answers):
                return await self._bound(pair, call).ainvoke(self._sent(pair, call))
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001  # the conversation receives the error
            return trace_of(call, start, error=error) if isinstance(call, ToolCall) else error

    def _for_agent(self, pair: Pair, call: AgentCall) -> Built:
        options = {**call.options, **self.pool.pair_options.get(pair, {}), **self._options}
        model = self.pool.model(pair.model)
        return Built(model, self._chat_model(model), options, self._sent(pair, call))

    def _sent(self, pair: Pair, call: ModelCall | AgentCall) -> list[BaseMessage]:
        return sendable(call.messages, reads=self.pool.model(pair.model).modalities)

    def _bound(self, pair: Pair, call: ModelCall) -> Runnable[Any, AIMessage]:
        """Return the chat model with the call's tools and parameters bound, and no others."""
        model = self.pool.model(pair.model)
        chat_model = self._chat_model(model)
        options = {**call.options, **self.pool.pair_options.get(pair, {}), **({} if call.inward else self._options)}
        options = {**self._taken(model, call.defaults, options), **options}
        if call.schema is not None and model.structured_output:
            options["response_format"] = schema_format(dict(call.schema))
        if call.sample is not None:
            chat_model, options = drawn_anew(chat_model, options, model, call.sample)
        bound: Runnable[Any, AIMessage] = chat_model
        if call.tools:
            choice = call.tool_choice
            if choice in ("auto", "none") and not self._taken(model, {"tool_choice": choice}, options):
                choice = None  # the default anyway, and some servers reject it
            bound = chat_model.bind_tools([sendable_tool(tool) for tool in call.tools], tool_choice=choice, **options)
        elif options:
            bound = bound.bind(**options)
        return bound.with_config(tags=[TAG_NOSTREAM]) if call.inward else bound

    def _taken(self, model: Model, defaults: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of our own defaults that a model accepts; LiteLLM only knows models called through it."""
        if model.name in self._given:
            return {name: value for name, value in defaults.items() if name not in model.refuses}
        return taken(model.litellm, defaults, given={**model.options, **options}, refuses=model.refuses)

    def _chat_model(self, model: Model) -> BaseChatModel:
        if model.name not in self._chat_models:  # so that nobody waits while another is built
            with self._building:
                if model.name not in self._chat_models:
                    self._chat_models[model.name] = build_chat_model(
                        model, timeout_s=self.timeout_s, retries=self.retries, max_reply_bytes=self.max_reply_bytes
                    )
        return self._chat_models[model.name]


def _invocation(tool: Tool, known: Mapping[str, type[Invocation]]) -> Invocation:
    if tool.invocation not in known:
        raise PoolError(f"Tool {tool.name!r} has invocation {tool.invocation!r}. {suggest(tool.invocation, known)}")
    built = _built(tool)
    names = [member.name for member in built]
    if len(set(names)) < len(names):
        raise PoolError(f"Tool {tool.name!r} wraps two LangChain tools of one name: {', '.join(names)}.")
    return known[tool.invocation](tool, built)


def _built(tool: Tool) -> tuple[BaseTool, ...]:
    if tool.use is None or tool.invocation == AGENT:
        return tuple(as_langchain_tool(member) for member in tool.tools)
    from langchain_atlas.tools.registry import build_tools

    return build_tools(tool.use, tool.arguments, name=tool.name, description=tool.description)
