"""An executor that delegates everything to another one: the base class for changing one thing about an executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.execution.base import Executor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.trajectory import Observation, Query

_RUNNING = ("run", "arun")


class ExecutorWrapper(Executor):
    """Delegates every member of `Executor` to the executor that it wraps.

    Subclass it to change one thing. A subclass must override both `run` and `arun`, or neither.

    Args:
        executor: the wrapped executor.

    Raises:
        TypeError: a subclass overrides only one of `run` and `arun`.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        given = [name for name in _RUNNING if name in vars(cls)]
        if len(given) == 1:
            raise TypeError(f"{cls.__name__} overrides {given[0]!r} alone; override both of {', '.join(_RUNNING)}.")

    def __repr__(self) -> str:
        """Return the class name and the wrapped executor."""
        return f"{type(self).__name__}({self._executor!r})"

    @property
    def executor(self) -> Executor:
        """The wrapped executor."""
        return self._executor

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the wrapped executor."""
        return self.executor.pairs

    def suited(self, query: Query) -> frozenset[Pair] | None:
        """Return the wrapped executor's result; see `Executor.suited`."""
        return self.executor.suited(query)

    def unable(self, query: Query, *, beside: str = "", bound: Collection[Pair] = ()) -> Mapping[Pair, str]:
        """Return the wrapped executor's result; see `Executor.unable`."""
        return self.executor.unable(query, beside=beside, bound=bound)

    def provider(self, pair: Pair) -> str | None:
        """Return the wrapped executor's result; see `Executor.provider`."""
        return self.executor.provider(pair)

    def stays_here(self, pair: Pair) -> bool:
        """Return the wrapped executor's result; see `Executor.stays_here`."""
        return self.executor.stays_here(pair)

    def trajectory(self, key: str | None = None, *, last: bool = True) -> AbstractContextManager[object]:
        """Return the wrapped executor's context manager; see `Executor.trajectory`."""
        return self.executor.trajectory(key, last=last)

    def verify(self, query: Query, observation: Observation) -> Observation:
        """Return the wrapped executor's result; see `Executor.verify`."""
        return self.executor.verify(query, observation)

    async def averify(self, query: Query, observation: Observation) -> Observation:
        """Async version of `verify`."""
        return await self.executor.averify(query, observation)

    def prepare(self) -> None:
        """Have the wrapped executor prepare; see `Executor.prepare`."""
        self.executor.prepare()

    def run(self, pair: Pair, query: Query) -> Observation:
        """Run a pair with the wrapped executor; see `Executor.run`."""
        return self.executor.run(pair, query)

    async def arun(self, pair: Pair, query: Query) -> Observation:
        """Async version of `run`."""
        return await self.executor.arun(pair, query)
