"""What profiling says before it starts, where it stops, and what it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from provider import reach, serve

from langchain_atlas import LiveExecutor, Pool
from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.profiling.profile import profile
from langchain_atlas.evaluation.profiling.queries import CheckableQuery
from langchain_atlas.outcomes import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fixture_types import Reach, Serve

    from langchain_atlas.evaluation.profiling.plan import ProfilePlan

__all__ = ["reach", "serve"]

SUMS = tuple(
    CheckableQuery.of(f"What is {n} + 1?", id=f"sum-{n}", domain="sums", answer=n + 1, scorer="numeric")
    for n in range(10)
)
REPLY = {"content": "1", "usage": {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}}
RUN_USD = 1e-4


@pytest.fixture
def pool(serve: Serve, reach: Reach) -> Pool:
    return Pool(models=(reach(serve(REPLY), input_cost_per_token=1e-6, output_cost_per_token=1e-6),))


@pytest.fixture
def cache() -> Iterator[None]:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


def test_a_limit_stops_it_and_what_is_there_is_kept(pool: Pool, tmp_path: Path) -> None:
    out = tmp_path / "table.parquet"
    report = profile(pool, SUMS, out, concurrency=1, max_cost_usd=2.5 * RUN_USD)
    assert (report.run_now, report.left) == (3, 7)
    assert report.stopped == "the limit of $0.00025 is reached"
    assert len(OutcomeTable.load(out)) == 3
    rest = profile(pool, SUMS, out, concurrency=4, max_cost_usd=1.0)
    assert (rest.done_before, rest.run_now, rest.left, rest.stopped) == (3, 7, 0, "")


def test_a_limit_is_passed_by_no_more_than_the_runs_under_way(pool: Pool, tmp_path: Path) -> None:
    report = profile(pool, SUMS, tmp_path / "table.parquet", concurrency=4, max_cost_usd=2.5 * RUN_USD)
    assert 3 <= report.run_now <= 3 + 3
    assert report.left == 10 - report.run_now


def test_a_limit_of_nothing_runs_nothing(pool: Pool, tmp_path: Path) -> None:
    report = profile(pool, SUMS, tmp_path / "table.parquet", max_cost_usd=0)
    assert report.run_now == 0
    with pytest.raises(SettingError, match="max_cost_usd is -1"):
        profile(pool, SUMS, tmp_path / "table.parquet", max_cost_usd=-1)


def test_a_limit_that_can_not_be_kept_ends_it(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    unknown = Pool(models=(reach(serve({"content": "1", "usage": None})),))
    report = profile(unknown, SUMS, tmp_path / "table.parquet", concurrency=1, max_cost_usd=1.0)
    assert report.run_now == 1
    assert "unknown" in report.stopped


def test_runs_without_a_count_are_counted_as_expected(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    uncounted = Pool(models=(reach(serve({"content": "1", "usage": {}}), **prices),))
    report = profile(uncounted, SUMS, tmp_path / "table.parquet", concurrency=1, max_cost_usd=1e-3)
    assert 1 < report.run_now < 10
    assert report.cost_usd is None
    assert report.unpriced == report.run_now


def test_it_is_said_before_what_it_takes(pool: Pool, serve: Serve, reach: Reach, tmp_path: Path) -> None:
    plans: list[ProfilePlan] = []

    def only_plan(plan: ProfilePlan) -> bool:
        plans.append(plan)
        return False

    both = pool.extend(models=[reach(serve("1"), "unpriced")])
    report = profile(both, SUMS, tmp_path / "table.parquet", on_plan=only_plan)
    assert report.run_now == 0
    (plan,) = plans
    assert (plan.runs, plan.calls, plan.unpriced) == (20, 20, ("unpriced@@none",))
    assert plan.cost_usd is not None
    assert 0.5 * 10 * RUN_USD < plan.cost_usd < 10 * 10 * RUN_USD
    assert "20 runs are left: about 20 model calls, for about $" in str(plan)
    profile(pool, SUMS[:5], tmp_path / "table.parquet")
    profile(pool, SUMS, tmp_path / "table.parquet", on_plan=only_plan)
    assert plans[1].cost_usd == pytest.approx(5 * RUN_USD), "recorded runs tell better"


@pytest.mark.usefixtures("cache")
def test_cached_replies_are_not_billed_again(pool: Pool, tmp_path: Path) -> None:
    executor = LiveExecutor(pool)
    first = profile(pool, SUMS, tmp_path / "first.parquet", executor)
    again = profile(pool, SUMS, tmp_path / "again.parquet", executor)
    assert first.cost_usd == pytest.approx(10 * RUN_USD)
    assert again.cost_usd == 0
    costs: Any = OutcomeTable.load(tmp_path / "again.parquet").matrix("cost_usd")
    assert costs.sum() == pytest.approx(10 * RUN_USD), "a router must not take the pair to be free"
