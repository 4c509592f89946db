"""The replay executor: what was recorded comes back as if it happened now."""

import numpy as np
import pytest
from recorded import row, table_of

from langchain_atlas.errors import OutcomeError, PoolError
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.loop.turns import asolve, solve
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.testing import ScriptedRouter
from langchain_atlas.trajectory import Decision, Observation, Query
from langchain_atlas.usage import Usage

A, B, C = Pair("a"), Pair("b", "python"), Pair("c")

TABLE = table_of(
    row("q1", "a", 1.0, 0.001, latency_s=1.5, input_tokens=10, output_tokens=20, response="four", error=""),
    row("q1", "b@@python", 0.0, 0.004, latency_s=2.5, response="five", error="wrong number"),
    row("q2", "a", 0.5),
    row("q2", "b@@python", None, 0.004, response="not scored"),
    row("q2", "c", 1.0, 0.002, latency_s=1.0, input_tokens=10, response="first"),
    row("q2", "c", 0.0, 0.004, latency_s=2.0, input_tokens=13, response="second"),
)


@pytest.fixture
def executor() -> ReplayExecutor:
    """Return an executor of the recorded outcomes above."""
    return ReplayExecutor(TABLE)


def test_an_observation_is_what_was_recorded(executor: ReplayExecutor) -> None:
    assert executor.run(A, Query(id="q1", text="q1")) == Observation(
        pair=A,
        answer="four",
        usage=Usage(input_tokens=10, output_tokens=20),
        cost_usd=0.001,
        latency_s=1.5,
    )


def test_a_wrong_answer_looks_like_any_other(executor: ReplayExecutor) -> None:
    """What the benchmark called an error, a live run could not have known."""
    seen = executor.run(B, Query(id="q1", text="q1"))
    assert (seen.answer, seen.error, seen.failed) == ("five", None, False)


def test_what_was_not_recorded_of_a_run_is_unknown(executor: ReplayExecutor) -> None:
    seen = executor.run(A, Query(id="q2", text="q2"))
    assert (seen.cost_usd, seen.latency_s, seen.usage) == (None, None, Usage())
    assert seen.answer == ""
    assert not seen.failed


def test_repeated_runs_give_their_means_and_the_last_text(executor: ReplayExecutor) -> None:
    # Cost (0.002 + 0.004) / 2 = 0.003; latency 1.5; tokens (10 + 13) / 2 = 11.5, rounded to the even 12.
    seen = executor.run(C, Query(id="q2", text="q2"))
    assert seen.cost_usd == pytest.approx(0.003)
    assert seen.latency_s == pytest.approx(1.5)
    assert seen.usage == Usage(input_tokens=12)
    assert seen.answer == "second"
    assert executor.score(C, Query(id="q2", text="q2")) == pytest.approx(0.5)


def test_the_id_finds_the_record_whatever_is_asked(executor: ReplayExecutor) -> None:
    assert executor.run(A, Query(id="q1", text="put another way")).answer == "four"


def test_the_score_is_told_to_who_asks_for_it(executor: ReplayExecutor) -> None:
    query = Query(id="q1", text="q1")
    assert (executor.score(A, query), executor.score(B, query)) == (1.0, 0.0)


def test_it_tells_which_pairs_can_be_called(executor: ReplayExecutor) -> None:
    assert executor.recorded(Query(id="q1", text="q1")) == {A, B}
    assert executor.recorded(Query(id="q2", text="q2")) == {A, C}  # b was not scored there


@pytest.mark.parametrize("query", [Query(text="q1"), Query(id="q9", text="q1")])
def test_a_query_that_is_not_recorded(executor: ReplayExecutor, query: Query) -> None:
    for ask in (lambda: executor.run(A, query), lambda: executor.score(A, query), lambda: executor.recorded(query)):
        with pytest.raises(OutcomeError, match=f"Query {query.id!r} is not recorded in the rows"):
            ask()


@pytest.mark.parametrize(("pair", "name"), [(C, "q1"), (B, "q2")])
def test_a_pair_that_is_not_recorded_there(executor: ReplayExecutor, pair: Pair, name: str) -> None:
    with pytest.raises(OutcomeError, match=f"Pair '{pair}' was not recorded on query '{name}' in the rows"):
        executor.run(pair, Query(id=name, text=name))
    with pytest.raises(OutcomeError, match="was not recorded"):
        executor.score(pair, Query(id=name, text=name))


def test_a_pair_that_is_not_recorded_at_all(executor: ReplayExecutor) -> None:
    with pytest.raises(PoolError, match="Unknown pair 'd@@none': the rows has no outcome of it"):
        executor.run(Pair("d"), Query(id="q1", text="q1"))


async def test_the_loop_runs_on_it_as_on_live_pairs(executor: ReplayExecutor) -> None:
    query, router = Query(id="q1", text="q1"), ScriptedRouter(B, Decision(kind="route", pair=A, input="Once more: q1"))
    trajectory = solve(query, router, executor)
    assert [seen.answer for seen in trajectory.observations] == ["five", "four"]
    assert trajectory.answer == "four"
    assert trajectory.cost_usd == pytest.approx(0.005)  # 0.004 + 0.001
    assert trajectory.latency_s == pytest.approx(4.0)  # 2.5 + 1.5
    assert await asolve(query, router, executor) == trajectory


def test_every_recorded_outcome_is_an_observation(outcomes: OutcomeTable) -> None:
    executor = ReplayExecutor(outcomes)
    scores = outcomes.matrix()
    for at, query in enumerate(outcomes.queries):
        assert executor.recorded(query) == set(outcomes.pairs)
        for column, pair in enumerate(outcomes.pairs):
            seen = executor.run(pair, query)
            assert Observation.from_json(seen.to_json()) == seen
            assert seen.answer == f"{pair} on {str(query.id).partition('-')[2]}"
            assert executor.score(pair, query) == scores[at, column]
    assert np.isfinite(scores).all()
