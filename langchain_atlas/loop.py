"""The one loop: a router decides, an executor acts, until there is an answer.

Every door and every benchmark runs this loop; see ``docs/architecture.md``.
"""

from langchain_atlas.errors import SettingError
from langchain_atlas.execution.base import Executor
from langchain_atlas.pool import Pair
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.tracing import (
    adecision_run,
    aexecution_run,
    asolve_run,
    decision_run,
    execution_run,
    solve_run,
)
from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory

MAX_TURNS = 4
"""Most turns of a trajectory before the last answer is given (section 3 of the paper)."""


def solve(query: Query | str, router: Router, executor: Executor, *, max_turns: int = MAX_TURNS) -> Trajectory:
    """Go round the loop until there is an answer.

    Args:
        query: what is asked.
        router: who decides.
        executor: who acts.
        max_turns: most turns (calls and thoughts) before the loop ends by itself.

    Returns:
        The trajectory; its last step is the decision to answer.

    Raises:
        SettingError: `max_turns` is below 1.
        AtlasError: the router could not decide.
    """
    query = suiting(Query.of(query), router, executor)
    with executor.trajectory():
        return solve_run(query, lambda: _solve(query, router, executor, max_turns))


async def asolve(query: Query | str, router: Router, executor: Executor, *, max_turns: int = MAX_TURNS) -> Trajectory:
    """Do what `solve` does without blocking the event loop."""
    query = suiting(Query.of(query), router, executor)
    with executor.trajectory():
        return await asolve_run(query, lambda: _asolve(query, router, executor, max_turns))


def _solve(query: Query, router: Router, executor: Executor, max_turns: int) -> Trajectory:
    trajectory = Trajectory()
    while not trajectory.done:
        decision = decide(router, query, trajectory, max_turns)
        observation = None
        if decision.pair is not None:
            observation = execute(executor, decision.pair, asked(query, decision))
        trajectory = trajectory.then(decision, observation)
    return trajectory


async def _asolve(query: Query, router: Router, executor: Executor, max_turns: int) -> Trajectory:
    trajectory = Trajectory()
    while not trajectory.done:
        decision = await adecide(router, query, trajectory, max_turns)
        observation = None
        if decision.pair is not None:
            observation = await aexecute(executor, decision.pair, asked(query, decision))
        trajectory = trajectory.then(decision, observation)
    return trajectory


def decide(router: Router, query: Query, trajectory: Trajectory, max_turns: int | None = None) -> Decision:
    """Have the router decide, as a run of the trace.

    Args:
        router: who decides.
        query: what is asked.
        trajectory: what was decided and seen so far.
        max_turns: most turns, see `limited`; None for no limit.
    """

    def decided() -> Decision:
        decision = router.decide(query, trajectory)
        return decision if max_turns is None else limited(decision, trajectory, max_turns)

    return decision_run(query, trajectory, decided)


async def adecide(router: Router, query: Query, trajectory: Trajectory, max_turns: int | None = None) -> Decision:
    """Do what `decide` does without blocking the event loop."""

    async def decided() -> Decision:
        decision = await router.adecide(query, trajectory)
        return decision if max_turns is None else limited(decision, trajectory, max_turns)

    return await adecision_run(query, trajectory, decided)


def execute(executor: Executor, pair: Pair, query: Query) -> Observation:
    """Have the executor run a pair, as a run of the trace."""
    return execution_run(pair, query, lambda: executor.run(pair, query))


async def aexecute(executor: Executor, pair: Pair, query: Query) -> Observation:
    """Do what `execute` does without blocking the event loop."""
    return await aexecution_run(pair, query, lambda: executor.arun(pair, query))


def suiting(query: Query, router: Router, executor: Executor) -> Query:
    """Return the query, limited to pairs that can answer it: not a tool that needs an image where there is none.

    Where none of the router's pairs is said to, the query stays as it is, and what comes of that is observed: a model
    may read images without the pool saying so.
    """
    suited = executor.suited(query)
    if suited is None:
        return query
    allowed = suited if query.constraints.pairs is None else suited & query.constraints.pairs
    if not allowed or (router.pairs and allowed.isdisjoint(router.pairs)):
        return query
    return query.replace(constraints=query.constraints.replace(pairs=allowed))


def limited(decision: Decision, trajectory: Trajectory, max_turns: int) -> Decision:
    """Return the decision, or once the turns are used up and it is not to answer, the decision to do so.

    The router is asked even then: of several answers, it knows which to give.

    Raises:
        SettingError: `max_turns` is below 1.
    """
    if max_turns < 1:
        raise SettingError(f"max_turns is {max_turns!r}; a loop needs at least 1 turn.")
    if decision.kind == "answer" or len(trajectory.steps) < max_turns:
        return decision
    return last_answer(trajectory, rule="turn-limit", reason=f"All {max_turns} turns are used.")


def asked(query: Query, decision: Decision) -> Query:
    """Return the query as the decided pair is to be asked."""
    return query if decision.input is None else query.replace(text=decision.input)
