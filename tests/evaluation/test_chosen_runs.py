"""Profiling with a budget: which runs are made, what they cost, and what is said before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from provider import reach, serve

from langchain_atlas import Pool
from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.profiling.choosing import RunChooser
from langchain_atlas.evaluation.profiling.chosen_runs import Choosing
from langchain_atlas.evaluation.profiling.profile import profile
from langchain_atlas.evaluation.profiling.queries import CheckableQuery
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.testing import FakeEncoder, OpenAIServer
from langchain_atlas.testing.server import Failure

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_types import Reach, Serve
    from numpy.typing import NDArray

    from langchain_atlas.evaluation.profiling.plan import ProfilePlan

__all__ = ["reach", "serve"]

SUMS = tuple(
    CheckableQuery.of(f"What is {n} + 1?", id=f"sum-{n}", domain="sums", answer=n + 1, scorer="numeric")
    for n in range(60)
)
USAGE = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
RUN_USD = 1e-4


def right(body: dict[str, Any]) -> dict[str, Any]:
    question = body["messages"][-1]["content"]
    return {"content": str(int(question.split()[2]) + 1), "usage": USAGE}


def wrong(_: dict[str, Any]) -> dict[str, Any]:
    return {"content": "-1", "usage": USAGE}


class Providers:
    """Two servers, one always right and one always wrong, and a pool of both."""

    def __init__(self, serve: Serve, reach: Reach) -> None:
        self.servers: list[OpenAIServer] = [serve(right), serve(wrong)]
        prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
        models = [reach(server, name, **prices) for server, name in zip(self.servers, ("good", "bad"), strict=True)]
        self.pool = Pool(models=tuple(models))

    @property
    def calls(self) -> list[int]:
        return [len(server.requests) for server in self.servers]


@pytest.fixture
def providers(serve: Serve, reach: Reach) -> Providers:
    return Providers(serve, reach)


def choosing(budget_usd: float | None = None, evidence: OutcomeTable | None = None) -> Choosing:
    return Choosing(budget_usd, evidence, FakeEncoder())


@pytest.mark.parametrize("concurrency", [1, 4])
def test_no_more_than_the_budget_is_spent(providers: Providers, tmp_path: Path, concurrency: int) -> None:
    out = tmp_path / "t.parquet"
    report = profile(providers.pool, SUMS, out, concurrency=concurrency, choosing=choosing(20.5 * RUN_USD))
    assert report.cost_usd is not None
    assert 15 * RUN_USD < report.cost_usd <= 20.5 * RUN_USD
    assert sum(providers.calls) == report.run_now
    assert "fits into the budget of $0.00205" in report.stopped
    again = profile(providers.pool, SUMS, out, choosing=choosing(1.0))
    assert (again.done_before, again.left, again.stopped) == (report.run_now, 0, ""), "and the rest is run later"


def test_a_plan_calls_nobody(providers: Providers, tmp_path: Path) -> None:
    plans: list[ProfilePlan] = []

    def only_plan(plan: ProfilePlan) -> bool:
        plans.append(plan)
        return False

    profile(providers.pool, SUMS, tmp_path / "t.parquet", on_plan=only_plan, choosing=choosing(30 * RUN_USD))
    assert providers.calls == [0, 0]
    chosen = plans[0].chosen
    assert chosen is not None
    assert 0 < chosen.cost_usd <= 30 * RUN_USD < chosen.left_usd
    assert len({(run.query_id, run.model) for run in chosen.runs}) == len(chosen.runs) > 0
    assert sum(group.runs for group in chosen.groups) == len(chosen.runs) == sum(chosen.pairs.values())
    assert sum(group.questions for group in chosen.groups) == len(SUMS)


def test_what_the_logs_hold_is_not_run_again(providers: Providers, tmp_path: Path) -> None:
    profile(providers.pool, SUMS[:40], tmp_path / "logs.parquet")
    before = sum(providers.calls)
    logs = OutcomeTable.load(tmp_path / "logs.parquet")
    renamed = [{**row, "query_id": f"log-{row['query_id']}"} for row in logs.table.to_pylist()]  # as logs do
    report = profile(
        providers.pool,
        SUMS,
        tmp_path / "t.parquet",
        choosing=choosing(1.0, OutcomeTable.from_rows(renamed)),
    )
    assert sum(providers.calls) - before == report.run_now == 2 * 20


def test_an_interrupted_call_has_spent_what_it_has_spent(providers: Providers, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"

    def stop(done: int, _: int, row: dict[str, Any] | None) -> None:
        if done == 10 and row is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        profile(providers.pool, SUMS, out, concurrency=1, progress=stop, choosing=choosing(20.5 * RUN_USD))
    assert sum(providers.calls) == 10
    profile(providers.pool, SUMS, out, concurrency=1, choosing=choosing(20.5 * RUN_USD))
    assert 15 < sum(providers.calls) <= 20


def test_a_pair_of_unknown_price_is_left_out_of_a_budget(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    priceless = serve(right)
    pool = Pool(models=(reach(serve(right), "priced", **prices), reach(priceless, "priceless")))
    plans: list[ProfilePlan] = []
    report = profile(pool, SUMS, tmp_path / "t.parquet", on_plan=plans.append, choosing=choosing(1.0))
    assert (report.run_now, len(priceless.requests)) == (60, 0)
    assert plans[0].chosen is not None
    assert plans[0].chosen.left_out == ("priceless@@none",)


def test_failed_runs_are_repeated_on_demand(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    broken = Pool(models=(reach(serve(Failure(status=400)), **prices),))
    out = tmp_path / "t.parquet"
    profile(broken, SUMS[:5], out)
    mended = Pool(models=(reach(serve(right), **prices),))
    assert profile(mended, SUMS[:5], out, choosing=choosing(1.0)).run_now == 0
    assert profile(mended, SUMS[:5], out, choosing=choosing(1.0), repeat_failed=True).run_now == 5


def test_a_budget_below_nothing_is_refused(providers: Providers, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="budget_usd is -1"):
        profile(providers.pool, SUMS, tmp_path / "t.parquet", choosing=choosing(-1))


CHANCES = np.array([[0.9, 0.6, 0.3, 0.3, 0.2, 0.2], [0.4, 0.85, 0.3, 0.3, 0.2, 0.2]])
"""Success of six pairs on two groups of questions."""


def bought(n_runs: int, seed: int, costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return what is bought of 2 x 100 questions in batches of 20."""
    groups = np.repeat([0, 1], 100)
    truth = (np.random.default_rng(seed).random((200, 6)) < CHANCES[groups]).astype(float)
    scores, taken = np.full(truth.shape, np.nan), np.zeros(truth.shape, dtype=bool)
    chooser = RunChooser([Pair(f"m{n}") for n in range(6)], groups, costs, seed=seed)
    while taken.sum() < n_runs:
        for place in chooser.choose(scores, taken, 20):
            scores[place], taken[place] = truth[place], True
    return taken


@pytest.mark.parametrize("seed", range(4))
def test_money_goes_where_the_leader_is_unsure(seed: int) -> None:
    taken = bought(300, seed, np.ones(6))
    count = np.array([taken[:100].sum(axis=0), taken[100:].sum(axis=0)])
    assert (count.sum(axis=0) > 0).all(), "no pair is left without evidence"
    assert count[:, :2].sum() > 0.4 * count.sum(), "the two leaders are a third of the pairs"
    assert count[:, 2:].max() < 50


def test_of_two_equal_pairs_the_cheaper_is_asked_first() -> None:
    chooser = RunChooser([Pair("dear"), Pair("cheap")], np.zeros(50, dtype=np.int64), np.array([0.1, 0.001]))
    nothing = np.full((50, 2), np.nan)
    assert [column for _, column in chooser.choose(nothing, np.zeros((50, 2), dtype=bool), 4)] == [1] * 4


def test_all_pairs_are_asked_the_same_questions() -> None:
    taken = bought(240, 0, np.ones(6))
    for group in (slice(0, 100), slice(100, 200)):
        asked = np.sort(taken[group].sum(axis=0))[::-1]
        assert taken[group].any(axis=1).sum() == asked[0], "all questions of the others are among the leader's"
