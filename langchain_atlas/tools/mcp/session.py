"""A session with an MCP server, kept open on an event loop of its own and shared by all callers."""

from __future__ import annotations

import asyncio
import contextvars
import tempfile
import time
import weakref
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

from langchain_core.tools import ToolException

from langchain_atlas.errors import MissingExtraError
from langchain_atlas.tools.event_loop import loop_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from langchain_core.tools import BaseTool

PACKAGES = "langchain-mcp-adapters==0.3.2 mcp==1.30.0"
"""Bring what MCP needs. After the rest: pip finds no versions that suit these and LangChain's LiteLLM package, which
asks for a newer mcp, at once; both work with this one."""

_IDLE_S = 10.0
"""Seconds without a call after which a session is tried before it is used."""

_PING_S = 2.0
_LAST_WORDS = 600
_LOST = frozenset({-32000, 32600})
"""Codes of the SDK's own errors: connection closed, session terminated."""


class McpFailure(Exception):  # noqa: N818  # it becomes an observation
    """A server could not be reached, did not answer in time, or broke off."""


@dataclass
class _Open:
    """A session that is open."""

    opened: asyncio.Future[None]
    """Done once session and tools are there."""
    task: asyncio.Task[None] | None = None
    """Owns the connection from beginning to end: whoever entered its scopes must leave them."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends the task."""
    last_words: str = ""
    """The end of what the server wrote to its standard error, once the task has ended."""
    session: Any = None
    """The MCP client's session."""
    tools: dict[str, Any] = field(default_factory=dict)
    """The server's tools, bound to the session."""
    used: float = field(default_factory=time.monotonic)
    """When it last answered."""

    @property
    def running(self) -> asyncio.Task[None]:
        """The task of a session that has been started."""
        if self.task is None:
            raise RuntimeError("The session has not been started.")
        return self.task


class McpSession:
    """Calls the tools of one server; opens the connection at first use, and again after it was lost.

    A call whose connection breaks is not repeated: it may have had its effect.

    Args:
        connection: gives the connection in the form of `langchain-mcp-adapters`.
        timeout_s: seconds that one call may take.
        start_timeout_s: seconds that opening may take.
    """

    def __init__(self, connection: Callable[[], Mapping[str, Any]], timeout_s: float, start_timeout_s: float) -> None:
        _packages()
        self._connection = connection
        self._timeout_s = timeout_s
        self._start_timeout_s = start_timeout_s
        self._thread = loop_thread("mcp")
        self._lock = asyncio.Lock()
        self._open: _Open | None = None
        self._ended: list[Callable[[], None]] = []
        weakref.finalize(self, _end, self._thread.loop, self._ended).atexit = False  # the loop sees to that

    def tools(self) -> dict[str, BaseTool]:
        """Return the server's tools by name, for their descriptions.

        Raises:
            McpFailure: the server can't be reached.
        """
        return self._thread.run(self._list())

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool and wait; return LangChain content blocks with an artifact.

        Raises:
            McpFailure: no answer came back.
            ToolException: the server says that the call failed.
        """
        return self._thread.run(self._call(name, dict(arguments)))

    async def acall(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Do what `call` does, from any event loop."""
        return await self._thread.arun(self._call(name, dict(arguments)))

    def close(self) -> None:
        """End the session and, where it was started for it, the server; another call would open it anew."""
        if self._open is not None:
            self._thread.run(self._close(self._open))

    async def _list(self) -> dict[str, BaseTool]:
        return dict((await self._opened()).tools)

    async def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        current = await self._opened()
        if name not in current.tools:
            raise McpFailure(f"The server no longer has a tool {name!r}.")
        work = asyncio.ensure_future(current.tools[name].coroutine(**arguments))
        try:
            await _first(work, current.running, within_s=self._timeout_s)
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        error = None if work.cancelled() else work.exception()
        if isinstance(error, ToolException):
            raise error
        if error is None and not work.cancelled():
            current.used = time.monotonic()
            return work.result()
        if error is None and not current.running.done():
            raise McpFailure(f"The server gave no answer within {self._timeout_s:g} s.")
        if error is not None and not _is_lost(error):
            raise McpFailure(f"{type(error).__name__}: {error}") from error
        await self._close(current)
        raise McpFailure(f"The connection broke off during the call. {_why_ended(current)}") from error

    async def _opened(self) -> _Open:
        async with self._lock:
            if self._open is not None and not await _answers(self._open):
                await self._close(self._open)
            if self._open is None:
                self._open = await self._start()
                self._ended[:] = [self._open.closing.set]
            return self._open

    async def _start(self) -> _Open:
        loop = asyncio.get_running_loop()
        current = _Open(loop.create_future())
        # Without the variables of whoever happened to come first, whom the session outlives.
        work = _serve(dict(self._connection()), current)
        current.task = loop.create_task(work, context=contextvars.Context())
        await _first(current.running, current.opened, within_s=self._start_timeout_s)
        if current.opened.done():
            return current
        late = not current.running.done()
        current.running.cancel()
        await asyncio.wait({current.running})
        if late:
            raise McpFailure(f"It did not answer within {self._start_timeout_s:g} s. {current.last_words}".strip())
        raise McpFailure(_why_ended(current))

    async def _close(self, current: _Open) -> None:
        current.closing.set()
        await asyncio.wait({current.running})
        if self._open is current:
            self._open = None
            self._ended.clear()


def _end(loop: asyncio.AbstractEventLoop, ended: list[Callable[[], None]]) -> None:
    """Let the session of an object that is gone end; called from any thread."""
    for end in ended:
        with suppress(RuntimeError):  # the loop is closed, and the session with it
            loop.call_soon_threadsafe(end)


async def _serve(connection: dict[str, Any], current: _Open) -> None:
    adapters, _ = _packages()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            async with _connected(connection, log) as session:
                await session.initialize()
                current.tools = {tool.name: tool for tool in await adapters.load_mcp_tools(session)}
                current.session = session
                current.opened.set_result(None)
                await _until(current.closing)
        finally:
            log.seek(0)
            if written := log.read().strip():
                current.last_words = f"It wrote: {written[-_LAST_WORDS:]}"


@asynccontextmanager
async def _connected(connection: dict[str, Any], log: IO[str]) -> AsyncIterator[Any]:
    _, sessions = _packages()
    if connection["transport"] != "stdio":
        async with sessions.create_session(connection) as session:
            yield session
        return
    mcp = import_module("mcp")
    started = mcp.StdioServerParameters(**{name: value for name, value in connection.items() if name != "transport"})
    # The adapters would let the server write into this process's terminal.
    async with mcp.stdio_client(started, errlog=log) as (read, write), mcp.ClientSession(read, write) as session:
        yield session


async def _answers(current: _Open) -> bool:
    """Whether a session is still there; one that was idle is tried, as servers restart and forget theirs."""
    if current.running.done():
        return False
    if time.monotonic() - current.used < _IDLE_S:
        return True
    ping = asyncio.ensure_future(current.session.send_ping())
    await _first(ping, current.running, within_s=_PING_S)
    if not ping.done():
        ping.cancel()
        await asyncio.wait({ping})
        return False
    current.used = time.monotonic()
    error = ping.exception()
    return error is None or not _is_lost(error)  # a server that knows no ping is there all the same


async def _until(closing: asyncio.Event) -> None:
    """Wait for the end of the session, also if that is the end of the process: the server is then told so, too."""
    try:
        await closing.wait()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()


async def _first(*work: asyncio.Future[Any], within_s: float) -> None:
    """Wait until one of them is done, or the time is up."""
    await asyncio.wait(work, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)


def _is_lost(error: BaseException) -> bool:
    anyio, httpx, mcp = (import_module(name) for name in ("anyio", "httpx", "mcp"))
    if isinstance(error, mcp.McpError):
        return error.error.code in _LOST
    broken = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream, httpx.TransportError, OSError)
    return isinstance(error, broken)


def _why_ended(current: _Open) -> str:
    """Say why the task of a session has ended."""
    error: BaseException | None = None if current.running.cancelled() else current.running.exception()
    while isinstance(error, BaseExceptionGroup):  # anyio's scopes wrap what happened in them
        error = error.exceptions[0]
    # The errors of a broken pipe say nothing more.
    gone = error is None or (_is_lost(error) and not str(error))
    reason = "The server went away." if gone else f"{type(error).__name__}: {error}."
    return f"{reason} {current.last_words}".strip()


def _packages() -> tuple[Any, Any]:
    """Import what MCP needs.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module("langchain_mcp_adapters.tools"), import_module("langchain_mcp_adapters.sessions")
    except ImportError as error:
        raise MissingExtraError("An MCP server", package=PACKAGES) from error
