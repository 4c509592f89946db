"""What the loop needs of routers and executors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory


class RouterLike(Protocol):
    """What the loop needs of a router; it also reads `Router`'s `takes_first_answer` and `failures_are_turns`."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from; empty if it accepts any."""
        ...  # pragma: no cover

    def decide(self, query: Query, trajectory: Trajectory = ..., /) -> Decision:
        """Decide the next step."""
        ...  # pragma: no cover

    async def adecide(self, query: Query, trajectory: Trajectory = ..., /) -> Decision:
        """Async version of `decide`."""
        ...  # pragma: no cover


class ExecutorLike(Protocol):
    """What the loop needs of an executor; it also calls `Executor`'s `provider`."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it can run; empty if unknown."""
        ...  # pragma: no cover

    def suited(self, query: Query, /) -> frozenset[Pair] | None:
        """Return the pairs that can answer this query; None if unknown."""
        ...  # pragma: no cover

    def unable(self, query: Query, /, *, beside: str = "", bound: Collection[Pair] = ()) -> Mapping[Pair, str]:
        """Return the pairs that can't take this query at all, each with the reason."""
        ...  # pragma: no cover

    def trajectory(self, key: str | None = None, *, last: bool = True) -> AbstractContextManager[object]:
        """Return a context manager that groups the runs of one trajectory."""
        ...  # pragma: no cover

    def run(self, pair: Pair, query: Query, /) -> Observation:
        """Run a pair on a query."""
        ...  # pragma: no cover

    async def arun(self, pair: Pair, query: Query, /) -> Observation:
        """Async version of `run`."""
        ...  # pragma: no cover


class StoreLike(Protocol):
    """What the loop needs of a store."""

    def keep(
        self, query: Query, trajectory: Trajectory, decision: Decision, observation: Observation | None = None, /
    ) -> None:
        """Keep a decision, or what came of it; never waits and never raises."""
        ...  # pragma: no cover
