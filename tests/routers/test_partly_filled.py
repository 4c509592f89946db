"""Routers fitted to tables in which pairs ran on different queries."""

from __future__ import annotations

import numpy as np
import pytest

from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.cluster.statistics import ClusterStatistics, overall_success
from langchain_atlas.routers.utility.guard import most_accurate

PAIRS = (Pair("usual"), Pair("better"))
HARD, EASY = 0, 1


def statistics(*, n_easy_better: int) -> ClusterStatistics:
    """Return 100 hard and 100 easy queries: usual is right on 20 and 80, better on 30, and on 90% of some easy ones."""
    scores = np.full((200, 2), np.nan)
    scores[:, 0] = [*([1] * 20 + [0] * 80), *([1] * 80 + [0] * 20)]
    scores[:100, 1] = [1] * 30 + [0] * 70
    scores[100 : 100 + n_easy_better, 1] = np.arange(n_easy_better) % 10 != 0
    nothing = np.full(scores.shape, np.nan)
    matrix = OutcomeMatrix(PAIRS, ("",) * 200, scores, nothing, nothing)
    return ClusterStatistics.of(matrix, np.repeat([HARD, EASY], 100), 2)


@pytest.mark.parametrize("n_easy_better", [0, 10, 50, 100])
def test_a_pair_that_ran_mostly_in_the_hard_cluster_is_still_the_better_one(n_easy_better: int) -> None:
    sums = statistics(n_easy_better=n_easy_better)
    usual, better = overall_success(sums, 5.0)
    assert usual == pytest.approx(0.5, abs=0.01)
    assert 0.52 < better < 0.65
    estimates = sums.estimates(5.0).success
    assert estimates[HARD, 1] > estimates[HARD, 0]
    assert estimates[EASY, 1] > estimates[EASY, 0], "where it never ran, it has the cluster's ease"
    assert estimates[EASY, 1] < 0.95


def test_where_all_ran_on_the_same_queries_nothing_is_adjusted() -> None:
    sums = statistics(n_easy_better=100)
    # (50 + 5 * 0.55) / 105 and (120 + 5 * 0.55) / 205: as before there were adjustments.
    np.testing.assert_allclose(overall_success(sums, 5.0), [(100 + 2.75) / 205, (120 + 2.75) / 205])


def test_the_default_pair_is_compared_at_the_same_ease() -> None:
    random = np.random.default_rng(0)
    ease = np.repeat([-0.3, 0.3], 200)
    scores = (random.random((400, 4)) < np.array([0.5, 0.52, 0.54, 0.66]) + ease[:, None]).astype(float)
    scores[260:, 3] = np.nan
    assert np.nanmean(scores[:, 3]) < np.nanmean(scores[:, 2])
    assert most_accurate(scores) == 3
