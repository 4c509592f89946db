"""What routers spend to decide is counted, also on decisions whose place another takes; limits name themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage

from langchain_atlas import EscalatingRouter, Limits, Pair, Query, Router, solve
from langchain_atlas.errors import ConstraintError
from langchain_atlas.loop.limits.pair_budget import Budget
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter
from langchain_atlas.trajectory import START, Candidate, Decision, Observation, Trajectory, last_answer
from langchain_atlas.usage import Spending

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

USD = {"big": 1.0, "small": 0.1, "mid": 0.2}


class InOrder(Router):
    """Calls the first model that may be called and that the limits leave room for; deciding costs ten cents."""

    pairs = tuple(map(Pair, USD))
    takes_first_answer = True

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        del pairs
        return self

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        if any(not seen.failed for seen in trajectory.observations):
            return last_answer(trajectory, rule="once", reason="")
        limits = query.constraints
        for pair in self.pairs:
            if (limits.pairs is None or pair in limits.pairs) and USD[pair.model] <= (limits.max_cost_usd or 9.0):
                chosen = Candidate(pair=pair, expected_success=0.5, expected_cost_usd=USD[pair.model])
                return Decision(kind="route", pair=pair, chosen=chosen, spent=Spending(cost_usd=0.1))
        raise ConstraintError("None fits.")


def run(pair: Pair, query: Query) -> Observation:
    del query
    return Observation(pair=pair, answer=pair.model, cost_usd=USD[pair.model], latency_s=0.1)


def test_a_decision_that_the_turn_limit_replaces() -> None:
    route = Decision(kind="route", pair=Pair("big"), spent=Spending(cost_usd=0.1))
    trajectory = solve("q", ScriptedRouter(*[route] * 6), ScriptedExecutor(run), max_turns=2)
    assert trajectory.deciding_usd == pytest.approx(0.3)


def test_a_decision_that_a_limit_replaces() -> None:
    trajectory = solve("q", InOrder(), ScriptedExecutor(run), limits=Limits(day_usd=0.75))
    assert trajectory.answer == "small"
    assert trajectory.deciding_usd == pytest.approx(0.2)


def test_a_model_that_rests_is_left_out_near_a_limit_too() -> None:
    limits = Limits(day_usd=0.75, cooldown_s=60, cooldown_after=1)
    limits.memory.failed("small", 60, 1)
    executor = ScriptedExecutor(run)
    assert solve("q", InOrder(), executor, limits=limits).answer == "mid"
    assert [str(pair) for pair, _ in executor.calls] == ["mid@@none"]


def stalled(pair: Pair) -> tuple[AnyMessage, ...]:
    """Return four rounds of a tool loop in which a pair made the same call."""
    observed = {"pair": str(pair), "error": None, "usage": {}}
    told = {"atlas": {"steps": [{"decision": {"kind": "route", "pair": str(pair)}, "observation": observed}]}}
    rounds: list[AnyMessage] = []
    for number in range(4):
        call = {"name": "look", "args": {"page": "1"}, "id": f"c{number}"}
        rounds += [
            AIMessage("", tool_calls=[call], response_metadata=told),
            ToolMessage("the same", tool_call_id=f"c{number}"),
        ]
    return tuple(rounds)


def test_a_stalled_loop_moves_within_what_the_query_allows() -> None:
    router = EscalatingRouter(InOrder())
    query = Query(text="q", since=stalled(Pair("small")))
    move = router.move(query)
    assert move is not None
    assert move.direction == "up"
    allowed = query.replace(constraints=query.constraints.replace(pairs=frozenset({Pair("big"), Pair("mid")})))
    assert router.decide(allowed).pair == Pair("big")
    ended = query.replace(constraints=query.constraints.replace(pairs=frozenset({Pair("mid")})))
    assert router.decide(ended).pair == Pair("mid"), "small and big may not be called"
    spent = router.decide(query).spent
    assert spent is not None
    assert spent.cost_usd == pytest.approx(0.2), "it asked what is stronger, and what staying is worth"


def test_calls_that_cost_nothing_go_on_where_nothing_is_left() -> None:
    Budget(0.0, 0.0, "day_usd").check(0.0, 2)
    with pytest.raises(ConstraintError, match=r"of the 0\.1 that were left .* Raise day_usd\."):
        Budget(0.1, None, "day_usd").check(0.12, 0)
    with pytest.raises(ConstraintError, match="lift day_usd"):
        Budget(0.1, None, "day_usd").check(0.0, 1)
