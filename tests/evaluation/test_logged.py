"""Logs of one pair a query: what is estimated from them, how sure that is, and where it is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray
from one_pair_logs import two_poets
from recorded import row, table_of

from langchain_atlas.errors import OutcomeError
from langchain_atlas.evaluation.doctor.diagnosis import diagnose
from langchain_atlas.evaluation.logged.coverage import Coverage, must_estimate
from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.settings.crossvalidation import measure_router
from langchain_atlas.learning.training import check
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.testing import FakeEncoder, ScriptedRouter

ADA, BYRON = Pair("ada"), Pair("byron")


def right_choice(logged: LoggedOutcomes) -> NDArray[np.int64]:
    """Return the column of the better model on each question."""
    ada = logged.completed.pairs.index(ADA)
    return np.array([ada if domain == "maths" else 1 - ada for domain in logged.completed.domains])


def covers(score: NDArray[np.float64], truth: float) -> bool:
    return bool(abs(score.mean() - truth) <= 1.96 * score.std() / np.sqrt(len(score)))


class TestCoverage:
    def test_it_counts_what_can_be_replayed(self) -> None:
        scores = np.array([[1, 0, 1], [1, np.nan, np.nan], [np.nan, 0, np.nan], [np.nan] * 3], dtype=np.float64)
        found = Coverage.of(scores)
        assert (found.n_scored, found.n_alone, found.n_complete) == (3, 2, 1)
        assert found.pairs_per_query == pytest.approx(5 / 3)
        assert found.replayable == pytest.approx(1 / 3)
        assert must_estimate(scores)

    def test_outcomes_of_a_single_pair_are_no_log_of_several(self) -> None:
        assert not must_estimate(np.ones((50, 1)))
        assert not must_estimate(np.hstack([np.ones((50, 1)), np.full((50, 1), np.nan)]))


class TestEstimates:
    @pytest.mark.slow
    @pytest.mark.parametrize(("first", "noted"), [(0.5, False), (0.9, False), (0.9, True)])
    def test_intervals_cover_the_truth_in_nine_of_ten_draws(self, first: float, noted: bool) -> None:
        encoder, held = FakeEncoder(), []
        for seed in range(50):
            logged = LoggedOutcomes.of(two_poets(seed, first=first, noted=noted), encoder)
            score = logged.runs(right_choice(logged)).score
            ada = logged.runs(np.full(len(score), logged.completed.pairs.index(ADA))).score
            held.append((covers(score, 0.95), covers(ada, 0.5), covers(score - ada, 0.45)))
        assert np.mean(held, axis=0).min() >= 0.9

    def test_they_are_within_three_points_of_the_truth(self) -> None:
        logged = LoggedOutcomes.of(two_poets(0), FakeEncoder())
        columns = right_choice(logged)
        assert logged.runs(columns).score.mean() == pytest.approx(0.95, abs=0.03)
        assert logged.self_normalised(columns) == pytest.approx(0.95, abs=0.03)
        assert logged.effective_sample_size(columns) == pytest.approx(300, abs=30)

    def test_skewed_logs_say_less(self) -> None:
        logged = LoggedOutcomes.of(two_poets(0, first=0.9, noted=True), FakeEncoder())
        assert logged.propensities.source == "recorded"
        assert logged.propensities.doubtful == ()
        assert logged.effective_sample_size(right_choice(logged)) < 150

    def test_a_complete_table_is_left_as_it_is(self) -> None:
        rows = [
            row(f"q{n}", pair, float((n + place) % 3 == 0))
            for n in range(40)
            for place, pair in enumerate(("a@@none", "b@@none"))
        ]
        logged = LoggedOutcomes.of(table_of(*rows), FakeEncoder())
        assert np.allclose(logged.completed.scores.mean(axis=0), logged.recorded.scores.mean(axis=0))

    def test_propensities_that_do_not_match_the_log_are_noticed(self) -> None:
        table = two_poets(0, first=0.9)
        rows = table.table.to_pylist()
        wrong = OutcomeTable.from_rows([{**each, "propensity": 0.5} for each in rows])
        assert LoggedOutcomes.of(wrong, FakeEncoder()).propensities.doubtful == ("ada@@none", "byron@@none")

    def test_a_propensity_of_zero_is_refused(self) -> None:
        rows = [{**each, "propensity": 0.0} for each in two_poets(0, count=60).table.to_pylist()]
        with pytest.raises(OutcomeError, match="propensity"):
            LoggedOutcomes.of(OutcomeTable.from_rows(rows), FakeEncoder())

    def test_costs_of_calls_that_were_not_made_are_those_of_the_domain(self) -> None:
        rows = two_poets(0).table.to_pylist()
        for each in rows:
            each["cost_usd"] = {"maths": 0.001, "poems": 0.003}[each["domain"]]
        logged = LoggedOutcomes.of(OutcomeTable.from_rows(rows), FakeEncoder())
        assert logged.runs(right_choice(logged)).cost.mean() == pytest.approx(0.002)


class TestDoctor:
    def test_it_says_to_route_where_each_question_has_one_answer(self) -> None:
        found = diagnose(two_poets(0), encoder=FakeEncoder())
        assert found.verdict == "route"
        assert found.gain == pytest.approx(0.45, abs=0.05)
        assert found.gain_ci95 is not None
        assert found.gain_ci95[0] < 0.45 < found.gain_ci95[1]
        assert (found.estimated, found.method) == (True, "doubly robust")
        assert found.effective_sample_size == pytest.approx(300, abs=30)
        assert "one-pair-queries" in {finding.kind for finding in found.findings}
        assert found.reason.startswith("Estimated, not replayed: ")

    def test_it_names_a_pair_that_was_never_logged_on_a_domain(self) -> None:
        found = diagnose(two_poets(0, never=("ada", "poems")), encoder=FakeEncoder())
        finding = next(finding for finding in found.findings if finding.kind == "never-logged")
        assert finding.where == ("ada@@none on poems",)
        assert finding.severity == "missing"

    def test_where_no_domain_has_two_pairs_nothing_is_compared(self) -> None:
        rows = two_poets(0, first=1.0, count=120).table.to_pylist()
        for each in rows:
            each["model"] = {"maths": "ada", "poems": "byron"}[each["domain"]]
        found = diagnose(OutcomeTable.from_rows(rows), encoder=FakeEncoder())
        assert found.verdict == "too little data"
        assert "no domain were two pairs logged" in found.reason

    def test_questions_with_all_outcomes_among_them_count_as_they_are(self) -> None:
        """A hundred questions were profiled with both models, five hundred more are a log."""
        rows = two_poets(0).table.to_pylist()
        draw = np.random.default_rng(1)
        for each in rows[:100]:
            other = "byron" if each["model"] == "ada" else "ada"
            good = (other == "ada") == (each["domain"] == "maths")
            rows.append({**each, "model": other, "score": float(draw.random() < (0.95 if good else 0.05))})
        logged = LoggedOutcomes.of(OutcomeTable.from_rows(rows), FakeEncoder())
        assert (logged.coverage.n_alone, logged.coverage.n_complete) == (500, 100)
        assert logged.completed.scores[:100].min() >= -0.2
        assert covers(logged.runs(right_choice(logged)).score, 0.95)

    def test_two_pairs_that_are_alike_need_no_router(self) -> None:
        draw = np.random.default_rng(0)
        rows = [{**each, "score": float(draw.random() < 0.7)} for each in two_poets(0).table.to_pylist()]
        assert diagnose(OutcomeTable.from_rows(rows), encoder=FakeEncoder()).verdict != "route"


class TestFit:
    def test_a_router_learns_to_tell_the_domains_apart(self) -> None:
        table = two_poets(0)
        router = ClusterRouter(FakeEncoder()).fit(table)
        asked = [decision.pair == ADA for decision in router.decide_batch(table.queries)]
        maths = np.array(table.domains) == "maths"
        assert np.mean(np.array(asked) == maths) > 0.9

    def test_the_setting_that_is_chosen_routes(self) -> None:
        curve = measure_router(ClusterRouter(FakeEncoder()), two_poets(0))
        assert curve is not None
        assert curve.choice.always is None
        assert curve.choice.accuracy == pytest.approx(0.95, abs=0.05)


class TestEvaluate:
    def test_figures_say_that_they_are_estimated(self) -> None:
        table = two_poets(0)
        router = ClusterRouter(FakeEncoder()).fit(two_poets(1))
        found = evaluate({"router": router, "ada": SinglePairRouter(ADA)}, table)
        figures = found.to_json()
        assert figures["estimated"] is True
        assert figures["method"] == "doubly robust"
        assert figures["coverage"]["n_alone"] == 600
        mine = figures["routers"]["router"]
        assert mine["accuracy"] == pytest.approx(0.95, abs=0.05)
        assert mine["effective_sample_size"] > 250
        assert figures["effective_sample_size"] == min(
            each["effective_sample_size"] for each in figures["routers"].values()
        )
        assert figures["routers"]["ada"]["accuracy"] == pytest.approx(0.5, abs=0.06)
        assert {"best_single", "cheapest", "random", "oracle"} <= set(figures["baselines"])
        assert any("only" in note and "estimates" in note for note in found.notes)

    def test_a_pair_never_logged_on_a_domain_is_refused_by_name(self) -> None:
        table = two_poets(0, never=("ada", "poems"))
        with pytest.raises(OutcomeError, match="ada@@none on 'poems' \\(300 queries\\)"):
            evaluate({"ada": SinglePairRouter(ADA)}, table)
        found = evaluate({"byron": SinglePairRouter(BYRON)}, table)
        assert found.routers["byron"].accuracy == pytest.approx(0.5, abs=0.06)
        assert any("Never logged: ada@@none on 'poems'" in note for note in found.notes)

    def test_a_router_that_reads_answers_is_refused(self) -> None:
        with pytest.raises(OutcomeError, match="compares answers of several pairs"):
            evaluate({"reader": ScriptedRouter(ADA, BYRON)}, two_poets(0, count=60))

    def test_a_table_with_all_outcomes_is_replayed(self) -> None:
        rows = [row(f"q{n}", pair, 1.0) for n in range(30) for pair in ("a@@none", "b@@none")]
        assert "estimated" not in evaluate({"a": SinglePairRouter("a@@none")}, table_of(*rows)).to_json()


class TestTrain:
    def test_a_policy_that_compares_answers_is_not_trained_on_such_a_log(self) -> None:
        with pytest.raises(OutcomeError, match="recorded for one pair only"):
            check(two_poets(0, count=60), 0, 1)
