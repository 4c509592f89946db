"""Counting tokens once: either in the run of `ChatAtlas` or in the runs of the models inside it, never in both.

The reply of `ChatAtlas` carries the tokens of all calls behind it, so adding those of its inner models would count them
twice. A handler from the config is not called for the inner runs. A handler that LangChain finds by a context variable,
such as that of ``get_usage_metadata_callback``, is called for every run; tracers need the inner runs too, and sum over
all of them. So while a model is called whose tokens are counted outside, handlers from context variables are removed,
and our chat models leave the counts out of what tracers receive.
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
    """Declare that, from here on in this context, the enclosing run counts the tokens of the models that pairs call."""
    _COUNTED.set(True)


def is_counted_outside() -> bool:
    """Return whether a model is being called whose tokens the enclosing run counts."""
    return _HUSHED.get()


@contextmanager
def counted_here() -> Iterator[None]:
    """Let models called in the block count their own tokens, as the models that a tool calls do."""
    before = [(variable, variable.set(False)) for variable in (_COUNTED, _HUSHED)]
    try:
        yield
    finally:
        for variable, token in before:
            variable.reset(token)


@contextmanager
def heard_once() -> Iterator[None]:
    """Call a model in the block without context variable handlers counting its tokens if the enclosing run does."""
    if not _COUNTED.get():
        yield
        return
    hushed: list[tuple[ContextVar[Any], Token[Any]]] = [
        (variable, variable.set(None)) for variable, value in copy_context().items() if _counts(value)
    ]
    config = var_child_runnable_config.get()
    if config is not None:  # a run in between, such as a tool's, passes on the handlers that it found
        hushed.append((var_child_runnable_config, var_child_runnable_config.set(_for_tracers(config))))
    hushed.append((_HUSHED, _HUSHED.set(True)))
    try:
        yield
    finally:
        for variable, token in hushed:
            with suppress(ValueError):  # an abandoned stream is closed elsewhere, where its context no longer exists
                variable.reset(token)


def _counts(handler: Any) -> bool:
    """Return whether a value is a handler that may count tokens: tracers report runs and count nothing."""
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
