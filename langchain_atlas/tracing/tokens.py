"""Streaming only the tokens of the answer from a pair's run to a graph's message stream.

LangGraph streams everything that a chat model writes inside a node. But a reply may be rejected by the router, be a
tool call, or break off and be replaced by another pair's. So the tokens of a run are held back until it is known
whether they are the answer. A reply that is certain to be the answer unless it breaks off is held back only at its
beginning, when calls break off most often; one that breaks off later can't be taken back, and is an error.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, CallbackManager

from langchain_atlas.errors import BrokenStreamError
from langchain_atlas.failures.kinds import execution_error
from langchain_atlas.masking import error_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from uuid import UUID

    from langchain_core.runnables import RunnableConfig

    from langchain_atlas.trajectory import Observation

HOLD_BACK_S = 0.5
"""Seconds from its first word for which a reply that is certain to be the answer is held back."""

_GRAPHS_OWN = ("langgraph_", "checkpoint_ns")
"""How the names begin under which LangGraph tells a run its place in the graph."""

Value = TypeVar("Value")
_sure: ContextVar[bool] = ContextVar("atlas_sure_reply", default=False)
_node: ContextVar[dict[str, Any] | None] = ContextVar("atlas_speaking_node", default=None)
_holding: ContextVar[HeldTokens | None] = ContextVar("atlas_held_tokens", default=None)


@contextmanager
def sure_reply(sure: bool) -> Iterator[None]:
    """Declare whether the replies to model calls in the block are the answer if their run succeeds."""
    token = _sure.set(sure)
    try:
        yield
    finally:
        _sure.reset(token)


@contextmanager
def speaking_for_node() -> Iterator[None]:
    """Declare that the models in the block are an agent that answers for the enclosing graph's node.

    LangGraph leaves what is said in inner graphs out of a stream. The agent's replies are streamed as the node's own:
    a reply counts as the answer until it calls a tool.
    """
    from langchain_core.runnables.config import ensure_config

    metadata = ensure_config().get("metadata") or {}
    token = _node.set({name: value for name, value in metadata.items() if name.startswith(_GRAPHS_OWN)})
    try:
        yield
    finally:
        _node.reset(token)


def holding(work: Callable[[], Value]) -> Value:
    """Do part of a run elsewhere, such as in a task of the graph, with its tokens held back too."""
    held = _holding.get()
    return work() if held is None else held.run(work)


async def aholding(work: Callable[[], Awaitable[Value]]) -> Value:
    """Async version of `holding`."""
    held = _holding.get()
    return await (work() if held is None else held.arun(work))


@dataclass
class _Reply:
    """One model call."""

    sure: bool
    """Whether its reply is the answer if the run succeeds."""
    if_it_calls_nothing: bool = False
    """Whether it is not the answer once it calls a tool."""
    events: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    """The tokens held back."""
    begun: float | None = None
    """Time of its first word, by `time.monotonic`."""
    shown: bool = False
    """Whether the tokens received so far have been streamed."""
    message_id: str | None = None
    """Id of the message, once it is complete."""


class HeldTokens:
    """Holds back the tokens of a run.

    Args:
        live: whether the last reply of the run is the answer, if it does not fail.
        hold_back_s: seconds for which such a reply is held back; None until it is complete.
    """

    def __init__(self, live: bool, hold_back_s: float | None) -> None:
        self._live = live
        self._hold_back_s = hold_back_s
        self._handlers: dict[int, _TokenHandler] = {}

    def run(self, work: Callable[[], Value]) -> Value:
        """Do the work of the run, or part of it."""
        config = self._config()
        if config is None:
            return work()
        with self._inside(config) as context:
            value: Value = context.run(work)
            return value

    async def arun(self, work: Callable[[], Awaitable[Value]]) -> Value:
        """Async version of `run`."""
        config = self._config()
        if config is None:
            return await work()

        async def inside() -> Value:
            return await work()

        with self._inside(config) as context:
            return await asyncio.create_task(inside(), context=context)

    @contextmanager
    def _inside(self, config: RunnableConfig) -> Iterator[Context]:
        from langchain_core.runnables.config import set_config_context

        with set_config_context(config) as context:
            context.run(_holding.set, self)
            yield context

    @property
    def shown(self) -> bool:
        """Whether part of a reply has been streamed."""
        return any(reply.shown for handler in self._handlers.values() for reply in handler.replies.values())

    def release(self, message_id: str | None = None, *, whole: bool = False) -> None:
        """Stream the answer, unless it has been streamed already.

        Args:
            message_id: the id of the message that is the answer; None if there is none.
            whole: whether to stream all complete replies.
        """
        for handler in self._handlers.values():
            for reply in handler.replies.values():
                wanted = whole or (self._live and reply.message_id == message_id)
                if reply.message_id is not None and wanted:
                    handler.show(reply)

    def _config(self) -> RunnableConfig | None:
        """Return the current config with handlers that stream tokens replaced; None if there are none."""
        from langchain_core.runnables.config import ensure_config, var_child_runnable_config

        around = (var_child_runnable_config.get() or {}).get("callbacks")
        if not around:
            return None
        manager = around if isinstance(around, BaseCallbackManager) else CallbackManager(around, list(around))
        if not any(map(_listens, [*manager.handlers, *manager.inheritable_handlers])):
            return None
        config, manager = ensure_config(), manager.copy()
        manager.handlers = [self._instead(one) for one in manager.handlers]
        manager.inheritable_handlers = [self._instead(one) for one in manager.inheritable_handlers]
        return {**config, "callbacks": manager}

    def _instead(self, handler: BaseCallbackHandler) -> BaseCallbackHandler:
        if not _listens(handler):
            return handler
        known = self._handlers.get(id(handler))
        if known is None:
            patience = self._hold_back_s if self._live else None
            # LangChain streams a model's reply if a handler has one of these marks.
            marks = tuple(one for one in type(handler).__mro__ if one.__module__.endswith("tracers._streaming"))
            known = self._handlers[id(handler)] = type("_Holding", (_TokenHandler, *marks), {})(handler, patience)
        return known


def settled(held: HeldTokens, observation: Observation) -> Observation:
    """Return the observation of a run after streaming its answer.

    Raises:
        BrokenStreamError: the run failed after part of its reply was streamed.
    """
    if observation.failed and held.shown:
        raise execution_error(f"The reply broke off: {observation.error}", [observation], BrokenStreamError)
    held.release(None if observation.failed else observation.message_id)
    return observation


@contextmanager
def unbroken(held: HeldTokens) -> Iterator[None]:
    """Stream the reply to a call once it is complete.

    Raises:
        BrokenStreamError: the call failed after part of its reply was streamed.
    """
    try:
        yield
    except Exception as error:
        if held.shown:
            raise BrokenStreamError(f"The reply broke off: {error_text(error)}") from error
        raise
    held.release(whole=True)


def _listens(handler: BaseCallbackHandler) -> bool:
    """Return whether a handler belongs to a graph that streams messages."""
    return type(handler).__module__.partition(".")[0] == "langgraph" and (
        type(handler).on_chat_model_start is not BaseCallbackHandler.on_chat_model_start
    )


class _TokenHandler(BaseCallbackHandler):
    """Replaces a handler that streams messages, and passes on only what may be streamed.

    Args:
        handler: the original handler.
        hold_back_s: seconds for which a reply that is certain to be the answer is held back; None until it is complete.
    """

    run_inline = True

    def __init__(self, handler: BaseCallbackHandler, hold_back_s: float | None) -> None:
        self._handler = handler
        self._hold_back_s = hold_back_s
        self.replies: dict[UUID, _Reply] = {}
        self._in_tools: set[UUID] = set()

    def show(self, reply: _Reply) -> None:
        """Pass on the tokens of a reply that were held back."""
        reply.shown = True
        events, reply.events = reply.events, []
        for name, arguments, settings in events:
            getattr(self._handler, name)(*arguments, **settings)

    def _hear(self, name: str, run_id: UUID, /, *arguments: Any, **settings: Any) -> None:
        reply = self.replies.get(run_id)
        if reply is None:
            return
        reply.events.append((name, arguments, {"run_id": run_id, **settings}))
        if reply.shown:
            self.show(reply)

    def on_chat_model_start(self, *arguments: Any, run_id: UUID, **settings: Any) -> None:
        """Record a model call; the tokens of a call made by a tool are not for the user."""
        node = _node.get()
        if settings.get("parent_run_id") not in self._in_tools:
            if node is not None:
                settings = {**settings, "metadata": {**(settings.get("metadata") or {}), **node}}
            self.replies[run_id] = _Reply(_sure.get() or node is not None, node is not None)
            self._hear("on_chat_model_start", run_id, *arguments, **settings)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **settings: Any) -> None:
        """Hold a token back, or pass it on with the earlier ones."""
        reply = self.replies.get(run_id)
        if reply is None:
            return
        message = getattr(settings.get("chunk"), "message", None)
        calls = bool(getattr(message, "tool_call_chunks", None))
        if calls and reply.if_it_calls_nothing:
            reply.sure = False
        self._judge(reply, says=bool(token) or calls)
        self._hear("on_llm_new_token", run_id, token, **settings)

    def on_stream_event(self, event: Any, *, run_id: UUID, **settings: Any) -> None:
        """Hold back or pass on an event of a newer stream."""
        reply = self.replies.get(run_id)
        if reply is not None:
            self._judge(reply, says=str(event.get("event", "")).startswith("content-block"))
            self._hear("on_stream_event", run_id, event, **settings)

    def _judge(self, reply: _Reply, *, says: bool) -> None:
        if not says or reply.shown:
            return
        now = time.monotonic()
        if reply.begun is None:
            reply.begun = now
        if reply.sure and self._hold_back_s is not None and now - reply.begun >= self._hold_back_s:
            self.show(reply)

    def on_llm_end(self, response: Any, *, run_id: UUID, **settings: Any) -> None:
        """Record that a reply is complete."""
        self._hear("on_llm_end", run_id, response, **settings)
        reply = self.replies.get(run_id)
        if reply is not None and response.generations and response.generations[0]:
            reply.message_id = getattr(getattr(response.generations[0][0], "message", None), "id", None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **settings: Any) -> None:
        """Record that a reply broke off."""
        self._hear("on_llm_error", run_id, error, **settings)

    def on_tool_start(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Record that what follows belongs to a tool."""
        self._in_tools.add(run_id)

    def on_chain_start(self, *arguments: Any, run_id: UUID, **settings: Any) -> None:
        """Pass the event on."""
        if settings.get("parent_run_id") in self._in_tools:
            self._in_tools.add(run_id)
        if _node.get() is not None:  # what the steps of an agent return is not the node's answer
            return
        self._handler.on_chain_start(*arguments, run_id=run_id, **settings)

    def on_chain_end(self, *arguments: Any, **settings: Any) -> None:
        """Pass the event on."""
        self._handler.on_chain_end(*arguments, **settings)

    def on_chain_error(self, *arguments: Any, **settings: Any) -> None:
        """Pass the event on."""
        self._handler.on_chain_error(*arguments, **settings)

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[Value]) -> AsyncIterator[Value]:
        """Return the output unchanged."""
        del run_id
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[Value]) -> Iterator[Value]:
        """Return the output unchanged."""
        del run_id
        return output
