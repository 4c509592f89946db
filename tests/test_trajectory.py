"""Queries, decisions, and the trajectories they make."""

import pytest

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.trajectory import START, Constraints, Decision, Observation, Query, Step, Trajectory, add_known
from langchain_atlas.usage import Usage

A, B = Pair("a"), Pair("b", "python")


def route(pair: Pair) -> Decision:
    return Decision(kind="route", pair=pair)


class TestQuery:
    def test_a_text_makes_one_and_a_query_stays_itself(self) -> None:
        query = Query(text="Why?", id="q")
        assert Query.of(query) is query
        assert Query.of("Why?") == Query(text="Why?")

    def test_nothing_is_constrained_unless_asked(self) -> None:
        assert Query(text="Why?").constraints == Constraints(max_cost_usd=None, max_latency_s=None, pairs=None)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"cost_weight": 1.5}, "'cost_weight'.*got 1.5"),
            ({"cost_weight": -0.1}, "'cost_weight'.*got -0.1"),
            ({"text": None}, "'text'.*got None"),
            ({"txt": "Why?"}, "no field 'txt'"),
        ],
    )
    def test_a_wrong_field_is_named(self, fields: dict[str, object], message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            Query(**{"text": "Why?", **fields})

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"max_cost_usd": -1}, "'max_cost_usd'.*got -1"),
            ({"max_latency_s": 0}, "'max_latency_s'.*got 0"),
            ({"pairs": ["a@@b@@c"]}, "can't name a tool"),
        ],
    )
    def test_limits_make_sense(self, fields: dict[str, object], message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            Constraints(**fields)

    def test_allowed_pairs_may_be_written(self) -> None:
        assert Constraints(pairs=["a", "b@@python"]).pairs == {A, B}  # type: ignore[arg-type]


class TestDecision:
    @pytest.mark.parametrize("kind", ["think", "answer"])
    def test_only_a_route_names_a_pair(self, kind: str) -> None:
        with pytest.raises(InvalidInputError, match="names a pair, and no other decision does"):
            Decision(kind=kind, pair=A)
        with pytest.raises(InvalidInputError, match="names a pair, and no other decision does"):
            Decision(kind="route")

    def test_other_kinds_do_not_exist(self) -> None:
        with pytest.raises(InvalidInputError, match=r"'kind'.*got 'guess'"):
            Decision(kind="guess")  # type: ignore[arg-type]


class TestTrajectory:
    def test_the_start_is_empty(self) -> None:
        assert (START.steps, START.done, START.answer, START.answered_by, START.calls) == ((), False, None, None, 0)
        assert (START.cost_usd, START.latency_s) == (0, 0)

    def test_a_step_more_leaves_the_old_trajectory(self) -> None:
        seen = Observation(pair=A, answer="4")
        longer = START.then(route(A), seen)
        assert longer.steps == (Step(decision=route(A), observation=seen),)
        assert START.steps == ()

    def test_it_is_done_with_the_decision_to_answer(self) -> None:
        first, second = Observation(pair=A, error="Timeout: 60 s"), Observation(pair=B, answer="4")
        on_the_way = START.then(route(A), first).then(Decision(kind="think", answer="Hm.")).then(route(B), second)
        assert not on_the_way.done
        assert on_the_way.answer is None
        done = on_the_way.then(Decision(kind="answer", answer="4", source=2))
        assert done.done
        assert done.answer == "4"
        assert done.answered_by == second
        assert done.observations == (first, second)
        assert done.calls == 2

    def test_an_answer_without_a_source_was_given_by_nobody(self) -> None:
        assert START.then(Decision(kind="answer", answer="4")).answered_by is None

    def test_cost_and_latency_add_up_every_call(self) -> None:
        # 0.001 + 0.002 = 0.003 dollars; 1.5 + 2.5 = 4 seconds.
        trajectory = START.then(route(A), Observation(pair=A, cost_usd=0.001, latency_s=1.5)).then(
            route(B), Observation(pair=B, cost_usd=0.002, latency_s=2.5)
        )
        assert trajectory.cost_usd == pytest.approx(0.003)
        assert trajectory.latency_s == pytest.approx(4.0)

    def test_one_unknown_cost_makes_the_sum_unknown(self) -> None:
        trajectory = START.then(route(A), Observation(pair=A, cost_usd=0.001, latency_s=1.5)).then(
            route(B), Observation(pair=B)
        )
        assert (trajectory.cost_usd, trajectory.latency_s) == (None, None)

    def test_an_observation_failed_when_it_has_an_error(self) -> None:
        assert Observation(pair=A, error="Timeout: 60 s").failed
        assert not Observation(pair=A, answer="").failed

    def test_steps_made_by_the_loop_pass_the_checks_of_a_new_one(self) -> None:
        trajectory = START.then(route(A), Observation(pair=A, answer="4"))
        assert Trajectory.from_json(trajectory.to_json()) == trajectory


class TestUsage:
    def test_tokens_add_up(self) -> None:
        assert Usage(input_tokens=3, output_tokens=4) + Usage(input_tokens=10, output_tokens=20) == Usage(
            input_tokens=13, output_tokens=24
        )

    def test_unknown_tokens_make_their_sum_unknown_and_no_other(self) -> None:
        assert Usage(input_tokens=3) + Usage(input_tokens=10, output_tokens=20) == Usage(input_tokens=13)

    def test_nothing_added_is_nothing(self) -> None:
        assert add_known() == 0
        assert add_known(1, 2.5) == 3.5
        assert add_known(1, None) is None
