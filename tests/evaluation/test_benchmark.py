"""Evaluating routers on recorded outcomes, against numbers worked by hand."""

import json

import numpy as np
import pytest
from replaying import GRID, A, B, C, ChainRouter, MuteRouter, changed, table_of

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.replay.benchmark import Evaluation, evaluate
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.baselines import SinglePairRouter


@pytest.fixture
def table() -> OutcomeTable:
    return table_of(GRID)


class TestBaselines:
    @pytest.fixture
    def evaluation(self, table: OutcomeTable) -> Evaluation:
        return evaluate({}, table)

    def test_best_single_in_hindsight(self, evaluation: Evaluation) -> None:
        best = evaluation.baselines["best_single"]
        assert best.pair_share == {"b@@search": 1.0}
        assert best.accuracy == 0.75
        assert best.cost_usd_per_1k == pytest.approx(3.0)
        assert best.latency_s_mean == pytest.approx(2.0)
        assert best.calls_per_query == 1.0
        assert best.per_domain == {"maths": 1.0, "facts": 0.5}
        assert best.regret == pytest.approx(0.25)
        assert best.versus_best_single is None

    def test_cheapest(self, evaluation: Evaluation) -> None:
        cheapest = evaluation.baselines["cheapest"]
        assert cheapest.pair_share == {"a@@none": 1.0}
        assert (cheapest.accuracy, cheapest.cost_usd_per_1k) == (0.5, pytest.approx(1.0))
        assert cheapest.versus_best_single is not None
        assert cheapest.versus_best_single.difference == pytest.approx(-0.25)

    def test_random_is_the_exact_expectation(self, evaluation: Evaluation) -> None:
        chance = evaluation.baselines["random"]
        assert chance.accuracy == pytest.approx((2 + 2 + 2 + 1) / 12)
        assert chance.cost_usd_per_1k == pytest.approx((1 + 3 + 10) / 3)
        assert chance.latency_s_mean == pytest.approx(2.0)
        assert chance.pair_share == pytest.approx({"a@@none": 1 / 3, "b@@search": 1 / 3, "c@@none": 1 / 3})
        assert chance.pair_entropy == pytest.approx(1.0)
        assert (chance.unanswered, chance.optimal_selection) == (0, None)

    def test_oracle_takes_the_cheapest_of_the_best(self, evaluation: Evaluation) -> None:
        oracle = evaluation.baselines["oracle"]
        assert oracle.accuracy == 1.0
        assert oracle.pair_share == {"a@@none": 0.5, "b@@search": 0.5}  # a on q1 and q3, b on q2 and q4
        assert oracle.cost_usd_per_1k == pytest.approx((1 + 3 + 1 + 3) / 4)
        assert (oracle.regret, oracle.optimal_selection, oracle.optimal_cost) == (0.0, 1.0, 1.0)

    def test_every_pair_has_its_point(self, evaluation: Evaluation) -> None:
        points = {name: (point.accuracy, point.cost_usd_per_1k) for name, point in evaluation.pairs.items()}
        assert points == {
            "a@@none": (0.5, pytest.approx(1.0)),
            "b@@search": (0.75, pytest.approx(3.0)),
            "c@@none": (0.5, pytest.approx(10.0)),
        }
        assert [point.on_hull for point in evaluation.pairs.values()] == [True, True, False]

    def test_aiq_of_the_pairs(self, evaluation: Evaluation) -> None:
        # $1 to $3: 2 wide, mean 0.625, area 1.25; $3 to $10: 7 wide at 0.75, area 5.25; 6.5 / 9
        assert evaluation.aiq_by_family == {"single_pairs": pytest.approx(6.5 / 9)}


class TestRouters:
    def test_costs_and_seconds_add_up_over_all_calls(self, table: OutcomeTable) -> None:
        result = evaluate({"chain": ChainRouter(A, C)}, table).routers["chain"]
        assert result.accuracy == 0.5  # that of c, which answers
        assert result.cost_usd_per_1k == pytest.approx(11.0)
        assert result.latency_s_mean == pytest.approx(4.0)
        assert result.calls_per_query == 2.0
        assert result.pair_share == {"c@@none": 1.0}
        assert result.call_share == {"a@@none": 0.5, "c@@none": 0.5}
        assert result.collapsed

    def test_turns_are_limited(self, table: OutcomeTable) -> None:
        result = evaluate({"chain": ChainRouter(A, C)}, table, max_turns=1).routers["chain"]
        assert (result.calls_per_query, result.pair_share) == (1.0, {"a@@none": 1.0})

    def test_an_unknown_cost_stays_unknown(self) -> None:
        table = table_of(changed("q1", [(1, None, None), (1, 0.003, 2.0), (0, 0.010, 3.0)]))
        evaluation = evaluate({"chain": ChainRouter(A, B)}, table)
        assert np.isnan(evaluation.runs["chain"].cost).tolist() == [True, False, False, False]
        result = evaluation.routers["chain"]
        assert (result.cost_usd_per_1k, result.cost_known) == (pytest.approx(4.0), 0.75)

    def test_a_table_without_costs(self) -> None:
        grid = {
            name: (domain, [(cell[0], None, None) for cell in cells if cell]) for name, (domain, cells) in GRID.items()
        }
        evaluation = evaluate({"b": SinglePairRouter(B)}, table_of(grid))
        result = evaluation.routers["b"]
        assert (result.cost_usd_per_1k, result.latency_s_mean, result.arena_score) == (None, None, None)
        assert (result.versus_mix, result.optimal_cost, result.cost_known) == (None, None, 0.0)
        assert "cheapest" not in evaluation.baselines
        assert evaluation.baselines["oracle"].accuracy == 1.0
        assert evaluation.aiq_by_family == {"b": None}
        assert any("no cheapest pair" in note for note in evaluation.notes)
        json.dumps(evaluation.to_json(), allow_nan=False)

    def test_no_answer_scores_nothing(self, table: OutcomeTable) -> None:
        result = evaluate({"mute": MuteRouter()}, table).routers["mute"]
        assert (result.accuracy, result.unanswered, result.refused, result.calls_per_query) == (0.0, 4, 0, 0.0)
        assert (result.cost_usd_per_1k, result.pair_share) == (0.0, {})

    def test_refusals_are_counted_said_and_score_nothing(self, table: OutcomeTable) -> None:
        router = ChainRouter(B, refuses=lambda query, _: query.id == "q1")
        evaluation = evaluate({"chain": router}, table)
        result = evaluation.routers["chain"]
        assert (result.accuracy, result.refused, result.unanswered, result.n_measured) == (0.5, 1, 1, 4)
        assert any("refused 1 queries" in note for note in evaluation.notes)

    def test_a_late_refusal_has_cost_what_it_cost(self, table: OutcomeTable) -> None:
        router = ChainRouter(B, C, refuses=lambda query, calls: query.id == "q1" and calls == 1)
        runs = evaluate({"chain": router}, table).runs["chain"]
        assert (runs.score[0], runs.cost[0], runs.calls[0]) == (0.0, pytest.approx(0.003), 1.0)

    def test_difference_to_the_best_single_pair(self, table: OutcomeTable) -> None:
        evaluation = evaluate({"a": SinglePairRouter(A), "b": SinglePairRouter(B)}, table)
        versus = evaluation.routers["a"].versus_best_single
        assert versus is not None
        assert (versus.difference, versus.n_queries) == (pytest.approx(-0.25), 4)
        assert versus.ci95[0] <= -0.25 <= versus.ci95[1]
        same = evaluation.routers["b"].versus_best_single
        assert same is not None
        assert same.ci95 == (0.0, 0.0)
        assert evaluation.compare("a", "b") == versus.replace(ci95=evaluation.compare("a", "best_single").ci95)

    def test_difference_to_the_mix_of_its_cost(self, table: OutcomeTable) -> None:
        # b twice costs $6 for 1000: more than b, so the mix is b alone; a then a costs $2: half a, half b
        evaluation = evaluate({"aa": ChainRouter(A, A), "bb": ChainRouter(B, B)}, table)
        half = evaluation.routers["aa"].versus_mix
        assert half is not None
        assert (half.pairs, half.shares) == (("a@@none", "b@@search"), (pytest.approx(0.5), pytest.approx(0.5)))
        assert half.accuracy == pytest.approx(0.625)
        assert half.cost_usd_per_1k == pytest.approx(2.0)
        assert half.versus.difference == pytest.approx(0.5 - 0.625)
        alone = evaluation.routers["bb"].versus_mix
        assert alone is not None
        assert (alone.pairs, alone.shares, alone.cost_usd_per_1k) == (("b@@search",), (1.0,), pytest.approx(3.0))

    def test_one_routers_settings_are_a_family(self, table: OutcomeTable) -> None:
        evaluation = evaluate({"dir?x=1": SinglePairRouter(A), "dir?x=2": SinglePairRouter(B)}, table)
        assert evaluation.aiq_by_family["dir"] == pytest.approx(6.5 / 9)  # the same points as the pairs' hull
        assert evaluation.aiq(["dir?x=1"], low=0.0, high=2.0) == pytest.approx((0.25 + 0.5) / 2)

    def test_robustness_only_when_asked_for(self, table: OutcomeTable) -> None:
        assert evaluate({"a": SinglePairRouter(A)}, table).routers["a"].robustness is None
        assert evaluate({"a": SinglePairRouter(A)}, table, edits=2).routers["a"].robustness == 1.0

    def test_progress_reaches_the_end(self, table: OutcomeTable) -> None:
        seen: list[tuple[int, int]] = []
        evaluate({"a": SinglePairRouter(A), "b": SinglePairRouter(B)}, table, progress=lambda *at: seen.append(at))
        assert seen == [(number, 8) for number in range(1, 9)]

    @pytest.mark.parametrize("bad", [{"n_bootstrap": 0}, {"max_turns": 0}, {"edits": -1}])
    def test_refuses_bad_settings(self, table: OutcomeTable, bad: dict[str, int]) -> None:
        with pytest.raises(SettingError, match=next(iter(bad))):
            evaluate({}, table, **bad)  # type: ignore[arg-type]

    def test_names_an_unknown_router(self, table: OutcomeTable) -> None:
        with pytest.raises(SettingError, match="no router or baseline 'orakle'"):
            evaluate({}, table).compare("random", "orakle")
