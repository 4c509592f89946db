"""The one loop: a router decides, an executor acts, until there is an answer.

Every door and every benchmark runs this loop; see ``docs/architecture.md``.
"""

from langchain_atlas.errors import SettingError
from langchain_atlas.execution.base import Executor
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.trajectory import Decision, Query, Trajectory

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
    query, trajectory = suiting(Query.of(query), router, executor), Trajectory()
    while not trajectory.done:
        decision = limited(router.decide(query, trajectory), trajectory, max_turns)
        observation = None
        if decision.pair is not None:
            observation = executor.run(decision.pair, asked(query, decision))
        trajectory = trajectory.then(decision, observation)
    return trajectory


async def asolve(query: Query | str, router: Router, executor: Executor, *, max_turns: int = MAX_TURNS) -> Trajectory:
    """Do what `solve` does without blocking the event loop."""
    query, trajectory = suiting(Query.of(query), router, executor), Trajectory()
    while not trajectory.done:
        decision = limited(await router.adecide(query, trajectory), trajectory, max_turns)
        observation = None
        if decision.pair is not None:
            observation = await executor.arun(decision.pair, asked(query, decision))
        trajectory = trajectory.then(decision, observation)
    return trajectory


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
