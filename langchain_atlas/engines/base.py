"""The contract of an engine, the engine of this process, and which engine is in use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from langchain_atlas.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

S = TypeVar("S")
U = TypeVar("U")
R = TypeVar("R")
H = TypeVar("H")

Work: TypeAlias = "Callable[[S, U], R]"
"""A unit's work: given what all units share, and the unit."""
OnDone: TypeAlias = "Callable[[U], None] | None"
"""Called with a unit when it is done."""


class LostUnitError(ExecutionError):
    """The machine that did a unit of work was lost before it said what came of it; the work may be done again."""


class Host(Protocol):
    """Holds what units of work need, such as an executor with its connections, where they are done."""

    async def run(self, work: Callable[[Any, U], Awaitable[R]], unit: U) -> R:
        """Do one unit of work.

        Args:
            work: given what the host holds, and the unit.
            unit: what is to be done.

        Raises:
            LostUnitError: the machine was lost meanwhile.
            Exception: what `work` raised.
        """


class Engine(ABC):
    """Does independent units of work, and gives the same results wherever that is.

    For other machines, work and units are sent there: `work` is a function of a module, and what it is given can be
    pickled.
    """

    is_local: bool = False
    """Whether the work is done in this process."""

    @abstractmethod
    def map(self, work: Work[S, U, R], shared: S, units: Sequence[U], on_done: OnDone[U] = None) -> list[R]:
        """Do units of work that need the processor, and return their results in the order of the units.

        Args:
            work: given `shared` and a unit; it changes neither.
            shared: what all units need.
            units: the units.
            on_done: called after each unit, in the order in which they end.

        Raises:
            Exception: what `work` raised for a unit; the others are given up.
            ExecutionError: the work can't be sent, or a machine was lost again and again.
        """

    @abstractmethod
    def host(self, make: Callable[[], Any]) -> AbstractAsyncContextManager[Host]:
        """Open hosts for units of work that mostly wait; `make` makes what a host holds. Leaving ends all work."""

    def close(self) -> None:
        """End what the engine has started."""
        return


class _Here(Generic[H]):
    def __init__(self, held: H) -> None:
        self._held = held

    async def run(self, work: Callable[[H, U], Awaitable[R]], unit: U) -> R:
        return await work(self._held, unit)


class LocalEngine(Engine):
    """Does everything in this process, one unit after the other."""

    is_local = True

    def map(self, work: Work[S, U, R], shared: S, units: Sequence[U], on_done: OnDone[U] = None) -> list[R]:
        """Do the units one after the other; see `Engine.map`."""
        found = []
        for unit in units:
            found.append(work(shared, unit))
            if on_done is not None:
                on_done(unit)
        return found

    @asynccontextmanager
    async def host(self, make: Callable[[], Any]) -> AsyncIterator[Host]:
        """Hold what is needed here; see `Engine.host`."""
        yield _Here(make())


_LOCAL = LocalEngine()
_CURRENT: ContextVar[Engine] = ContextVar("engine", default=_LOCAL)


def current_engine() -> Engine:
    """Return the engine in use: that of this process, unless `using_engine` says otherwise."""
    return _CURRENT.get()


@contextmanager
def using_engine(engine: Engine) -> Iterator[Engine]:
    """Have `profile`, `evaluate`, `cross_validate` and encoders use an engine within; it is closed at the end."""
    token = _CURRENT.set(engine)
    try:
        yield engine
    finally:
        _CURRENT.reset(token)
        engine.close()
