"""Event loops in separate threads, for synchronous callers of tools that are only asynchronous.

No event loop is started inside another: a caller without one waits in its thread, a caller with one awaits.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.tools import StructuredTool, Tool

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from langchain_core.tools import BaseTool

_T = TypeVar("_T")

_STOP_S = 5.0
"""Seconds that tasks have to release their resources when the process ends."""


class LoopThread:
    """An event loop that runs in a daemon thread until the process ends.

    Args:
        name: name of the thread.
    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        atexit.register(self._stop)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the loop, with the caller's context variables, and wait for it.

        Raises:
            RuntimeError: the caller is itself running on this loop, and would wait forever.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(
                f"Something asynchronous that runs on the event loop {self._thread.name!r} called an asynchronous tool "
                "in the synchronous way. Await it: use 'ainvoke' or 'arun' there."
            )
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the caller was interrupted; without effect when the coroutine has ended
            raise

    async def arun(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the loop and await it from another; cancelling the wait cancels the coroutine."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def _stop(self) -> None:
        if self.loop.is_closed() or not self._thread.is_alive():
            return
        done = asyncio.run_coroutine_threadsafe(_cancel_tasks(), self.loop)
        try:
            done.result(_STOP_S)
        except TimeoutError:
            done.cancel()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_STOP_S)


async def _cancel_tasks() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def loop_thread(purpose: str) -> LoopThread:
    """Return this process's loop for a purpose, started at first use.

    Args:
        purpose: what runs on it, such as ``tools``; a coroutine of one purpose may wait for one of another.
    """
    return _loop_thread(purpose, os.getpid())  # a forked process inherits the object, but not the thread


@cache
def _loop_thread(purpose: str, process: int) -> LoopThread:
    del process
    return LoopThread(f"langchain-atlas {purpose}")


def invoke(tool: BaseTool, wanted: Any) -> Any:
    """Call a LangChain tool synchronously, even if it is only asynchronous.

    Args:
        tool: the tool.
        wanted: its arguments, or a whole tool call.
    """
    if isinstance(tool, StructuredTool | Tool) and tool.func is None and tool.coroutine is not None:
        return loop_thread("tools").run(tool.ainvoke(wanted))
    try:
        return tool.invoke(wanted)
    except NotImplementedError as error:
        if not _is_only_asynchronous(tool, error):
            raise
    return loop_thread("tools").run(tool.ainvoke(wanted))


def _is_only_asynchronous(tool: BaseTool, error: NotImplementedError) -> bool:
    """Return whether the error comes from the tool's own `_run`, not from anything that it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is getattr(type(tool)._run, "__code__", None)  # noqa: SLF001  # LangChain's name for what a tool overrides
