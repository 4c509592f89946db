"""Tokens are counted once: by the run of `ChatAtlas`, or by the runs of the models inside it, and never by both.

The reply of `ChatAtlas` carries the tokens of all calls that made it, so whoever adds up the tokens of its run must not
add those of its models. A handler of the config is not told of the runs inside. One that LangChain finds by a context
variable, as that of ``get_usage_metadata_callback``, is told of every run there is; tracers are to see the runs inside,
and add up what stands in all of them. So while a model is called whose tokens are counted outside, no handler of a
context variable is there, and our chat models keep the count out of what tracers are told.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token, copy_context
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import RunnableConfig

_COUNTED: ContextVar[bool] = ContextVar("langchain_atlas_counted_outside", default=False)
_HUSHED: ContextVar[bool] = ContextVar("langchain_atlas_hushed", default=False)


def count_outside() -> None:
    """Say that from here on, in this context, the run around counts the tokens of the models that pairs call."""
    _COUNTED.set(True)


def is_counted_outside() -> bool:
    """Say whether a model is being called whose tokens the run around counts."""
    return _HUSHED.get()


@contextmanager
def counted_here() -> Iterator[None]:
    """Have the models that are called within count for themselves, as those that a tool calls do."""
    before = [(variable, variable.set(False)) for variable in (_COUNTED, _HUSHED)]
    try:
        yield
    finally:
        for variable, token in before:
            variable.reset(token)


@contextmanager
def heard_once() -> Iterator[None]:
    """Call a model within, and no handler of a context variable counts its tokens where the run around does."""
    if not _COUNTED.get():
        yield
        return
    hushed: list[tuple[ContextVar[Any], Token[Any]]] = [
        (variable, variable.set(None)) for variable, value in copy_context().items() if _counts(value)
    ]
    config = var_child_runnable_config.get()
    if config is not None:  # a run in between, such as a tool's, hands down what it found
        hushed.append((var_child_runnable_config, var_child_runnable_config.set(_for_tracers(config))))
    hushed.append((_HUSHED, _HUSHED.set(True)))
    try:
        yield
    finally:
        for variable, token in hushed:
            with suppress(ValueError):  # a stream that was left is closed elsewhere: its context is gone with it
                variable.reset(token)


def _counts(handler: Any) -> bool:
    """Say whether something is a handler that may count tokens: a tracer tells of runs, and counts nothing."""
    return isinstance(handler, BaseCallbackHandler) and not isinstance(handler, BaseTracer | AsyncBaseTracer)


def _for_tracers(config: RunnableConfig) -> RunnableConfig:
    manager = config.get("callbacks")
    if isinstance(manager, list):
        return {**config, "callbacks": [handler for handler in manager if not _counts(handler)]}
    if manager is None:
        return config
    manager = manager.copy()
    for handler in [*manager.handlers, *manager.inheritable_handlers]:
        if _counts(handler):
            manager.remove_handler(handler)
    return {**config, "callbacks": manager}
