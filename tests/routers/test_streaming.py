"""A cluster router fitted part by part has counted every outcome, as one fitted on all of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from asking import sums

from langchain_atlas.evaluation.replay.runs import run_router
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.outcomes import OutcomeMatrix, OutcomeTable
from langchain_atlas.outcomes.parts import parted
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.cluster.statistics import SUMS, ClusterStatistics
from langchain_atlas.routers.cluster.streaming import fitted_on_parts
from langchain_atlas.testing import FakeEncoder

if TYPE_CHECKING:
    from pathlib import Path

TABLE = sums(count=400, domains=3)


def parts_of(table: OutcomeTable, count: int) -> list[OutcomeTable]:
    return [table.select(query_ids=table.query_ids[number::count]) for number in range(count)]


def fitted(table: OutcomeTable) -> ClusterRouter:
    return ClusterRouter(FakeEncoder(), n_clusters=3, random_state=0).fit(table)


@pytest.fixture(scope="module")
def router() -> ClusterRouter:
    first, *others = parts_of(TABLE, 3)
    return fitted_on_parts(fitted(first), others)


def test_its_sums_are_those_of_all_outcomes_in_its_clusters(router: ClusterRouter) -> None:
    first, *others = parts_of(TABLE, 3)
    began = fitted(first)
    for name in SUMS:
        expected = getattr(began.statistics_, name).copy()
        for part in others:
            rows = began.clusterings_.nearest(began._distances(part.queries))
            outcomes = OutcomeMatrix.of(part).with_pairs(router.pairs)
            expected += getattr(ClusterStatistics.of(outcomes, rows, len(expected)), name)
        np.testing.assert_allclose(getattr(router.statistics_, name), expected, err_msg=name)
    assert sum(cluster.queries for cluster in router.clusters_) == len(TABLE.query_ids)
    assert router.fitted_on is not None
    assert len(router.fitted_on) == len(fitted(TABLE).fitted_on)
    assert router.paired_.count[: router.clusterings_.sizes[0], router.paired_.default].sum() == len(TABLE.query_ids)


def test_the_trees_count_as_much_as_after_a_fit_on_everything(router: ClusterRouter) -> None:
    assert router.forest_.counts.tolist() == router.statistics_.outcomes.tolist()
    assert router.ridge_.counts.tolist() == fitted(TABLE).ridge_.counts.tolist()


def test_it_is_as_accurate_as_one_fitted_on_everything(router: ClusterRouter) -> None:
    executor = ReplayExecutor(TABLE)
    ours, theirs = (run_router(each.configure(cost_weight=0.0), executor) for each in (router, fitted(TABLE)))
    assert ours.score.mean() > theirs.score.mean() - 0.05


def test_the_router_that_it_began_with_does_not_change() -> None:
    first, *others = parts_of(TABLE, 3)
    before = fitted(first)
    count = before.statistics_.count.copy()
    fitted_on_parts(before, others)
    np.testing.assert_array_equal(before.statistics_.count, count)


def test_a_pair_that_only_a_later_part_has_is_learned_and_saved(tmp_path: Path) -> None:
    first, *others = parts_of(TABLE, 3)
    router = fitted_on_parts(fitted(first.select(pairs=first.pairs[:-1])), others)
    assert set(router.pairs) == set(TABLE.pairs)
    router.save(tmp_path / "router")
    loaded = Router.load(tmp_path / "router", FakeEncoder())
    assert loaded.decide(TABLE.queries[0]).pair == router.decide(TABLE.queries[0]).pair


def test_from_a_file_in_any_order_of_rows(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(TABLE))
    OutcomeTable(TABLE.table.take(order)).save(tmp_path / "large.parquet")
    with parted(tmp_path / "large.parquet", rows=len(TABLE) // 4) as parts:
        first, *others = parts
        router = fitted_on_parts(fitted(first), others)
    assert router.statistics_.outcomes.sum() == len(TABLE)
    assert router.paired_.count[: router.clusterings_.sizes[0], router.paired_.default].sum() == len(TABLE.query_ids)
