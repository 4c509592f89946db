"""Metrics, against numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.replay import metrics
from langchain_atlas.evaluation.replay.bootstrap import accuracy_interval, bootstrap_means, paired_difference
from langchain_atlas.evaluation.replay.frontier import (
    average_quality,
    convex_hull,
    hull_quality,
    mix_at,
    pareto_frontier,
)

NAN = float("nan")

# Four routers, cost in dollars and quality. (2, 0.6) lies under the line from (1, 0.5) to (3, 0.9), which is at 0.7
# there; (5, 0.8) costs more than (3, 0.9) and is worse.
COSTS, QUALITIES = [5.0, 2.0, 1.0, 3.0], [0.8, 0.6, 0.5, 0.9]


class TestFrontier:
    def test_keeps_what_nothing_beats_cheapest_first(self) -> None:
        assert pareto_frontier(COSTS, QUALITIES).tolist() == [2, 1, 3]

    def test_hull_drops_what_a_mix_beats(self) -> None:
        assert convex_hull(COSTS, QUALITIES).tolist() == [2, 3]

    def test_leaves_out_what_is_unknown_and_keeps_the_first_of_equals(self) -> None:
        costs, qualities = [NAN, 1.0, 1.0, 0.5], [1.0, 0.5, 0.5, NAN]
        assert pareto_frontier(costs, qualities).tolist() == [1]
        assert convex_hull(costs, qualities).tolist() == [1]

    def test_hull_between_left_and_right_of_its_corners(self) -> None:
        # from (0, 0) to (1, 0.5), to (3, 0.9), then level
        read = hull_quality(COSTS, QUALITIES, [0.0, 0.5, 1.0, 2.0, 3.0, 100.0])
        assert read.tolist() == pytest.approx([0.0, 0.25, 0.5, 0.7, 0.9, 0.9])

    def test_a_free_point_needs_no_line_from_nothing(self) -> None:
        assert hull_quality([0.0, 1.0], [0.4, 0.6], [0.0, 0.5]).tolist() == pytest.approx([0.4, 0.5])

    def test_aiq_over_the_points_own_range(self) -> None:
        # 1 to 3: 2 wide, mean (0.5 + 0.9) / 2 = 0.7, area 1.4; 3 to 5: 2 wide at 0.9, area 1.8.
        # (1.4 + 1.8) / (5 - 1) = 0.8
        assert average_quality(COSTS, QUALITIES) == pytest.approx(0.8)

    def test_aiq_over_a_given_range(self) -> None:
        # 0 to 1: 1 wide, mean 0.25, area 0.25; with 3.2 from above: 3.45 / 5 = 0.69
        assert average_quality(COSTS, QUALITIES, low=0.0, high=5.0) == pytest.approx(0.69)
        # 2 to 4: 1 wide from 0.7 to 0.9, area 0.8; 1 wide at 0.9, area 0.9: 1.7 / 2 = 0.85
        assert average_quality(COSTS, QUALITIES, low=2.0, high=4.0) == pytest.approx(0.85)

    def test_aiq_of_one_point_is_its_quality(self) -> None:
        assert average_quality([2.0], [0.75]) == 0.75

    def test_aiq_refuses_what_has_no_range(self) -> None:
        with pytest.raises(SettingError, match="must begin at 0"):
            average_quality(COSTS, QUALITIES, low=3.0, high=2.0)
        with pytest.raises(SettingError, match="No cost is known"):
            average_quality([NAN], [0.5])
        with pytest.raises(SettingError, match="no frontier"):
            hull_quality([NAN], [0.5], 1.0)

    def test_mix_matches_the_cost(self) -> None:
        # 2.5 lies three quarters of the way from 1 to 3
        mix = mix_at(COSTS, QUALITIES, 2.5)
        assert (mix.cheap, mix.dear, mix.dear_share) == (2, 3, pytest.approx(0.75))

    @pytest.mark.parametrize(("cost", "point"), [(0.5, 2), (1.0, 2), (4.0, 3)])
    def test_mix_outside_the_hull_is_its_end(self, cost: float, point: int) -> None:
        mix = mix_at(COSTS, QUALITIES, cost)
        assert (mix.cheap, mix.dear, mix.dear_share) == (point, point, 1.0)

    def test_mix_needs_a_point(self) -> None:
        with pytest.raises(SettingError, match="nothing to mix"):
            mix_at([NAN], [0.5], 1.0)

    @given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=12))
    def test_hull_is_above_every_point_and_concave(self, points: list[tuple[int, int]]) -> None:
        costs, qualities = np.array(points, dtype=float).T
        assert (hull_quality(costs, qualities, costs) >= qualities - 1e-9).all()
        corners = convex_hull(costs, qualities)
        slopes = np.diff(qualities[corners]) / np.diff(costs[corners])
        assert (slopes > 0).all()
        assert (np.diff(slopes) < 0).all()


class TestTwoModels:
    # Weak 0.5, strong 0.9: a gap of 0.4. A quarter of strong calls reaches 0.7, half 0.8:
    # PGR is 0.2 / 0.4 = 0.5 and 0.3 / 0.4 = 0.75.
    SHARES, QUALITIES = (0.5, 0.25), (0.8, 0.7)

    def test_gap_recovered(self) -> None:
        gap = metrics.performance_gap_recovered([0.5, 0.7, 0.9, 1.0], weak=0.5, strong=0.9)
        assert gap.tolist() == pytest.approx([0.0, 0.5, 1.0, 1.25])

    def test_apgr(self) -> None:
        # PGR 0, 0.5, 0.75, 1 at shares 0, 0.25, 0.5, 1:
        # 0.25 * 0.25 + 0.25 * 0.625 + 0.5 * 0.875 = 0.0625 + 0.15625 + 0.4375 = 0.65625
        value = metrics.average_gap_recovered(self.SHARES, self.QUALITIES, weak=0.5, strong=0.9)
        assert value == pytest.approx(0.65625)

    def test_apgr_of_a_coin_toss_is_a_half(self) -> None:
        assert metrics.average_gap_recovered([0.3], [0.62], weak=0.5, strong=0.9) == pytest.approx(0.5)
        assert metrics.average_gap_recovered([], [], weak=0.5, strong=0.9) == pytest.approx(0.5)

    @pytest.mark.parametrize(
        ("target", "share"),
        [
            (0.0, 0.0),
            (0.25, 0.125),  # half of the way to 0.5, which is at 0.25
            (0.5, 0.25),
            (0.8, 0.6),  # 0.05 of the 0.25 that are gained from 0.5 to 1: 0.5 + 0.2 * 0.5
            (1.0, 1.0),
        ],
    )
    def test_cpt(self, target: float, share: float) -> None:
        value = metrics.call_performance_threshold(target, self.SHARES, self.QUALITIES, weak=0.5, strong=0.9)
        assert value == pytest.approx(share)

    def test_cpt_takes_the_first_crossing(self) -> None:
        # 0.75 of the gap at 0.2, back to 0.25 at 0.6: half of the gap is first reached at 0.2 * 0.5 / 0.75
        value = metrics.call_performance_threshold(0.5, [0.2, 0.6], [0.8, 0.6], weak=0.5, strong=0.9)
        assert value == pytest.approx(0.2 * 0.5 / 0.75)

    def test_refuses_what_makes_no_sense(self) -> None:
        with pytest.raises(SettingError, match="must be above"):
            metrics.average_gap_recovered([0.5], [0.7], weak=0.9, strong=0.9)
        with pytest.raises(SettingError, match="from 0 to 1"):
            metrics.average_gap_recovered([50], [0.7], weak=0.5, strong=0.9)
        with pytest.raises(SettingError, match="target"):
            metrics.call_performance_threshold(80, [0.5], [0.7], weak=0.5, strong=0.9)


class TestArenaScore:
    def test_by_hand(self) -> None:
        # cheapness (log2 16 - log2 4) / (log2 16 - log2 1) = (4 - 2) / 4 = 0.5
        # 1.1 * 0.8 * 0.5 / (0.1 * 0.8 + 0.5) = 0.44 / 0.58
        assert metrics.arena_score(0.8, 4.0, cost_max=16.0, cost_min=1.0) == pytest.approx(0.44 / 0.58)

    @pytest.mark.parametrize(
        ("accuracy", "cost", "score"), [(0.6809, 0.54, 0.6666), (0.6721, 2.06, 0.6387), (0.3201, 0.07, 0.3375)]
    )
    def test_gives_the_published_leaderboard(self, accuracy: float, cost: float, score: float) -> None:
        # Azure, CARROT and RouterDC as RouterArena published them; accuracy and cost are rounded there
        assert metrics.arena_score(accuracy, cost) == pytest.approx(score, abs=2e-3)

    def test_ends(self) -> None:
        assert metrics.arena_score(0.8, 1000.0) == 0.0
        assert metrics.arena_score(0.0, 1000.0) == 0.0
        assert metrics.arena_score(1.0, 0.0) == pytest.approx(1.0)
        assert metrics.arena_score(0.5, 0.0044) == pytest.approx(1.1 * 0.5 / 1.05)

    @pytest.mark.parametrize(
        "bad", [{"accuracy": 80.0}, {"cost_usd_per_1k": -1.0}, {"cost_min": 0.0}, {"cost_max": 0.001}, {"beta": 0.0}]
    )
    def test_refuses(self, bad: dict[str, float]) -> None:
        with pytest.raises(SettingError):
            metrics.arena_score(**{"accuracy": 0.8, "cost_usd_per_1k": 1.0, **bad})


class TestOptimality:
    # Four queries, two pairs at $1 and $3: both right, the dear one right, none right, the cheap one right.
    SCORES = np.array([[1, 1], [0, 1], [0, 0], [1, 0]], dtype=float)
    PRICES = np.array([[1, 3], [1, 3], [1, 3], [1, 3]], dtype=float)

    def of(self, answers: list[int], spent: list[float] | None = None) -> metrics.Optimality:
        answered = np.array(answers)
        rows = np.arange(4)
        scores = np.where(answered >= 0, self.SCORES[rows, answered], 0.0)
        costs = self.PRICES[rows, answered] if spent is None else np.array(spent, dtype=float)
        return metrics.optimality(scores, costs, answered, self.SCORES, self.PRICES)

    def test_always_the_dear_one(self) -> None:
        found = self.of([1, 1, 1, 1])
        assert found.selection == pytest.approx(1 / 3)  # the second of the three solvable ones
        assert found.cost == pytest.approx((1 + 3) / (3 + 3))  # the first two are answered rightly
        assert found.accuracy == pytest.approx(2 / 3)

    def test_the_oracle_is_optimal(self) -> None:
        found = self.of([0, 1, 0, 0])
        assert (found.selection, found.cost, found.accuracy) == (1.0, 1.0, 1.0)

    def test_calls_on_the_way_cost(self) -> None:
        found = self.of([0, 1, 0, 0], spent=[4, 4, 1, 1])
        assert found.cost == pytest.approx((1 + 3 + 1) / (4 + 4 + 1))
        assert found.selection == 1.0

    def test_no_answer_is_not_optimal(self) -> None:
        assert self.of([-1, 1, 0, 0], spent=[0, 3, 1, 1]).selection == pytest.approx(2 / 3)

    def test_unknown_costs_are_unknown(self) -> None:
        unknown = np.full((4, 2), NAN)
        found = metrics.optimality(self.SCORES[:, 0], unknown[:, 0], [0, 0, 0, 0], self.SCORES, unknown)
        assert (found.selection, found.cost) == (None, None)
        assert found.accuracy == pytest.approx(2 / 3)

    def test_what_is_not_measured_is_left_out(self) -> None:
        scores = np.array([NAN, 1.0, 0.0, 1.0])
        found = metrics.optimality(scores, [NAN, 3, 1, 1], [-1, 1, 0, 0], self.SCORES, self.PRICES)
        assert (found.selection, found.cost, found.accuracy) == (1.0, 1.0, 1.0)


class TestShares:
    def test_entropy(self) -> None:
        assert metrics.normalized_entropy([1.0, 0.0]) == 0.0
        assert metrics.normalized_entropy([0.25] * 4) == pytest.approx(1.0)
        # two of four pairs, half each: ln 2 / ln 4
        assert metrics.normalized_entropy([0.5, 0.5, 0.0, 0.0]) == pytest.approx(0.5)
        assert metrics.normalized_entropy([0.5, 0.5], choices=4) == pytest.approx(0.5)
        assert metrics.normalized_entropy([1.0]) == 0.0
        assert metrics.normalized_entropy([0.0, 0.0]) == 0.0

    def test_collapse_needs_a_choice(self) -> None:
        assert metrics.is_collapsed([0.95, 0.05])
        assert not metrics.is_collapsed([0.94, 0.06])
        assert metrics.is_collapsed([0.94, 0.06], at=0.9)
        assert not metrics.is_collapsed([1.0, 0.0], choices=1)
        assert not metrics.is_collapsed([0.0, 0.0])

    def test_regret_and_means_pass_over_what_is_unknown(self) -> None:
        assert metrics.regret([1.0, 0.0, NAN], [1.0, 1.0, 1.0]) == pytest.approx(0.5)
        assert metrics.known_mean([1.0, NAN, 3.0]) == 2.0
        assert metrics.known_mean([NAN]) is None


class TestBootstrap:
    def test_interval_has_the_width_of_the_binomial(self) -> None:
        scores = np.repeat([0.0, 1.0], [200, 800])
        low, high = accuracy_interval(scores, n_bootstrap=4000, seed=1)
        half = 1.96 * np.sqrt(0.8 * 0.2 / 1000)  # 0.0248
        assert (low, high) == (pytest.approx(0.8 - half, abs=0.003), pytest.approx(0.8 + half, abs=0.003))

    def test_same_seed_same_interval(self) -> None:
        scores = np.array([0.0, 1.0, 1.0, 0.5])
        assert accuracy_interval(scores, seed=3) == accuracy_interval(scores, seed=3)

    def test_columns_are_resampled_alike(self) -> None:
        scores = np.random.default_rng(0).random(50)
        means = bootstrap_means(np.stack([scores, scores + 1], axis=1))
        assert np.allclose(means[:, 1] - means[:, 0], 1)

    def test_pairing_narrows_the_difference(self) -> None:
        first = np.random.default_rng(0).random(200)
        found = paired_difference(first, first - 0.1)
        assert found.difference == pytest.approx(0.1)
        assert found.ci95 == (pytest.approx(0.1), pytest.approx(0.1))
        assert found.n_queries == 200

    def test_difference_looks_at_common_queries(self) -> None:
        found = paired_difference([1.0, NAN, 0.0], [0.0, 1.0, NAN])
        assert (found.difference, found.n_queries) == (1.0, 1)

    def test_missing_values_are_left_out_of_each_mean(self) -> None:
        means = bootstrap_means(np.array([[1.0], [NAN], [1.0]]), n_bootstrap=200)
        assert set(means[~np.isnan(means)].tolist()) == {1.0}

    def test_refuses(self) -> None:
        with pytest.raises(SettingError, match="n_bootstrap"):
            accuracy_interval([1.0], n_bootstrap=0)
        with pytest.raises(OutcomeError, match="at least one"):
            accuracy_interval([NAN])
