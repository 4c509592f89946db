"""The runs of a trace: one for each decision, each run of a pair, and each loop that nobody else shows."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_atlas.masked_errors import keys_masked
from langchain_atlas.tracing.facts import Facts, of_decision, of_observation, of_query, of_trajectory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from langchain_core.runnables import RunnableConfig

    from langchain_atlas.pool import Pair
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory

DECIDE, EXECUTE, SOLVE = "atlas.decide", "atlas.execute", "atlas.solve"
"""Names of the runs."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Kind:
    """One kind of run."""

    name: str
    """What it is called."""
    facts: Callable[[Any, int], Facts]
    """What it tells of what came out, and at which turn."""


_DECISION = _Kind(DECIDE, of_decision)
_EXECUTION = _Kind(EXECUTE, lambda observation, _: of_observation(observation))
_LOOP = _Kind(SOLVE, lambda trajectory, _: of_trajectory(trajectory))


def decision_run(query: Query, trajectory: Trajectory, decide: Callable[[], Decision]) -> Decision:
    """Decide, inside a run named ``atlas.decide`` if anybody is listening.

    Args:
        query: what is asked.
        trajectory: what was decided and seen so far.
        decide: makes the decision.
    """
    if not is_observed():
        return decide()
    turn = len(trajectory.steps)
    return _traced(_DECISION, {**of_query(query), "turn": turn}, decide, turn)


async def adecision_run(query: Query, trajectory: Trajectory, decide: Callable[[], Awaitable[Decision]]) -> Decision:
    """Do what `decision_run` does on the event loop."""
    if not is_observed():
        return await decide()
    turn = len(trajectory.steps)
    return await _atraced(_DECISION, {**of_query(query), "turn": turn}, decide, turn)


def execution_run(pair: Pair, query: Query, run: Callable[[], Observation]) -> Observation:
    """Run a pair, inside a run named ``atlas.execute`` if anybody is listening."""
    if not is_observed():
        return run()
    return _traced(_EXECUTION, {**of_query(query), "pair": str(pair)}, run)


async def aexecution_run(pair: Pair, query: Query, run: Callable[[], Awaitable[Observation]]) -> Observation:
    """Do what `execution_run` does on the event loop."""
    if not is_observed():
        return await run()
    return await _atraced(_EXECUTION, {**of_query(query), "pair": str(pair)}, run)


def solve_run(query: Query, solve: Callable[[], Trajectory]) -> Trajectory:
    """Go round the loop, inside a run named ``atlas.solve`` if anybody is listening and no run is open yet."""
    if not is_observed(outside=True):
        return solve()
    return _traced(_LOOP, of_query(query), solve)


async def asolve_run(query: Query, solve: Callable[[], Awaitable[Trajectory]]) -> Trajectory:
    """Do what `solve_run` does on the event loop."""
    if not is_observed(outside=True):
        return await solve()
    return await _atraced(_LOOP, of_query(query), solve)


def is_observed(config: RunnableConfig | None = None, *, outside: bool = False) -> bool:
    """Say whether a callback handler is there: LangSmith's where tracing is on, or one of the user's.

    Args:
        config: the config of the run; that of the run around when left out.
        outside: whether there must also be no run that a new one would be part of.
    """
    from langchain_core.runnables.config import ensure_config, get_callback_manager_for_config

    manager = get_callback_manager_for_config(ensure_config() if config is None else config)
    return bool(manager.handlers) and not (outside and manager.parent_run_id is not None)


@contextmanager
def untraced() -> Iterator[None]:
    """Send no traces from within, as where thousands of recorded queries are replayed."""
    from langsmith import tracing_context

    with tracing_context(enabled=False):
        yield


def _traced(kind: _Kind, inputs: dict[str, Any], work: Callable[[], Value], turn: int = 0) -> Value:
    from langchain_core.runnables import RunnableLambda

    values: list[Value] = []

    @keys_masked
    def step(_: dict[str, Any]) -> dict[str, Any]:
        values.append(work())
        return _noted(kind.facts(values[0], turn))

    RunnableLambda(step).invoke(inputs, _config(kind))
    return values[0]


async def _atraced(kind: _Kind, inputs: dict[str, Any], work: Callable[[], Awaitable[Value]], turn: int = 0) -> Value:
    from langchain_core.runnables import RunnableLambda

    values: list[Value] = []

    @keys_masked
    async def step(_: dict[str, Any]) -> dict[str, Any]:
        values.append(await work())
        return _noted(kind.facts(values[0], turn))

    await RunnableLambda(step).ainvoke(inputs, _config(kind))
    return values[0]


def _config(kind: _Kind) -> RunnableConfig:
    return {"run_name": kind.name}


def _noted(facts: Facts) -> dict[str, Any]:
    """Put tags and metadata on the run that is open, and on no other; return what it came to."""
    from langsmith import get_current_run_tree

    run = get_current_run_tree()
    if run is not None:  # other handlers than LangSmith's get what it came to, which says the same
        run.tags = [*(run.tags or []), *facts.tags]
        run.extra["metadata"] = {**run.metadata, **facts.metadata}  # a new one: runs share what they inherit
    return facts.outputs
