"""Sessions of tools that keep state between calls, for as long as one conversation lasts."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock

from langchain_atlas.tools.sandbox import Sandbox, Session, SessionSandbox


class ToolSessions:
    """The sessions of one conversation, one for each sandbox."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._lock = Lock()
        self._sessions: dict[int, tuple[Sandbox, Session]] = {}

    def of(self, sandbox: SessionSandbox) -> Session:
        """The session of a sandbox in this conversation; it is begun at the first call."""
        with self._lock:
            if id(sandbox) not in self._sessions:
                self._sessions[id(sandbox)] = sandbox, self._stack.enter_context(sandbox.session())
            return self._sessions[id(sandbox)][1]


_CURRENT: ContextVar[ToolSessions | None] = ContextVar("langchain_atlas_tool_sessions", default=None)


@contextmanager
def tool_sessions() -> Iterator[ToolSessions]:
    """Let stateful tools that are called inside keep what they know, and forget it at the end.

    Each conversation has its own: other threads, tasks and queries see nothing of it. Inside another one it is the
    same, so that whoever wants names to last longer opens it further out. Threads that should share it need this
    context (`contextvars.copy_context`), as LangChain's and `asyncio.to_thread` have.
    """
    if (current := _CURRENT.get()) is not None:
        yield current
        return
    with ExitStack() as stack:
        sessions = ToolSessions(stack)
        stack.callback(_CURRENT.reset, _CURRENT.set(sessions))
        yield sessions


def current_sessions() -> ToolSessions | None:
    """The sessions of the conversation that this code runs in; none outside `tool_sessions`."""
    return _CURRENT.get()
