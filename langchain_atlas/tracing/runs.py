"""The runs of a trace: one for each decision, each run of a pair, and each loop without an enclosing run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_atlas.failures.masked_errors import keys_masked
from langchain_atlas.tracing.facts import Facts, of_decision, of_observation, of_query, of_trajectory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from langchain_core.runnables import RunnableConfig

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory

DECIDE, EXECUTE, SOLVE = "atlas.decide", "atlas.execute", "atlas.solve"
"""Names of the runs."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Kind:
    """One kind of run."""

    name: str
    """Its name."""
    facts: Callable[[Any, int], Facts]
    """Returns the facts of a result at a given turn."""


_DECISION = _Kind(DECIDE, of_decision)
_EXECUTION = _Kind(EXECUTE, lambda observation, _: of_observation(observation))
_LOOP = _Kind(SOLVE, lambda trajectory, _: of_trajectory(trajectory))


def decision_run(query: Query, trajectory: Trajectory, decide: Callable[[], Decision]) -> Decision:
    """Decide, within a run named ``atlas.decide`` if there is a handler.

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
    """Async version of `decision_run`."""
    if not is_observed():
        return await decide()
    turn = len(trajectory.steps)
    return await _atraced(_DECISION, {**of_query(query), "turn": turn}, decide, turn)


def execution_run(pair: Pair, query: Query, run: Callable[[], Observation]) -> Observation:
    """Run a pair, within a run named ``atlas.execute`` if there is a handler."""
    if not is_observed():
        return run()
    return _traced(_EXECUTION, {**of_query(query), "pair": str(pair)}, run)


async def aexecution_run(pair: Pair, query: Query, run: Callable[[], Awaitable[Observation]]) -> Observation:
    """Async version of `execution_run`."""
    if not is_observed():
        return await run()
    return await _atraced(_EXECUTION, {**of_query(query), "pair": str(pair)}, run)


def solve_run(query: Query, solve: Callable[[], Trajectory]) -> Trajectory:
    """Run the loop, within a run named ``atlas.solve`` if there is a handler and no run is open yet."""
    if not is_observed(outside=True):
        return solve()
    return _traced(_LOOP, of_query(query), solve)


async def asolve_run(query: Query, solve: Callable[[], Awaitable[Trajectory]]) -> Trajectory:
    """Async version of `solve_run`."""
    if not is_observed(outside=True):
        return await solve()
    return await _atraced(_LOOP, of_query(query), solve)


def is_observed(config: RunnableConfig | None = None, *, outside: bool = False) -> bool:
    """Return whether there is a callback handler: LangSmith's if tracing is on, or one of the user's.

    Args:
        config: the config of the run; that of the run around when left out.
        outside: whether there must also be no run that a new one would be part of.
    """
    from langchain_core.callbacks import CallbackManager
    from langchain_core.runnables.config import var_child_runnable_config

    around = var_child_runnable_config.get() if config is None else config
    # Only the handlers matter, so the config and its tags and metadata are not copied: this is asked at every step.
    manager = CallbackManager.configure(inheritable_callbacks=None if around is None else around.get("callbacks"))
    return bool(manager.handlers) and not (outside and manager.parent_run_id is not None)


@contextmanager
def untraced() -> Iterator[None]:
    """Disable tracing in the block, for example while thousands of recorded queries are replayed."""
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
    """Add tags and metadata to the open run only; return its outputs."""
    from langsmith import get_current_run_tree

    run = get_current_run_tree()
    if run is not None:  # handlers other than LangSmith's receive the outputs, which hold the same facts
        run.tags = [*(run.tags or []), *facts.tags]
        run.extra["metadata"] = {**run.metadata, **facts.metadata}  # a new dict, because runs share inherited metadata
    return facts.outputs
