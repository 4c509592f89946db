"""The tools of an MCP server as LangChain tools that work synchronously and on any event loop."""

from __future__ import annotations

import os
import re
import threading
import weakref
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.tools import BaseTool, ToolException
from pydantic import Field, model_validator

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.records import Record
from langchain_atlas.tools.failures import answer_error
from langchain_atlas.tools.mcp.session import McpFailure, McpSession

if TYPE_CHECKING:
    from collections.abc import Iterable

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SECRET = re.compile(r"auth(?!or(?!iz))|api.?key|secret|password|(?<!max.)token(?!izer)|cookie", re.IGNORECASE)
"""Names of what is secret; AUTHOR, MAX_TOKENS and TOKENIZERS_PARALLELISM are not."""


class McpServer(Record):
    """How to connect to an MCP server: either `command`, which is started, or `url`."""

    command: str | None = None
    """Program of a server that communicates over its standard input and output."""
    args: tuple[str, ...] = ()
    """Arguments of the program."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables for the program, in addition to the few that every program needs; ``${NAME}`` is taken from
    this process's environment."""
    cwd: str | None = None
    """Folder to start the program in."""
    url: str | None = None
    """Address of a running server."""
    transport: Literal["stdio", "http", "sse", "websocket"] | None = None
    """Transport; None for ``stdio`` with a command and ``http`` (streamable) with a URL."""
    headers: dict[str, str] = Field(default_factory=dict)
    """HTTP headers; ``${NAME}`` is taken from the environment."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Seconds that one call may take."""
    start_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds that starting or connecting to it, and listing its tools, may take."""

    @classmethod
    def _error(cls, message: str) -> PoolError:
        return PoolError(message)

    @model_validator(mode="after")
    def _is_reached_in_one_way(self) -> McpServer:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either 'command', a program that is the server, or 'url', where one runs")
        if (self.transport or self._usual) != "stdio" and self.url is None:
            raise ValueError(f"transport {self.transport!r} needs 'url'")
        if self.transport == "stdio" and self.command is None:
            raise ValueError("transport 'stdio' needs 'command'")
        for name, value in (*self.env.items(), *self.headers.items()):
            if _SECRET.search(name) and not _VARIABLE.search(value):
                raise ValueError(
                    f"{name!r} would put a secret into the pool; write '${{NAME}}' for the value of an environment "
                    "variable"
                )
        return self

    @property
    def _usual(self) -> Literal["stdio", "http"]:
        return "stdio" if self.url is None else "http"

    @property
    def label(self) -> str:
        """Its name in messages, without headers and environment, which may hold secrets."""
        return self.url or " ".join([self.command or "", *self.args])

    def connection(self) -> dict[str, Any]:
        """Return it in the form of `langchain-mcp-adapters`, with variables filled in.

        Raises:
            PoolError: a variable is not set.
        """
        transport = self.transport or self._usual
        if transport == "stdio":
            env = {name: _filled(name, value) for name, value in self.env.items()}
            return {
                "transport": transport,
                "command": self.command,
                "args": list(self.args),
                "env": env or None,
                "cwd": self.cwd,
            }
        headers = {name: _filled(name, value) for name, value in self.headers.items()}
        return {"transport": transport, "url": self.url} | ({"headers": headers} if headers else {})


def _filled(name: str, value: str) -> str:
    for variable in _VARIABLE.findall(value):
        if variable not in os.environ:
            raise PoolError(f"{name!r} takes its value from the environment variable {variable!r}, which is not set.")
    return _VARIABLE.sub(lambda match: os.environ[match[1]], value)


class McpTool(BaseTool):
    """One tool of an MCP server. The server's session is shared, and reopened after it was lost.

    A failure comes back as an answer that begins with ``Error:``, with the status of an error. Set
    ``handle_tool_error=False`` for a `ToolException`.
    """

    handle_tool_error: Any = answer_error
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"

    session: Any = Field(exclude=True, repr=False)
    """The `McpSession` that it is called through."""

    def _run(self, /, **arguments: Any) -> Any:
        try:
            return self.session.call(self.name, arguments)
        except McpFailure as failure:
            raise ToolException(str(failure)) from failure

    async def _arun(self, /, **arguments: Any) -> Any:
        try:
            return await self.session.acall(self.name, arguments)
        except McpFailure as failure:
            raise ToolException(str(failure)) from failure


_sessions: weakref.WeakValueDictionary[str, McpSession] = weakref.WeakValueDictionary()
_guard = threading.Lock()


def _session(server: McpServer) -> McpSession:
    """Return the session with a server; all users of the same server share it while one of them exists."""
    key = server.model_dump_json()
    with _guard:
        session = _sessions.get(key)
        if session is None:
            session = McpSession(server.connection, server.timeout_s, server.start_timeout_s)
            _sessions[key] = session
        return session


def mcp_tools(server: McpServer | None = None, *, only: Iterable[str] | None = None, **fields: Any) -> list[McpTool]:
    """Start or connect to an MCP server and return its tools.

    The server runs while one of the tools is in use, at most until the process ends. Two calls for the same server
    share a session.

    Args:
        server: how to connect to it; or give the fields of `McpServer`.
        only: names of the tools to take; None takes all.
        **fields: fields of `McpServer`, such as ``command`` and ``args``, or ``url``.

    Raises:
        PoolError: the fields are invalid, the server is unavailable, or it lacks a tool of `only`.
        MissingExtraError: the MCP packages are not installed.
    """
    reached = server or McpServer(**fields)
    session = _session(reached)
    try:
        offered = session.tools()
    except McpFailure as failure:
        raise PoolError(f"The MCP server {reached.label!r} can't be used: {failure}") from failure
    names = list(offered) if only is None else list(only)
    for name in names:
        if name not in offered:
            raise PoolError(f"The MCP server {reached.label!r} has no tool {name!r}. {suggest(name, offered)}")
    return [
        McpTool(
            name=name,
            description=offered[name].description,
            args_schema=offered[name].args_schema,
            metadata=offered[name].metadata,
            session=session,
        )
        for name in names
    ]
