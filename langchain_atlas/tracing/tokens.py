"""What a graph's message stream gets of a pair's run: the tokens of the answer, and of nothing else.

LangGraph streams whatever a chat model says inside a node. But a reply may be set aside by the router, be a call of a
tool, or break off and be followed by another pair's. So the tokens of a run are held back until it is known whether
they are the answer. A reply that is sure to be, should it not break off, is held back for its first moment only, in
which calls break off most; one that breaks off later can't be taken back, and is an error.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, CallbackManager

from langchain_atlas.error_kinds import execution_error
from langchain_atlas.errors import BrokenStreamError
from langchain_atlas.secrets import error_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from uuid import UUID

    from langchain_core.runnables import RunnableConfig

    from langchain_atlas.trajectory import Observation

HOLD_BACK_S = 0.5
"""Seconds from a reply's first word in which it is held back although it is sure to be the answer."""

Value = TypeVar("Value")
_sure: ContextVar[bool] = ContextVar("atlas_sure_reply", default=False)
_holding: ContextVar[Held | None] = ContextVar("atlas_held_tokens", default=None)


@contextmanager
def sure_reply(sure: bool) -> Iterator[None]:
    """Say of the model calls within whether their reply is the answer wherever their run succeeds."""
    token = _sure.set(sure)
    try:
        yield
    finally:
        _sure.reset(token)


def holding(work: Callable[[], Value]) -> Value:
    """Do a part of a run in another place, such as a task of the graph's, where its tokens are held back too."""
    held = _holding.get()
    return work() if held is None else held.run(work)


async def aholding(work: Callable[[], Awaitable[Value]]) -> Value:
    """Do what `holding` does on the event loop."""
    held = _holding.get()
    return await (work() if held is None else held.arun(work))


@dataclass
class _Reply:
    """One model call."""

    sure: bool
    """Whether its reply is the answer wherever the run succeeds."""
    events: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    """What is held back."""
    begun: float | None = None
    """When its first word came, by `time.monotonic`."""
    shown: bool = False
    """Whether the stream has it, as far as it has come."""
    message_id: str | None = None
    """Id of the message, once it is whole."""


class Held:
    """Holds back the tokens of a run.

    Args:
        live: whether the reply that ends the run is given as the answer, if it does not fail.
        hold_back_s: seconds for which such a reply is held back; None until it is whole.
    """

    def __init__(self, live: bool, hold_back_s: float | None) -> None:
        self._live = live
        self._hold_back_s = hold_back_s
        self._handlers: dict[int, _Handler] = {}

    def run(self, work: Callable[[], Value]) -> Value:
        """Do the work of the run, or a part of it."""
        config = self._config()
        if config is None:
            return work()
        with self._inside(config) as context:
            value: Value = context.run(work)
            return value

    async def arun(self, work: Callable[[], Awaitable[Value]]) -> Value:
        """Do what `run` does on the event loop."""
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
        """Whether some of a reply has been streamed."""
        return any(reply.shown for handler in self._handlers.values() for reply in handler.replies.values())

    def release(self, message_id: str | None = None, *, whole: bool = False) -> None:
        """Stream the answer, unless the stream has it already.

        Args:
            message_id: the id of the message that is the answer; None where none is.
            whole: whether all replies that are whole are streamed.
        """
        for handler in self._handlers.values():
            for reply in handler.replies.values():
                wanted = whole or (self._live and reply.message_id == message_id)
                if reply.message_id is not None and wanted:
                    handler.show(reply)

    def _config(self) -> RunnableConfig | None:
        """Return the config around, with those who listen for tokens replaced; None where nobody does."""
        from langchain_core.runnables.config import ensure_config

        config = ensure_config()
        around = config.get("callbacks")
        if not around:
            return None
        manager = around if isinstance(around, BaseCallbackManager) else CallbackManager(around, list(around))
        if not any(map(_listens, [*manager.handlers, *manager.inheritable_handlers])):
            return None
        manager = manager.copy()
        manager.handlers = [self._instead(one) for one in manager.handlers]
        manager.inheritable_handlers = [self._instead(one) for one in manager.inheritable_handlers]
        return {**config, "callbacks": manager}

    def _instead(self, handler: BaseCallbackHandler) -> BaseCallbackHandler:
        if not _listens(handler):
            return handler
        known = self._handlers.get(id(handler))
        if known is None:
            patience = self._hold_back_s if self._live else None
            # LangChain streams a model's reply where a handler has one of these marks.
            marks = tuple(one for one in type(handler).__mro__ if one.__module__.endswith("tracers._streaming"))
            known = self._handlers[id(handler)] = type("_Holding", (_Handler, *marks), {})(handler, patience)
        return known


def settled(held: Held, observation: Observation) -> Observation:
    """Return what was observed of a run, after its answer was streamed where somebody listens.

    Raises:
        BrokenStreamError: it failed, after some of its reply was streamed.
    """
    if observation.failed and held.shown:
        raise execution_error(f"The reply broke off: {observation.error}", [observation], BrokenStreamError)
    held.release(None if observation.failed else observation.message_id)
    return observation


@contextmanager
def unbroken(held: Held) -> Iterator[None]:
    """Stream the reply to a call once it is whole.

    Raises:
        BrokenStreamError: the call failed, after some of its reply was streamed.
    """
    try:
        yield
    except Exception as error:
        if held.shown:
            raise BrokenStreamError(f"The reply broke off: {error_text(error)}") from error
        raise
    held.release(whole=True)


def _listens(handler: BaseCallbackHandler) -> bool:
    """Say whether a handler is a graph's that streams messages."""
    return type(handler).__module__.partition(".")[0] == "langgraph" and (
        type(handler).on_chat_model_start is not BaseCallbackHandler.on_chat_model_start
    )


class _Handler(BaseCallbackHandler):
    """Stands in for a handler that streams messages, and passes on what it may have.

    Args:
        handler: the handler.
        hold_back_s: seconds for which a reply is held back that is sure to be the answer; None for all others' time.
    """

    run_inline = True

    def __init__(self, handler: BaseCallbackHandler, hold_back_s: float | None) -> None:
        self._handler = handler
        self._hold_back_s = hold_back_s
        self.replies: dict[UUID, _Reply] = {}
        self._in_tools: set[UUID] = set()

    def show(self, reply: _Reply) -> None:
        """Pass on what was held back of a reply."""
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
        """Take note of a model call; of one that a tool makes, nothing is for the user."""
        if settings.get("parent_run_id") not in self._in_tools:
            self.replies[run_id] = _Reply(_sure.get())
            self._hear("on_chat_model_start", run_id, *arguments, **settings)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **settings: Any) -> None:
        """Hold a token back, or pass it on with those before it."""
        reply = self.replies.get(run_id)
        if reply is None:
            return
        message = getattr(settings.get("chunk"), "message", None)
        self._judge(reply, says=bool(token or getattr(message, "tool_call_chunks", None)))
        self._hear("on_llm_new_token", run_id, token, **settings)

    def on_stream_event(self, event: Any, *, run_id: UUID, **settings: Any) -> None:
        """Do the same for the events of newer streams."""
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
        """Take note that a reply is whole."""
        self._hear("on_llm_end", run_id, response, **settings)
        reply = self.replies.get(run_id)
        if reply is not None and response.generations and response.generations[0]:
            reply.message_id = getattr(getattr(response.generations[0][0], "message", None), "id", None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **settings: Any) -> None:
        """Take note that a reply broke off."""
        self._hear("on_llm_error", run_id, error, **settings)

    def on_tool_start(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Take note that what comes is a tool's."""
        self._in_tools.add(run_id)

    def on_chain_start(self, *arguments: Any, run_id: UUID, **settings: Any) -> None:
        """Pass it on."""
        if settings.get("parent_run_id") in self._in_tools:
            self._in_tools.add(run_id)
        self._handler.on_chain_start(*arguments, run_id=run_id, **settings)

    def on_chain_end(self, *arguments: Any, **settings: Any) -> None:
        """Pass it on."""
        self._handler.on_chain_end(*arguments, **settings)

    def on_chain_error(self, *arguments: Any, **settings: Any) -> None:
        """Pass it on."""
        self._handler.on_chain_error(*arguments, **settings)

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[Value]) -> AsyncIterator[Value]:
        """Return the output as it is."""
        del run_id
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[Value]) -> Iterator[Value]:
        """Return the output as it is."""
        del run_id
        return output
