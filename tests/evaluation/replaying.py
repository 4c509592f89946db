"""A small table worked by hand, scripted routers, and the loop without shortcuts, for tests of the evaluation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from langchain_atlas.encoders import Encoder
from langchain_atlas.errors import ConstraintError
from langchain_atlas.evaluation.replay.runs import run_router
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.loop.turns import solve
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.trajectory import START, Constraints, Decision, Query, Trajectory

A, B, C = Pair("a"), Pair("b", "search"), Pair("c")

# score, dollars, seconds of a, b, c on four queries; two domains; None is not recorded
GRID: dict[str, tuple[str, list[tuple[float, float | None, float | None] | None]]] = {
    "q1": ("maths", [(1, 0.001, 1.0), (1, 0.003, 2.0), (0, 0.010, 3.0)]),
    "q2": ("maths", [(0, 0.001, 1.0), (1, 0.003, 2.0), (1, 0.010, 3.0)]),
    "q3": ("facts", [(1, 0.001, 1.0), (0, 0.003, 2.0), (1, 0.010, 3.0)]),
    "q4": ("facts", [(0, 0.001, 1.0), (1, 0.003, 2.0), (0, 0.010, 3.0)]),
}


def table_of(grid: dict[str, Any], pairs: Sequence[Pair] = (A, B, C)) -> OutcomeTable:
    rows = [
        {
            "query_id": name,
            "query": f"What is {name}?",
            "domain": domain,
            "model": pair.model,
            "tool": pair.tool,
            "score": float(cell[0]),
            "cost_usd": cell[1],
            "latency_s": cell[2],
            "response": f"{pair} says {name}",
        }
        for name, (domain, cells) in grid.items()
        for pair, cell in zip(pairs, cells, strict=True)
        if cell is not None
    ]
    return OutcomeTable.from_rows(rows)


def changed(name: str, cells: list[Any]) -> dict[str, Any]:
    return {**GRID, name: (GRID[name][0], cells)}


class ChainRouter(Router):
    """Asks pairs one after the other, and answers with the last."""

    def __init__(self, *chain: Pair, refuses: Callable[[Query, int], bool] | None = None) -> None:
        self.chain = chain
        self.refuses = refuses or (lambda *_: False)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(dict.fromkeys(self.chain))

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        if self.refuses(query, trajectory.calls):
            raise ConstraintError("It would be too dear.")
        allowed = [pair for pair in self.chain if query.constraints.pairs is None or pair in query.constraints.pairs]
        if trajectory.calls == len(allowed):
            return last_answer(trajectory, rule="chain-ends", reason="")
        return Decision(kind="route", pair=allowed[trajectory.calls])


class MuteRouter(Router):
    """Answers out of its own head."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        del query, trajectory
        return Decision(kind="answer", answer="42")


class LetterEncoder(Encoder):
    """Counts letters."""

    def __init__(self) -> None:
        super().__init__("letters")

    def _encode(self, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.array([[text.count(letter) + 0.1 for letter in "aeiou1234"] for text in texts], dtype=np.float32)


def plain_loop(router: Router, table: OutcomeTable) -> list[tuple[float, float | None, float | None, int]]:
    """Replay without batches or shortcuts; every query keeps to what is recorded on it."""
    executor, router, found = ReplayExecutor(table), router.restrict(table.pairs), []
    for query in table.queries:
        bound = query.replace(constraints=Constraints(pairs=executor.recorded(query)))
        trajectory = solve(bound, router, executor)
        given = trajectory.answered_by
        score = 0.0 if given is None else executor.score(given.pair, query)
        found.append((score, trajectory.cost_usd, trajectory.latency_s, trajectory.calls))
    return found


def assert_same_as_the_plain_loop(router: Router, table: OutcomeTable) -> None:
    runs = run_router(router, ReplayExecutor(table))
    columns = (runs.score, runs.cost, runs.latency, runs.calls)
    for column, expected in zip(columns, zip(*plain_loop(router, table), strict=True), strict=True):
        np.testing.assert_array_equal(column, np.array(expected, dtype=float))
