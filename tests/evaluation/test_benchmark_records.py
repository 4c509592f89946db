"""Evaluating on incomplete records, on real outcomes, and against the plain loop."""

import json
from pathlib import Path

import numpy as np
import pytest
from replaying import (
    GRID,
    A,
    B,
    C,
    ChainRouter,
    LetterEncoder,
    MuteRouter,
    assert_same_as_the_plain_loop,
    changed,
    table_of,
)

from langchain_atlas.errors import OutcomeError, PoolError
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.baselines import RandomRouter, SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.trajectory import START, Decision, Query, Trajectory


class TestIncompleteRecords:
    def test_a_pair_on_few_queries_does_not_win_by_luck(self) -> None:
        grid = {f"q{n}": ("d", [(n % 2, 0.001, None), (1, 0.0001, None) if n == 0 else None]) for n in range(10)}
        evaluation = evaluate({}, table_of(grid, (A, B)))
        assert evaluation.baselines["best_single"].pair_share == {"a@@none": 1.0}
        assert evaluation.baselines["cheapest"].pair_share == {"a@@none": 1.0}
        assert evaluation.pairs["b@@search"].coverage == pytest.approx(0.1)
        assert not evaluation.pairs["b@@search"].comparable
        assert any("1 of 2 pairs" in note for note in evaluation.notes)

    def test_where_no_pair_is_complete_the_best_covered_ones_compete(self) -> None:
        grid = {
            "q1": ("d", [(1, 0.001, None), None]),
            "q2": ("d", [(0, 0.001, None), None]),
            "q3": ("d", [None, (1, 0.002, None)]),
            "q4": ("d", [None, (1, 0.002, None)]),
        }
        evaluation = evaluate({}, table_of(grid, (A, B)))
        best = evaluation.baselines["best_single"]
        assert (best.pair_share, best.accuracy, best.n_measured) == ({"b@@search": 1.0}, 1.0, 2)

    def test_a_pair_left_out_for_gaps_is_filled_in(self) -> None:
        # a is right on three of four, b on all of the three it is recorded on: b, and a for the fourth, is right always
        grid = {f"q{n}": ("d", [(n != 1, 0.001, 1.0), (1, 0.002, 2.0) if n else None]) for n in range(4)}
        evaluation = evaluate({}, table_of(grid, (A, B)))
        assert evaluation.baselines["best_single"].accuracy == 0.75
        filled = evaluation.baselines["best_single_filled"]
        assert (filled.accuracy, filled.pair_share) == (1.0, {"b@@search": 0.75, "a@@none": 0.25})
        assert filled.cost_usd_per_1k == pytest.approx((1 + 2 + 2 + 2) / 4)
        assert "best_single_filled" not in evaluate({}, table_of(GRID)).baselines

    def test_chance_knows_what_is_recorded(self) -> None:
        evaluation = evaluate({}, table_of(changed("q1", [(0, 0.001, 1.0), (1, 0.003, 2.0), None])))
        random_scores = evaluation.baseline_runs["random"].score
        assert random_scores.tolist() == pytest.approx([1 / 2, 2 / 3, 2 / 3, 1 / 3])

    def test_a_router_calls_what_is_recorded_and_says_what_it_left_out(self) -> None:
        table = table_of(changed("q1", [None, None, (1, 0.010, 3.0)]))
        evaluation = evaluate({"a": SinglePairRouter(A), "any": RandomRouter([A, B, C])}, table)
        single, chance = evaluation.routers["a"], evaluation.routers["any"]
        assert (single.n_measured, single.accuracy, single.refused) == (3, pytest.approx(1 / 3), 0)
        assert single.accuracy == evaluation.pairs["a@@none"].accuracy
        assert (chance.n_measured, chance.refused) == (4, 0)
        assert evaluation.runs["any"].answered[0] == evaluation.recorded.pairs.index(C)
        assert any(note.startswith("a: left out 1 of 4 queries") for note in evaluation.notes)

    def test_a_router_that_takes_any_pair_is_told_what_is_recorded(self) -> None:
        seen = []

        class Listener(MuteRouter):
            def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
                seen.append(query.constraints.pairs)
                return super().decide(query, trajectory)

        evaluate({"listener": Listener()}, table_of(changed("q1", [None, None, (1, 0.010, 3.0)])))
        assert seen[0] == frozenset({C})

    def test_rows_without_a_score_are_not_recorded(self) -> None:
        rows = table_of(GRID).table.to_pylist()
        rows[0]["score"] = None  # a on q1
        evaluation = evaluate({}, OutcomeTable.from_rows(rows))
        assert evaluation.pairs["a@@none"].coverage == 0.75
        assert evaluation.baseline_runs["cheapest"].cost[0] == pytest.approx(0.003)  # a is no longer comparable

    def test_nothing_to_replay_is_an_error(self) -> None:
        table = table_of(GRID)
        with pytest.raises(PoolError, match="Router 'x'"):
            evaluate({"x": SinglePairRouter("zz@@none")}, table)
        rows = [{**row, "score": None if row["model"] == "a" else row["score"]} for row in table.table.to_pylist()]
        with pytest.raises(OutcomeError, match="no score of any pair"):
            evaluate({"x": SinglePairRouter(A)}, OutcomeTable.from_rows(rows))
        with pytest.raises(OutcomeError, match="no outcome with a score"):
            evaluate({}, OutcomeTable.from_rows([{**row, "score": None} for row in rows]))

    def test_a_query_without_any_score_is_passed_over(self) -> None:
        rows = [
            {**row, "score": None if row["query_id"] == "q4" else row["score"]}
            for row in table_of(GRID).table.to_pylist()
        ]
        evaluation = evaluate({"b": SinglePairRouter(B), "mute": MuteRouter()}, OutcomeTable.from_rows(rows))
        for result in (*evaluation.routers.values(), *evaluation.baselines.values()):
            assert result.n_measured == 3
        assert evaluation.n_queries == 4
        json.dumps(evaluation.to_json(), allow_nan=False)


class TestAgainstThePlainLoop:
    def test_routers_that_route_once_and_more_than_once(self) -> None:
        table = table_of(changed("q2", [(0, None, 1.0), None, (1, 0.010, None)]))
        cluster = ClusterRouter(LetterEncoder(), n_clusters=2, cost_weight=0.2).fit(table)
        for router in (cluster, RandomRouter([A, B, C]), ChainRouter(B, A, C)):
            assert_same_as_the_plain_loop(router, table)

    @pytest.mark.parametrize("name", ["bfcl_pairs", "reasoning_pairs"])
    def test_on_real_outcomes(self, shared_data: Path, name: str) -> None:
        table = OutcomeTable.load(shared_data / f"{name}.parquet")
        some = np.random.default_rng(0).choice(len(table.query_ids), 300, replace=False)
        table = table.select(query_ids=[table.query_ids[number] for number in some])
        router = ClusterRouter(LetterEncoder(), cost_weight=0.3).fit(table)
        assert_same_as_the_plain_loop(router, table)


class TestRealOutcomes:
    def test_incomplete_records_are_handled_and_said(self, shared_data: Path) -> None:
        table = OutcomeTable.load(shared_data / "reasoning_pairs.parquet")
        writers = [pair for pair in table.pairs if pair.tool == "solver+rationale"]
        evaluation = evaluate({"writers": RandomRouter(writers)}, table, n_bootstrap=100)
        best = evaluation.pairs["gpt-4-0314@@solver+rationale"]
        assert (best.coverage, best.comparable) == (pytest.approx(0.77, abs=0.01), False)
        single, filled = evaluation.baselines["best_single"], evaluation.baselines["best_single_filled"]
        assert next(iter(filled.pair_share)) == "gpt-4-0314@@solver+rationale"
        assert (filled.n_measured, filled.accuracy > single.accuracy) == (evaluation.n_queries, True)
        result = evaluation.routers["writers"]
        assert result.n_measured == evaluation.n_queries  # one of the writers is recorded everywhere
        assert result.refused == 0
        assert any("5 of 30 pairs" in note for note in evaluation.notes)
        assert any("best_single_filled" in note for note in evaluation.notes)

    def test_contract_of_the_json(self, shared_data: Path) -> None:
        table = OutcomeTable.load(shared_data / "routerbench.parquet")
        evaluation = evaluate({"random": RandomRouter(table.pairs)}, table, n_bootstrap=50)
        written = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
        fields = {
            "accuracy",
            "accuracy_ci95",
            "cost_usd_per_1k",
            "latency_s_mean",
            "calls_per_query",
            "per_domain",
            "pair_share",
        }
        assert {"best_single", "cheapest", "random", "oracle"} <= set(written["baselines"])
        for entry in (*written["routers"].values(), *written["baselines"].values()):
            assert fields <= set(entry)
            low, high = entry["accuracy_ci95"]
            assert 0 <= low <= entry["accuracy"] <= high <= 1
            assert sum(entry["pair_share"].values()) == pytest.approx(1.0)
            assert set(entry["per_domain"]) == set(table.domains)
        assert (written["n_queries"], written["n_pairs"]) == (len(table.query_ids), len(table.pairs))
        accuracies = [entry["accuracy"] for entry in written["pairs"].values()]
        assert written["baselines"]["best_single"]["accuracy"] == max(accuracies)
        assert written["routers"]["random"]["accuracy"] == pytest.approx(
            written["baselines"]["random"]["accuracy"], abs=0.03
        )
