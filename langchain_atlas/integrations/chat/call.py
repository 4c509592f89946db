"""One request to `ChatAtlas`: choosing the pair for it, and handling its failure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage

from langchain_atlas.costs.usage_counting import count_outside, heard_once
from langchain_atlas.errors import BrokenStreamError, ExecutionError
from langchain_atlas.execution.invocations import NoTool
from langchain_atlas.execution.invocations.base import results_in
from langchain_atlas.execution.invocations.calls.native_calls import read_reply
from langchain_atlas.execution.invocations.calls.schemas import signatures_of
from langchain_atlas.execution.models.plain_values import plain_message
from langchain_atlas.execution.observing import empty_answer, observed
from langchain_atlas.failures.kinds import execution_error, failures
from langchain_atlas.integrations.messages import (
    NO_USAGE,
    RECORD_KEY,
    answer_message,
    last_said,
    read_query,
    record,
    usage_metadata,
)
from langchain_atlas.loop.limits.trajectory_limits import seconds_for
from langchain_atlas.loop.suiting import suiting
from langchain_atlas.loop.turns import Whole, call_model, run_pair, turns
from langchain_atlas.masking import error_text
from langchain_atlas.messages.histories import sendable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

    from langchain_atlas.execution.live import LiveExecutor
    from langchain_atlas.loop.effects import Steps
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.text.signatures import Signature
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory

OWN = ("tools", "functions", "tool_choice", "response_format")
"""Parameters with which the caller determines the form of the reply itself."""


@dataclass(frozen=True)
class ChatRequest:
    """A request to a model."""

    model: Runnable[Any, AIMessage]
    """The chat model with tools and parameters bound."""
    messages: list[BaseMessage]
    """The messages to send."""
    key_variable: str | None
    """The environment variable that holds the model's key, which is masked in errors."""

    def send(self) -> AIMessage:
        """Return the reply."""
        with heard_once():
            return self.model.invoke(self.messages)

    async def asend(self) -> AIMessage:
        """Async version of `send`."""
        with heard_once():
            return await self.model.ainvoke(self.messages)

    def chunks(self) -> Iterator[AIMessageChunk | Whole]:
        """Yield the reply's chunks, and then the complete reply.

        Raises:
            BrokenStreamError: the reply broke off after part of it was yielded.
        """
        gathered = _GatheredReply(self.key_variable)
        try:
            with heard_once():
                for chunk in self.model.stream(self.messages):
                    yield from gathered.add(chunk)
        except Exception as error:
            gathered.explain(error)
            raise
        yield from gathered.rest()

    async def achunks(self) -> AsyncIterator[AIMessageChunk | Whole]:
        """Async version of `chunks`."""
        gathered = _GatheredReply(self.key_variable)
        try:
            with heard_once():
                async for chunk in self.model.astream(self.messages):
                    for ready in gathered.add(chunk):
                        yield ready
        except Exception as error:
            gathered.explain(error)
            raise
        for last in gathered.rest():
            yield last


def _says(message: AIMessage) -> bool:
    """Return whether a message, or a chunk of one, has any content."""
    calls = message.tool_call_chunks if isinstance(message, AIMessageChunk) else message.tool_calls
    return bool(message.content or calls or message.invalid_tool_calls)


class _GatheredReply:
    """The chunks of one reply. Chunks without content are held back, as a reply may still fail before its first word.

    For a reply without any text, no chunk is yielded.
    """

    def __init__(self, key_variable: str | None) -> None:
        self._key_variable = key_variable
        self._waiting: list[AIMessageChunk] = []
        self._sum: AIMessageChunk | None = None
        self._begun = False

    def add(self, chunk: Any) -> Iterator[AIMessageChunk]:
        if not isinstance(chunk, AIMessageChunk):  # from a model that does not stream
            chunk = AIMessageChunk(**chunk.model_dump(exclude={"type"}))
        chunk = plain_message(chunk)
        self._sum = chunk if self._sum is None else self._sum + chunk
        self._begun = self._begun or _says(chunk)
        self._waiting.append(chunk.model_copy(update={"id": None, "chunk_position": None}))
        if self._begun:
            yield from self._waiting
            self._waiting = []

    def explain(self, error: Exception) -> None:
        if self._begun:
            raise BrokenStreamError(f"The reply broke off: {error_text(error, self._key_variable)}") from error

    def rest(self) -> Iterator[AIMessageChunk | Whole]:
        if self._sum is None:
            raise ExecutionError("The model's stream ended before it began.")
        yield Whole(self._sum)


@dataclass(frozen=True)
class ChatReply:
    """The result of a request."""

    message: AIMessage
    """The reply, with the record."""
    streamed: bool
    """Whether its content has been streamed already."""


class ChatCall:
    """One request to `ChatAtlas`.

    Args:
        router: the router.
        executor: provides the pool's chat models, and runs pairs with tools.
        messages: the conversation.
        options: parameters of the request, including the caller's own tools.
        settings: the settings of this request; see `AtlasContext`.
    """

    def __init__(
        self,
        router: Router,
        executor: LiveExecutor,
        messages: Sequence[BaseMessage],
        *,
        options: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> None:
        self._router = router
        self._executor = executor
        self._messages = list(messages)
        self._options = dict(options)
        self._model = self._options.pop("model", None)
        self._settings = settings
        self._last = last_said(self._messages)
        self._plain = not any(self._options.get(name) for name in OWN) and isinstance(self._last, HumanMessage)
        self._replies: dict[int, AIMessage] = {}

    @property
    def outward(self) -> dict[str, Any]:
        """The parameters of calls whose reply may be the answer."""
        return {name: value for name, value in self._options.items() if name not in OWN}

    def steps(self) -> Steps[ChatReply]:
        """Run the loop until there is a reply.

        Returns:
            Steps that return the `ChatReply`.

        Raises:
            AtlasError: the router can't decide.
            ExecutionError: every call failed.
        """
        count_outside()
        first = None if self._plain else "own-form"
        return self._reply((yield from turns(self._query(), act=self._act, first_reply=first)))

    def _act(self, query: Query, decision: Decision, trajectory: Trajectory) -> Steps[Observation]:
        """Call the pair's model, or let the executor run the pair if it uses a tool."""
        pair = decision.pair
        assert pair is not None  # noqa: S101  # only such decisions are acted on
        bare = type(self._executor.invocation(pair.tool)) is NoTool
        if self._plain and not (bare and decision.input is None):
            return (yield from run_pair(query, decision, trajectory))
        model = self._executor.pool.model(pair.model)

        def read(message: AIMessage, seconds: float) -> Observation:
            message = read_reply(message, self._offered, results_in(self._messages))
            observation = observed(pair, model, message, seconds)
            if self._plain and not _says(message):
                return observation.replace(answer=None, error=empty_answer(message))
            self._replies[len(trajectory.steps)] = message
            return observation.replace(answer=message.text)

        request = partial(self._request, pair, bare=bare)
        seconds = seconds_for(query, trajectory)
        return (yield from call_model(pair, model, request, read, query=query, live=self._live, seconds=seconds))

    @cached_property
    def _offered(self) -> list[Signature]:
        return signatures_of(self._options.get("tools") or ())

    @property
    def _live(self) -> bool:
        """Whether the first reply is certain to be the answer."""
        return self._router.takes_first_answer or not self._plain

    def _request(self, pair: Pair, chat_model: Any, *, bare: bool) -> ChatRequest:
        options = dict(self._options)
        messages = self._messages
        if bare:
            options = {**self._executor.options(pair), **options}
            system = self._executor.invocation(pair.tool).settings.system
            messages = [*([SystemMessage(system)] if system else []), *messages]
        messages = sendable(messages, reads=self._executor.pool.model(pair.model).modalities)
        tools = options.pop("tools", None)
        if tools:
            model = chat_model.bind_tools(tools, tool_choice=options.pop("tool_choice", None), **options)
        else:
            model = chat_model.bind(**options) if options else chat_model
        return ChatRequest(model, messages, self._executor.pool.model(pair.model).api_key_env)

    def _query(self) -> Query:
        query = read_query(self._messages, self._settings)
        own = {name: self._options[name] for name in OWN if self._options.get(name)}
        beside = json.dumps(own, default=str) if own else ""
        bound = () if self._plain else self._executor.pairs  # only the pair's model matters: its tools are not run
        return suiting(query, self._router, self._executor, self._able(), beside=beside, bound=bound)

    def _able(self) -> frozenset[Pair]:
        """Return the pairs that can take the request; with the caller's own tools, only the pair's model matters."""
        pool, known = self._executor.pool, self._router.pairs
        if self._model is not None:
            pool.model(self._model)
        uses_tools = not self._plain and (self._options.get("tools") or isinstance(self._last, ToolMessage))
        pairs = [
            pair
            for pair in pool.pairs
            if self._model in (None, pair.model) and not (uses_tools and not self._calls_functions(pair))
        ]
        bare = [pair for pair in pairs if type(self._executor.invocation(pair.tool)) is NoTool]
        bare = [pair for pair in bare if not known or pair in known]
        return frozenset(pairs if self._plain or not bare else bare)

    def _calls_functions(self, pair: Pair) -> bool:
        return self._executor.pool.model(pair.model).function_calling is not False

    def _reply(self, trajectory: Trajectory) -> ChatReply:
        source = trajectory.steps[-1].decision.source
        if trajectory.answer is None:
            why = failures(trajectory) or trajectory.steps[-1].decision.reason
            raise execution_error(f"No answer: {why}", trajectory.observations)
        told = None if source is None else self._replies.get(source)
        message = answer_message(trajectory) if told is None else told
        metadata = {RECORD_KEY: record(trajectory), **message.response_metadata}
        answered_by = trajectory.answered_by
        if answered_by is not None:
            metadata.setdefault("model_name", self._executor.pool.model(answered_by.pair.model).litellm)
        changes: dict[str, Any] = {"id": None, "response_metadata": metadata}
        replied = [seen for seen in trajectory.observations if not seen.failed]
        if told is None or len(replied) > 1:  # otherwise its own count is kept, which includes cached tokens
            changes["usage_metadata"] = usage_metadata(sum((seen.usage for seen in replied), NO_USAGE))
        streamed = self._live and told is not None and _says(told)
        return ChatReply(plain_message(message.model_copy(update=changes)), streamed=streamed)
