"""What the runs inside a run of ours are configured with, and who hears of them."""

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
    """Return what runs inside a chat model's run are configured with.

    Tracers are told of them, as children. Other handlers are not: they hear of the outer run, and one that counts
    tokens would count them twice; so would a graph show the tokens twice that it streams.

    Args:
        run_manager: the callbacks of the outer run; None where LangChain does not hand them over, which is so for a
            stream. The inner runs are then told as children of the run that `opened` knows of.
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
    """Return what the runs inside a run take over of its config: all but its name and its id."""
    inner = config.copy()
    inner.pop("run_name", None)
    inner.pop("run_id", None)
    return inner


def opened(config: RunnableConfig | None) -> tuple[RunnableConfig, RunnableConfig]:
    """Return the config of a chat model's run, and that of the runs inside it.

    The run is given its id ahead of time, because LangChain does not tell a chat model which run its stream is.
    """
    own = ensure_config(config)
    run_id = own["run_id"] = own.get("run_id") or uuid7()
    manager = own["callbacks"] = get_callback_manager_for_config(own)
    children = manager.copy()
    children.parent_run_id = run_id
    return own, {**handed_down(own), "callbacks": children}


def run_inside(config: RunnableConfig, work: Callable[[], T]) -> T:
    """Do some work whose runs take their config from `config`, and from nothing around."""
    with set_config_context(config) as context:
        return context.run(work)


async def arun_inside(config: RunnableConfig, work: Coroutine[Any, Any, T]) -> T:
    """Do what `run_inside` does on the event loop."""
    with set_config_context(config) as context:
        return await asyncio.create_task(work, context=context)


def stream_inside(config: RunnableConfig, items: Iterator[T]) -> Iterator[T]:
    """Yield items that are made as `run_inside` does its work."""
    end = object()
    with set_config_context(config) as context:
        try:
            while (item := context.run(next, items, end)) is not end:
                yield item  # type: ignore[misc]  # it is not the end
        finally:  # whoever stops reading leaves what was opened in this context to be closed in it
            if isinstance(items, Generator):
                context.run(items.close)


async def astream_inside(config: RunnableConfig, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Do what `stream_inside` does on the event loop."""
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
