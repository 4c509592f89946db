"""The configuration of runs inside one of our runs, and which handlers receive them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.callbacks import BaseCallbackManager, CallbackManager
from langchain_core.runnables.config import (
    RunnableConfig,
    ensure_config,
    get_callback_manager_for_config,
    set_config_context,
)
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer
from langchain_core.utils.uuid import uuid7

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

T = TypeVar("T")


def inner_config(run_manager: Any) -> RunnableConfig:
    """Return the config for runs inside a chat model's run.

    Tracers receive the inner runs, as children. Other handlers do not: they receive the outer run, and a handler that
    counts tokens would count them twice, just as a graph would stream them twice.

    Args:
        run_manager: the callbacks of the outer run; None if LangChain does not pass them, as for a stream. The inner
            runs are then children of the run that `opened` has recorded.
    """
    config = ensure_config()
    heard: Any = config.get("callbacks") if run_manager is None else run_manager
    if isinstance(heard, list):
        heard = CallbackManager(heard, inheritable_handlers=heard)
    inner = CallbackManager([])
    if heard is not None:
        inner.parent_run_id = heard.parent_run_id if isinstance(heard, BaseCallbackManager) else heard.run_id
        inner.set_handlers([one for one in heard.inheritable_handlers if isinstance(one, BaseTracer | AsyncBaseTracer)])
        inner.add_tags(list(heard.inheritable_tags))
        inner.add_metadata(dict(heard.inheritable_metadata))
    config["callbacks"] = inner
    return config


def handed_down(config: RunnableConfig) -> RunnableConfig:
    """Return the part of a run's config that its inner runs inherit: all except its name and its id."""
    inner = config.copy()
    inner.pop("run_name", None)
    inner.pop("run_id", None)
    return inner


def opened(config: RunnableConfig | None) -> tuple[RunnableConfig, RunnableConfig]:
    """Return the config of a chat model's run, and that of its inner runs.

    The run gets its id in advance, because LangChain does not tell a chat model the id of the run of its stream.
    """
    own = ensure_config(config)
    run_id = own["run_id"] = own.get("run_id") or uuid7()
    manager = own["callbacks"] = get_callback_manager_for_config(own)
    children = manager.copy()
    children.parent_run_id = run_id
    return own, {**handed_down(own), "callbacks": children}


def run_inside(config: RunnableConfig, work: Callable[[], T]) -> T:
    """Do some work whose runs take their config only from `config`, not from the surrounding context."""
    with set_config_context(config) as context:
        return context.run(work)


async def arun_inside(config: RunnableConfig, work: Coroutine[Any, Any, T]) -> T:
    """Async version of `run_inside`."""
    with set_config_context(config) as context:
        return await asyncio.create_task(work, context=context)


def stream_inside(config: RunnableConfig, items: Iterator[T]) -> Iterator[T]:
    """Yield items that are produced under the same conditions as in `run_inside`."""
    end = object()
    with set_config_context(config) as context:
        try:
            while (item := context.run(next, items, end)) is not end:
                yield item  # type: ignore[misc]  # not the end marker
        finally:  # if the reader stops early, what was opened in this context must be closed in it
            if isinstance(items, Generator):
                context.run(items.close)


async def astream_inside(config: RunnableConfig, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Async version of `stream_inside`."""
    end = object()

    async def following() -> Any:
        return await anext(items, end)

    async def closed(generator: AsyncGenerator[Any, None]) -> None:
        await generator.aclose()

    with set_config_context(config) as context:
        try:
            while (item := await asyncio.create_task(following(), context=context)) is not end:
                yield item
        finally:
            if isinstance(items, AsyncGenerator):
                await asyncio.create_task(closed(items), context=context)
