"""An executor that passes everything on to another one: the base of all that change one thing about an executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.execution.base import Executor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from langchain_atlas.pool import Pair
    from langchain_atlas.trajectory import Observation, Query

_RUNNING = ("run", "arun")


class ExecutorWrapper(Executor):
    """Delegates every member of `Executor` to the executor that it wraps.

    Subclass it to change one thing. A subclass that overrides `run` overrides `arun` too, and the other way about.

    Args:
        executor: the executor that is wrapped.

    Raises:
        TypeError: a subclass overrides one of `run` and `arun` and forgets the other.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        given = [name for name in _RUNNING if name in vars(cls)]
        if len(given) == 1:
            raise TypeError(f"{cls.__name__} overrides {given[0]!r} alone; override both of {', '.join(_RUNNING)}.")

    def __repr__(self) -> str:
        """Say what it is, and what it is around."""
        return f"{type(self).__name__}({self._executor!r})"

    @property
    def executor(self) -> Executor:
        """The executor that is wrapped."""
        return self._executor

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the wrapped executor."""
        return self.executor.pairs

    def suited(self, query: Query) -> frozenset[Pair] | None:
        """Return what the wrapped executor says of this query; see `Executor.suited`."""
        return self.executor.suited(query)

    def unable(self, query: Query, *, beside: str = "", bound: Collection[Pair] = ()) -> Mapping[Pair, str]:
        """Return what the wrapped executor says of this query; see `Executor.unable`."""
        return self.executor.unable(query, beside=beside, bound=bound)

    def provider(self, pair: Pair) -> str | None:
        """Return what the wrapped executor says; see `Executor.provider`."""
        return self.executor.provider(pair)

    def trajectory(self, key: str | None = None, *, last: bool = True) -> AbstractContextManager[object]:
        """Return the context of the wrapped executor; see `Executor.trajectory`."""
        return self.executor.trajectory(key, last=last)

    def run(self, pair: Pair, query: Query) -> Observation:
        """Have the wrapped executor run a pair; see `Executor.run`."""
        return self.executor.run(pair, query)

    async def arun(self, pair: Pair, query: Query) -> Observation:
        """Have the wrapped executor run a pair, on the event loop."""
        return await self.executor.arun(pair, query)
