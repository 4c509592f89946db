"""The contract of executors."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_atlas.errors import ExecutionError, InvalidInputError
from langchain_atlas.failures.kinds import execution_error
from langchain_atlas.failures.slips import check_methods, running
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.turns import adrive, drive, run_pair
from langchain_atlas.pool.pool import NO_TOOL
from langchain_atlas.trajectory import START, Assignment, Observation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from langchain_atlas.loop.effects import Steps
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.trajectory import Query


class Executor(Runnable[Assignment, Observation], ABC):
    """Runs a pair on a query and returns an observation.

    An executor is a LangChain `Runnable`: it takes an `Assignment`, which is what a router returns in a chain, and
    returns the observation. In a chain, a call that fails raises `ExecutionError`, so that retries and fallbacks apply.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let `run` accept a pair and a query in text form, and reject anything else with a clear error."""
        super().__init_subclass__(**kwargs)
        check_methods(cls, ("run", "arun"), running)

    def __repr__(self) -> str:
        """Return the class name and the number of pairs it can run."""
        count = len(self.pairs)
        return f"{type(self).__name__}({'' if not count else '1 pair' if count == 1 else f'{count} pairs'})"

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it can run; empty if unknown."""
        return ()

    def suited(self, query: Query) -> frozenset[Pair] | None:
        """Return the pairs that can answer this query, depending on whether it has images; None if unknown."""
        del query
        return None

    def unable(self, query: Query, *, beside: str = "", bound: Collection[Pair] = ()) -> Mapping[Pair, str]:
        """Return the pairs that can't take this query at all, each with the reason.

        Args:
            query: the query.
            beside: text sent along that is not in the query, such as the caller's own tools as JSON.
            bound: pairs whose tools the caller runs.
        """
        del query, beside, bound
        return {}

    def provider(self, pair: Pair) -> str | None:
        """Return an identifier of the provider that serves a pair's model; None if unknown."""
        del pair
        return None

    def stays_here(self, pair: Pair) -> bool:
        """Return whether a pair's tool is known to show a query to nobody; see `Tool.stays_here`."""
        pool = getattr(self, "pool", None)
        return pair.tool == NO_TOOL.name if pool is None else bool(pool.tool(pair.tool).stays_here)

    def trajectory(self, key: str | None = None, *, last: bool = True) -> AbstractContextManager[object]:
        """Return a context manager that groups the runs of one trajectory, for tools that keep state.

        Args:
            key: identifies the trajectory if its runs are made in separate contexts, as in the nodes of a graph; None
                if one context is open from the first run to the last.
            last: whether the trajectory ends with this context.
        """
        del key, last
        return nullcontext()

    def verify(self, query: Query, observation: Observation) -> Observation:
        """Return an observation with the verdict of the executor's verifier on its answer; by default there is none.

        `run` does this itself; it is for calls that an integration makes in its own way.
        """
        del query
        return observation

    async def averify(self, query: Query, observation: Observation) -> Observation:
        """Async version of `verify`."""
        return await asyncio.to_thread(self.verify, query, observation)

    def prepare(self) -> None:  # most executors have nothing to prepare
        """Begin in the background what a first run would wait for, and return at once.

        It is called before the first decision for each query, so that deciding and preparing overlap.
        """

    @abstractmethod
    def run(self, pair: Pair, query: Query) -> Observation:
        """Run `pair` on `query`.

        Returns:
            The observation. A call that fails is an observation with its error, not an exception.

        Raises:
            PoolError: the executor does not have this pair.
        """

    async def arun(self, pair: Pair, query: Query) -> Observation:
        """Async version of `run`."""
        return await asyncio.to_thread(self.run, pair, query)

    def invoke(self, input: Assignment, config: RunnableConfig | None = None, **_: Any) -> Observation:  # noqa: A002
        """Run the assigned pair, as a step of a chain.

        Args:
            input: the query, with the decision that names the pair.
            config: passed to the run's models and tools; holds callbacks, for example.

        Raises:
            InvalidInputError: the input is not an `Assignment`.
            ExecutionError: the run failed (see its `observation`), or the router assigned no pair.
        """

        def run(assignment: Assignment) -> Observation:
            return _succeeded(drive(_run_assigned(assignment), Handler(executor=self)))

        return self._call_with_config(run, input, config, run_type="chain")

    async def ainvoke(self, input: Assignment, config: RunnableConfig | None = None, **_: Any) -> Observation:  # noqa: A002
        """Async version of `invoke`."""

        async def run(assignment: Assignment) -> Observation:
            return _succeeded(await adrive(_run_assigned(assignment), Handler(executor=self)))

        return await self._acall_with_config(run, input, config, run_type="chain")


def _run_assigned(assignment: Any) -> Steps[Observation]:
    if not isinstance(assignment, Assignment):
        raise InvalidInputError(
            f"An executor in a chain takes an Assignment, as in router | executor; got {assignment!r}."
        )
    if assignment.pair is None:
        raise ExecutionError(f"The router assigned no pair: {assignment.decision.reason or assignment.decision.kind}")
    return (yield from run_pair(assignment.query, assignment.decision, START))


def _succeeded(observation: Observation) -> Observation:
    if observation.failed:
        raise execution_error(f"{observation.pair} failed: {observation.error}", [observation])
    return observation
