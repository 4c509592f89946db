"""The contract of everything that acts."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_atlas.error_kinds import execution_error
from langchain_atlas.errors import ExecutionError, InvalidInputError
from langchain_atlas.loop import Handler, adrive, drive, run_pair
from langchain_atlas.trajectory import START, Assignment, Observation

if TYPE_CHECKING:
    from langchain_atlas.effects import Steps
    from langchain_atlas.pool import Pair
    from langchain_atlas.trajectory import Query


class Executor(Runnable[Assignment, Observation], ABC):
    """Runs a pair on a query and returns what was observed.

    An executor is a LangChain `Runnable`: it takes an `Assignment`, which is what a router returns in a chain, and
    returns the observation. There, a call that fails raises `ExecutionError`, so that retries and fallbacks see it.
    """

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it can run; empty when it can't tell."""
        return ()

    def suited(self, query: Query) -> frozenset[Pair] | None:
        """Return the pairs that can answer this query at all, by whether it has images; None when it can't tell."""
        del query
        return None

    def provider(self, pair: Pair) -> str | None:
        """Return what names the provider that a pair's model is reached at; None when it can't tell."""
        del pair
        return None

    def trajectory(self, key: str | None = None, *, last: bool = True) -> AbstractContextManager[object]:
        """Return the context in which the runs of one trajectory belong together, for tools that keep state.

        Args:
            key: what the trajectory goes by where its runs are made apart, each in a context of its own, as the nodes
                of a graph do; None where one context is open from the first run to the last.
            last: whether the trajectory ends with this context.
        """
        del key, last
        return nullcontext()

    @abstractmethod
    def run(self, pair: Pair, query: Query) -> Observation:
        """Run `pair` on `query`.

        Returns:
            What came back. A call that fails is an observation with its error, not an exception.

        Raises:
            PoolError: the executor has no such pair.
        """

    async def arun(self, pair: Pair, query: Query) -> Observation:
        """Do what `run` does without blocking the event loop."""
        return await asyncio.to_thread(self.run, pair, query)

    def invoke(self, input: Assignment, config: RunnableConfig | None = None, **_: Any) -> Observation:  # noqa: A002
        """Run the assigned pair, as a step of a chain.

        Args:
            input: the query, with the decision which pair is to run.
            config: what the run's models and tools run with, such as callbacks.

        Raises:
            InvalidInputError: the input is no assignment.
            ExecutionError: the run failed, or the router assigned no pair; its `observation` tells the run.
        """

        def run(assignment: Assignment) -> Observation:
            return _succeeded(drive(_run_assigned(assignment), Handler(executor=self)))

        return self._call_with_config(run, input, config, run_type="chain")

    async def ainvoke(self, input: Assignment, config: RunnableConfig | None = None, **_: Any) -> Observation:  # noqa: A002
        """Do what `invoke` does on the event loop."""

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
