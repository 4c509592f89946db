"""What pairs with many outcomes tell of pairs with few."""

from __future__ import annotations

import numpy as np
import pytest

from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.arrays import sigmoid
from langchain_atlas.routers.policy.experience.memory import AnswerMatrix, Memory
from langchain_atlas.routers.policy.experience.nearby_statistics import NearbyStatistics
from langchain_atlas.routers.policy.experience.pair_statistics import (
    PairStatistics,
    agreement_by_success,
    eased,
    luck_of_probes,
    settled_pairs,
)

NAN = float("nan")


def memory_of(scores: list[list[float]]) -> Memory:
    """Remember scores of queries that lie on a line, half a unit apart."""
    values = np.array(scores, dtype=np.float32)
    n, n_pairs = values.shape
    none = np.full((n, n_pairs), -1)
    outcomes = OutcomeMatrix(
        pairs=tuple(Pair(f"m{number}") for number in range(n_pairs)),
        domains=("one",) * n,
        scores=values,
        costs=np.full((n, n_pairs), 0.001, dtype=np.float32),
        latencies=np.full((n, n_pairs), 1.0, dtype=np.float32),
    )
    vectors = np.column_stack([0.5 * np.arange(n), np.zeros(n)]).astype(np.float32)
    return Memory(outcomes, AnswerMatrix(none.astype(np.int64), none.astype(np.int16)), vectors)


def record_of(memory: Memory) -> PairStatistics:
    return PairStatistics.of(memory, memory.recorded)


def half_easy(newcomer: list[float]) -> Memory:
    """Two pairs that solve the first twenty queries and fail the other twenty, and one with few outcomes."""
    settled = [[1.0, 1.0]] * 20 + [[0.0, 0.0]] * 20
    return memory_of([[*row, one] for row, one in zip(settled, newcomer, strict=True)])


def test_pairs_with_more_than_half_of_the_most_outcomes_are_settled() -> None:
    assert settled_pairs(np.array([100, 51, 50, 0])).tolist() == [True, True, False, False]
    assert settled_pairs(np.array([0, 0])).tolist() == [True, True]


def test_luck_is_how_much_easier_the_probes_were() -> None:
    scores = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    known = np.array([[True, True, True], [True, True, True], [True, True, False], [True, True, False]])
    # the settled pairs score 3/8 on all four queries, and 3/4 on the two that the newcomer was asked
    luck = luck_of_probes(scores, known, np.array([True, True, False]))
    assert luck.tolist() == [0.0, 0.0, pytest.approx(0.375)]


def test_easy_probes_count_for_less_than_hard_ones() -> None:
    easy = record_of(half_easy([1.0] * 8 + [NAN] * 32))
    hard = record_of(half_easy([NAN] * 32 + [1.0] * 8))
    assert sigmoid(hard.success)[2] - sigmoid(easy.success)[2] > 0.3


def test_a_newcomer_that_is_right_more_often_agrees_more_with_right_answers() -> None:
    settled = np.array([True, True, False])
    right, wrong = agreement_by_success((0.6, 0.2), np.array([0.5, 0.5, 0.75]), settled)
    assert right[0].tolist() == [0.6, 0.6, pytest.approx(0.9)]
    assert wrong[0].tolist() == [0.2, 0.2, pytest.approx(0.1)]
    assert right[2].tolist() == [0.6, 0.6, pytest.approx(0.9)]


def test_a_query_that_is_easy_for_settled_pairs_is_taken_to_be_easier_for_a_newcomer() -> None:
    memory = half_easy([1.0, NAN, NAN, NAN] * 10)
    near = NearbyStatistics.of(memory.vectors[[2, 37]], memory, record_of(memory), memory.recorded)
    assert near.ease[0] > 0 > near.ease[1]
    assert near.success_near[0, 2] > near.success_near[1, 2]  # though it was right wherever it was asked


def test_where_all_pairs_are_settled_nothing_is_moved() -> None:
    near, count = np.array([[0.3, -0.2]], dtype=np.float32), np.array([9.0, 5.0], dtype=np.float32)
    settled = settled_pairs(count)
    np.testing.assert_array_equal(eased(near, np.array([2.0], dtype=np.float32), count, settled), near)
    usual = agreement_by_success((0.6, 0.2), np.array([0.9, 0.1]), settled)
    assert [part.tolist() for part in usual] == [[[0.6, 0.6]] * 2, [[0.2, 0.2]] * 2]
    assert luck_of_probes(np.ones((3, 2)), np.ones((3, 2), dtype=bool), settled).tolist() == [0.0, 0.0]
