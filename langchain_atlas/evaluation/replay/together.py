"""The loop over many recorded queries at once: each turn, one decision for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from langchain_atlas.errors import ConstraintError
from langchain_atlas.loop.effects import Decide
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.suiting import suiting
from langchain_atlas.loop.turns import turns
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.trajectory import START, Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_atlas.execution.base import Executor
    from langchain_atlas.loop.effects import Effect, Steps
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Query, Trajectory

REFUSED = "refused"
"""The rule of a decision to end without an answer, because the router raised `ConstraintError`."""


@runtime_checkable
class DecidesSteps(Protocol):
    """A router that decides the next step of many trajectories faster than one by one."""

    def decide_steps(self, asked: Sequence[tuple[Query, Trajectory]]) -> list[Decision | ConstraintError]:
        """Return the decisions; in the place of one that can't be made, its error."""


class Prepared(RouterWrapper):
    """A router whose next steps were decided in advance, and whose refusals end the loop without an answer."""

    def __init__(self, router: Router) -> None:
        super().__init__(router)
        self._ready: dict[tuple[str | None, int], Decision] = {}

    def prepare(self, asked: Sequence[tuple[Query, Trajectory]]) -> None:
        """Decide steps, in one pass if the router can; first steps in one pass in any case.

        Args:
            asked: queries with their trajectories; no id is there twice.
        """
        router, found = self.router, None
        if isinstance(router, DecidesSteps):
            found = [_ended(each) for each in router.decide_steps(asked)]
        elif asked and all(not trajectory.steps for _, trajectory in asked):
            try:
                found = router.decide_batch([query for query, _ in asked])
            except ConstraintError:
                found = None  # one of them was refused: each is decided alone
        keys = [(query.id, len(trajectory.steps)) for query, trajectory in asked]
        self._ready = {} if found is None else dict(zip(keys, found, strict=True))

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Return the decision that was prepared, or have the router decide."""
        ready = self._ready.get((query.id, len(trajectory.steps)))
        if ready is not None and not query.avoid:
            return ready
        try:
            return self.router.decide(query, trajectory)
        except ConstraintError as error:
            return _ended(error)

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does."""
        return self.decide(query, trajectory)

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Do what `decide` does for many first steps."""
        return [self.decide(query) for query in queries]


@dataclass
class _Walk:
    """One query on its way round the loop."""

    number: int
    steps: Steps[Trajectory]
    effect: Effect


def solve_together(
    queries: Sequence[Query],
    router: Prepared,
    executor: Executor,
    *,
    max_turns: int,
    on_query: Callable[[], None] | None = None,
) -> list[Trajectory]:
    """Run the loop for recorded queries, a turn of all of them at a time.

    Args:
        queries: queries with ids, each of them once.
        router: the router.
        executor: runs pairs; one that keeps nothing between the calls of a trajectory.
        max_turns: maximum number of turns in a trajectory.
        on_query: called when a query is done.

    Returns:
        What `solve` returns for each query.
    """
    handler = Handler(router, executor, max_turns)
    suited = [suiting(query, router, executor) for query in queries]
    done: dict[int, Trajectory] = {}
    waiting = []
    for number, query in enumerate(suited):
        steps = turns(query)
        waiting.append(_Walk(number, steps, next(steps)))
    while waiting:
        router.prepare([(walk.effect.query, walk.effect.trajectory) for walk in waiting])  # type: ignore[union-attr]
        for walk in waiting:
            try:
                walk.effect = walk.steps.send(handler.do(walk.effect))
                while not isinstance(walk.effect, Decide):
                    walk.effect = walk.steps.send(handler.do(walk.effect))
            except StopIteration as end:
                done[walk.number] = end.value
                if on_query is not None:
                    on_query()
        waiting = [walk for walk in waiting if walk.number not in done]
    return [done[number] for number in range(len(queries))]


def _ended(outcome: Decision | ConstraintError) -> Decision:
    if isinstance(outcome, Decision):
        return outcome
    return Decision(kind="answer", rule=REFUSED, reason=str(outcome))
