"""Sessions of tools that keep state between calls, for as long as one conversation lasts."""

from collections import OrderedDict
from contextlib import ExitStack
from contextvars import ContextVar, Token
from threading import Lock

from langchain_atlas.tools.python.sandbox import Sandbox, Session, SessionSandbox

MOST_KEPT = 64
"""Most conversations that are kept open between the steps of graphs; of more, those not used for longest are ended."""


class ToolSessions:
    """The sessions of one conversation, one for each sandbox."""

    def __init__(self) -> None:
        self._stack: ExitStack | None = None
        self._lock = Lock()
        self._sessions: dict[int, tuple[Sandbox, Session]] = {}

    def of(self, sandbox: SessionSandbox) -> Session:
        """The session of a sandbox in this conversation; it is begun at the first call."""
        with self._lock:
            if id(sandbox) not in self._sessions:
                self._stack = self._stack or ExitStack()
                self._sessions[id(sandbox)] = sandbox, self._stack.enter_context(sandbox.session())
            return self._sessions[id(sandbox)][1]

    def close(self) -> None:
        """End the sessions that were begun."""
        if self._stack is not None:
            self._stack.close()


class _Kept:
    """Conversations that go on between contexts, by their keys."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[str, ToolSessions] = OrderedDict()
        self._used: dict[str, int] = {}

    def take(self, key: str) -> ToolSessions:
        """Return the conversation of a key, begun now if it is new; `give_back` must follow."""
        with self._lock:
            if key not in self._open:
                self._open[key] = ToolSessions()
            self._open.move_to_end(key)
            self._used[key] = self._used.get(key, 0) + 1
            return self._open[key]

    def give_back(self, key: str, *, last: bool) -> None:
        """Take note that a conversation rests; where nobody else uses it, end it if that was the last of it."""
        with self._lock:
            self._used[key] -= 1
            idle = [name for name in self._open if not self._used.get(name)]
            ended = [key] if last and key in idle else []
            ended += [name for name in idle if name not in ended][: max(0, len(self._open) - len(ended) - MOST_KEPT)]
            closed = [self._open.pop(name) for name in ended]
            for name in ended:
                self._used.pop(name, None)
        for sessions in closed:
            sessions.close()


_CURRENT: ContextVar[ToolSessions | None] = ContextVar("langchain_atlas_tool_sessions", default=None)
_KEPT = _Kept()


class tool_sessions:  # noqa: N801  # used like the context managers of functions, but opened at every step of a graph
    """Let stateful tools that are called inside keep what they know, and forget it at the end.

    Each conversation has its own: other threads, tasks and queries see nothing of it. Inside another one it is the
    same, so that whoever wants names to last longer opens it further out. Threads that should share it need this
    context (`contextvars.copy_context`), as LangChain's and `asyncio.to_thread` have.

    Args:
        key: what a conversation goes by that is carried on in several contexts, as by the nodes of a graph; contexts of
            one key in this process share it. None for one that begins and ends here.
        last: whether a conversation with a key ends here.
    """

    def __init__(self, key: str | None = None, *, last: bool = True) -> None:
        self._key = key
        self._last = last
        self._own: ToolSessions | None = None
        self._token: Token[ToolSessions | None] | None = None

    def __enter__(self) -> ToolSessions:
        """Return the conversation's sessions."""
        around = _CURRENT.get()
        if around is not None:
            return around
        self._own = ToolSessions() if self._key is None else _KEPT.take(self._key)
        self._token = _CURRENT.set(self._own)
        return self._own

    def __exit__(self, *_: object) -> None:
        """End the conversation, or let it rest; one that was opened further out goes on."""
        if self._own is None or self._token is None:
            return
        _CURRENT.reset(self._token)
        if self._key is None:
            self._own.close()
        else:
            _KEPT.give_back(self._key, last=self._last)


def current_sessions() -> ToolSessions | None:
    """The sessions of the conversation that this code runs in; none outside `tool_sessions`."""
    return _CURRENT.get()
