"""Sums of outcomes by cluster and pair, and the estimates made from them; all numbers are worked out by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import row, table_of

from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.cluster.statistics import ClusterStatistics, overall_success
from langchain_atlas.routers.utility.estimates import scaled

A, B, C = Pair("a"), Pair("b"), Pair("c")
NAN = float("nan")


def statistics(
    count: list[list[float]],
    success: list[list[float]],
    cost: list[list[float]] | None = None,
    cost_count: list[list[float]] | None = None,
) -> ClusterStatistics:
    """Make statistics of pairs a, b, ... with the latency of a call always 2 seconds."""
    counts = np.array(count, dtype=float)
    return ClusterStatistics(
        pairs=(A, B, C)[: counts.shape[1]],
        count=counts,
        success=np.array(success, dtype=float),
        cost=np.zeros_like(counts) if cost is None else np.array(cost, dtype=float),
        cost_count=counts if cost_count is None else np.array(cost_count, dtype=float),
        latency=2 * counts,
        latency_count=counts,
    )


class TestSums:
    TABLE = table_of(
        row("q1", "a", 1.0, 0.001, latency_s=1.0),
        row("q1", "b", 0.0, 0.004, latency_s=2.0),
        row("q2", "a", 0.5, None, latency_s=3.0),
        row("q3", "a", None, 0.003, latency_s=None),
        row("q3", "b", 1.0, 0.006, latency_s=4.0),
    )

    def test_outcomes_add_up_by_cluster_and_pair(self) -> None:
        sums = ClusterStatistics.of(OutcomeMatrix.of(self.TABLE), np.array([0, 0, 1]), 2)
        assert sums.pairs == (A, B)
        np.testing.assert_array_equal(sums.count, [[2, 1], [0, 1]])
        np.testing.assert_array_equal(sums.success, [[1.5, 0], [0, 1]])
        np.testing.assert_array_equal(sums.cost_count, [[1, 1], [1, 1]])
        np.testing.assert_allclose(sums.cost, [[0.001, 0.004], [0.003, 0.006]])
        np.testing.assert_array_equal(sums.latency_count, [[2, 1], [0, 1]])
        np.testing.assert_allclose(sums.latency, [[4, 2], [0, 4]])

    def test_a_cluster_without_queries_is_all_zero(self) -> None:
        sums = ClusterStatistics.of(OutcomeMatrix.of(self.TABLE), np.array([0, 0, 2]), 3)
        for array in sums.arrays().values():
            assert array.shape == (3, 2)
            np.testing.assert_array_equal(array[1], [0, 0])

    def test_sums_of_parts_are_the_sums_of_the_whole(self) -> None:
        whole = ClusterStatistics.of(OutcomeMatrix.of(self.TABLE), np.array([0, 0, 1]), 2)
        first = ClusterStatistics.of(OutcomeMatrix.of(self.TABLE.select(query_ids=["q1"])), np.array([0]), 2)
        rest = ClusterStatistics.of(OutcomeMatrix.of(self.TABLE.select(query_ids=["q2", "q3"])), np.array([0, 1]), 2)
        added = first + rest
        assert added.pairs == whole.pairs
        for name, array in whole.arrays().items():
            np.testing.assert_allclose(added.arrays()[name], array)

    def test_pairs_of_either_side_are_kept(self) -> None:
        added = statistics([[3, 4]], [[1, 2]]) + ClusterStatistics(
            pairs=(C, B), **{name: np.array([[5.0, 6.0]]) for name in statistics([[1]], [[1]]).arrays()}
        )
        assert added.pairs == (A, B, C)
        np.testing.assert_array_equal(added.count, [[3, 4 + 6, 5]])
        np.testing.assert_array_equal(added.success, [[1, 2 + 6, 5]])

    def test_pairs_can_be_chosen_and_put_in_order_and_a_new_one_starts_empty(self) -> None:
        chosen = statistics([[3, 4]], [[1, 2]]).with_pairs((B, C, A))
        np.testing.assert_array_equal(chosen.count, [[4, 0, 3]])
        np.testing.assert_array_equal(chosen.success, [[2, 0, 1]])


class TestShrinkage:
    SUMS = statistics(count=[[4, 4], [4, 4]], success=[[1, 3], [3, 4]])

    def test_without_strength_it_is_the_share_that_was_right(self) -> None:
        np.testing.assert_allclose(self.SUMS.estimates(0).success, [[0.25, 0.75], [0.75, 1.0]])

    def test_few_outcomes_lean_on_the_pairs_overall_record(self) -> None:
        # Records over both clusters: a is right 4 of 8 = 0.5, b 7 of 8 = 0.875; their mean is 0.6875.
        # Overall, each leans on that mean as on 10 outcomes:
        #   a: (4 + 10 * 0.6875) / 18 = 10.875 / 18 = 0.6041667;  b: (7 + 6.875) / 18 = 0.7708333.
        # In the clusters, each leans on its overall record as on 10 outcomes:
        #   a: (1 + 6.041667) / 14 = 0.5029762 and (3 + 6.041667) / 14 = 0.6458333
        #   b: (3 + 7.708333) / 14 = 0.7648810 and (4 + 7.708333) / 14 = 0.8363095
        np.testing.assert_allclose(overall_success(self.SUMS, 10), [0.6041667, 0.7708333], atol=1e-7)
        found = self.SUMS.estimates(10)
        np.testing.assert_allclose(found.success, [[0.5029762, 0.7648810], [0.6458333, 0.8363095]], atol=1e-7)
        np.testing.assert_allclose(found.solved, [[7.041667, 10.708333], [9.041667, 11.708333]], atol=1e-6)
        np.testing.assert_allclose(found.solved + found.failed, np.full((2, 2), 14.0))

    def test_a_cell_without_outcomes_is_the_overall_record(self) -> None:
        # a: 4 of 4 there, none here; b: 2 of 4 there. Mean of a and b: 0.75.
        # With strength 4, a overall: (4 + 4 * 0.75) / 8 = 0.875.
        sums = statistics(count=[[4, 4], [0, 4]], success=[[4, 2], [0, 2]])
        assert sums.estimates(4).success[1, 0] == pytest.approx(0.875)
        assert sums.estimates(0).success[1, 0] == pytest.approx(1.0)

    def test_a_pair_without_any_outcome_is_expected_to_be_like_the_others(self) -> None:
        # a is right 1 of 4, b 3 of 4; c was never run: the mean, 0.5.
        sums = statistics(count=[[4, 4, 0]], success=[[1, 3, 0]])
        for strength in (0, 10):
            assert sums.estimates(strength).success[0, 2] == pytest.approx(0.5)

    def test_with_no_outcome_at_all_everything_is_even(self) -> None:
        sums = statistics(count=[[0, 0]], success=[[0, 0]])
        for strength in (0, 10):
            np.testing.assert_allclose(sums.estimates(strength).success, [[0.5, 0.5]])

    @given(st.data())
    def test_more_strength_moves_an_estimate_towards_the_overall_record(self, data: st.DataObject) -> None:
        count = data.draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4))
        success = [tuple(data.draw(st.floats(0, most)) for most in counts) for counts in count]
        sums = statistics([list(counts) for counts in count], [list(solved) for solved in success])
        for strength in (0.0, 0.5, 10.0, 1e6):
            found = sums.estimates(strength)
            assert ((found.success >= 0) & (found.success <= 1 + 1e-9)).all()
        far = sums.estimates(1e6).success
        np.testing.assert_allclose(far, np.broadcast_to(overall_success(sums, 1e6), far.shape), atol=1e-4)

    def test_estimates_are_made_once_for_a_strength(self) -> None:
        sums = statistics([[4, 4]], [[1, 3]])
        assert sums.estimates(10) is sums.estimates(10)
        assert sums.estimates(10) is not sums.estimates(5)


class TestCost:
    def test_it_is_the_mean_of_the_cell_or_else_of_the_pair(self) -> None:
        # a: 0.012 over 4 calls = 0.003 here; none there: all its calls together, 0.003.
        # b: 0.004 over 4 = 0.001 here, 0.010 over 2 = 0.005 there.
        sums = statistics(
            count=[[4, 4], [0, 2]],
            success=[[1, 1], [0, 1]],
            cost=[[0.012, 0.004], [0.0, 0.010]],
        )
        found = sums.estimates(10)
        np.testing.assert_allclose(found.cost, [[0.003, 0.001], [0.003, 0.005]])
        # Scaled over the pool: divided by its highest, 0.005.
        np.testing.assert_allclose(found.scaled_cost, [[0.6, 0.2], [0.6, 1.0]])
        np.testing.assert_allclose(found.latency, [[2, 2], [2, 2]])
        np.testing.assert_allclose(found.scaled_latency, np.ones((2, 2)))

    def test_what_is_unknown_stays_unknown_and_counts_as_the_highest(self) -> None:
        sums = statistics([[4, 4]], [[1, 1]], cost=[[0.0, 0.004]], cost_count=[[0, 4]])
        found = sums.estimates(10)
        np.testing.assert_array_equal(found.cost, [[NAN, 0.001]])
        np.testing.assert_array_equal(found.scaled_cost, [[1.0, 1.0]])

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([0.0, 2.0, 4.0], [0.0, 0.5, 1.0]),
            ([NAN, 2.0, 4.0], [1.0, 0.5, 1.0]),
            ([0.0, 0.0], [0.0, 0.0]),
            ([NAN, 0.0], [1.0, 0.0]),  # free is free, whatever another's price
            ([NAN, NAN], [1.0, 1.0]),
        ],
    )
    def test_scaling(self, values: list[float], expected: list[float]) -> None:
        np.testing.assert_allclose(scaled(np.array(values)), expected)


@given(st.permutations(range(6)), st.integers(1, 5))
def test_the_order_of_learning_does_not_matter(order: list[int], cut: int) -> None:
    rows = [
        row(f"q{number}", pair, score, 0.25 * score)
        for number, (pair, score) in enumerate(itertools.product(["a", "b"], [0.0, 0.5, 1.0]))
    ]
    clusters = [0, 1, 0, 1, 1, 0]

    def of(numbers: list[int]) -> ClusterStatistics:
        outcomes = OutcomeMatrix.of(table_of(*(rows[number] for number in numbers)))
        return ClusterStatistics.of(outcomes, np.array([clusters[number] for number in numbers]), 2)

    whole = of(list(range(6)))
    parts = (of(order[:cut]) + of(order[cut:])).with_pairs(whole.pairs)
    for name, array in whole.arrays().items():
        np.testing.assert_allclose(parts.arrays()[name], array)
