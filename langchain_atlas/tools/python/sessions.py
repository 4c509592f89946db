"""Sessions of tools that keep state between calls, for as long as one conversation lasts."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock

from langchain_atlas.tools.python.sandbox import Sandbox, Session, SessionSandbox

MOST_KEPT = 64
"""Most conversations that are kept open between the steps of graphs; of more, those not used for longest are ended."""


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


class _Kept:
    """Conversations that go on between contexts, by their keys."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[str, tuple[ToolSessions, ExitStack]] = OrderedDict()
        self._used: dict[str, int] = {}

    def take(self, key: str) -> ToolSessions:
        """Return the conversation of a key, begun now if it is new; `give_back` must follow."""
        with self._lock:
            if key not in self._open:
                stack = ExitStack()
                self._open[key] = ToolSessions(stack), stack
            self._open.move_to_end(key)
            self._used[key] = self._used.get(key, 0) + 1
            return self._open[key][0]

    def give_back(self, key: str, *, last: bool) -> None:
        """Take note that a conversation rests; where nobody else uses it, end it if that was the last of it."""
        with self._lock:
            self._used[key] -= 1
            idle = [name for name in self._open if not self._used.get(name)]
            ended = [key] if last and key in idle else []
            ended += [name for name in idle if name not in ended][: max(0, len(self._open) - len(ended) - MOST_KEPT)]
            stacks = [self._open.pop(name)[1] for name in ended]
            for name in ended:
                self._used.pop(name, None)
        for stack in stacks:
            stack.close()


_CURRENT: ContextVar[ToolSessions | None] = ContextVar("langchain_atlas_tool_sessions", default=None)
_KEPT = _Kept()


@contextmanager
def tool_sessions(key: str | None = None, *, last: bool = True) -> Iterator[ToolSessions]:
    """Let stateful tools that are called inside keep what they know, and forget it at the end.

    Each conversation has its own: other threads, tasks and queries see nothing of it. Inside another one it is the
    same, so that whoever wants names to last longer opens it further out. Threads that should share it need this
    context (`contextvars.copy_context`), as LangChain's and `asyncio.to_thread` have.

    Args:
        key: what a conversation goes by that is carried on in several contexts, as by the nodes of a graph; contexts of
            one key in this process share it. None for one that begins and ends here.
        last: whether a conversation with a key ends here.
    """
    if (current := _CURRENT.get()) is not None:
        yield current
        return
    with ExitStack() as stack:
        if key is None:
            sessions = ToolSessions(stack)
        else:
            sessions = _KEPT.take(key)
            stack.callback(_KEPT.give_back, key, last=last)
        stack.callback(_CURRENT.reset, _CURRENT.set(sessions))
        yield sessions


def current_sessions() -> ToolSessions | None:
    """The sessions of the conversation that this code runs in; none outside `tool_sessions`."""
    return _CURRENT.get()
