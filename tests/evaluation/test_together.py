"""Recorded queries go round the loop together; what comes of each is what comes of it alone."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from asking import sums

from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.replay.runs import run_router, run_routers
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.loop.turns import solve
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.policy.router import RLRouter

TABLE = sums()
WEIGHTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9)


class CountingEncoder(FakeEncoder):
    """Keeps nothing, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(cache_size=0)
        self.passes: list[int] = []

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        self.passes.append(len(texts))
        return super()._encode(texts)


@cache
def trained(*, cautious: bool = False) -> RLRouter:
    lesson = PretrainingConfig(belief_steps=30, gain_steps=30, batch=64)
    config = TrainingConfig(pretraining=lesson, ppo=PPOConfig(steps=3, batch=64), cautious=cautious)
    return train(sums(), FakeEncoder(), config=config, seed=0)


def counting() -> tuple[RLRouter, CountingEncoder]:
    router, encoder = trained().configure(cost_weight=0.01), CountingEncoder()
    router.encoder = encoder
    return router, encoder


@pytest.mark.parametrize(
    "router",
    [
        trained().configure(cost_weight=0.01),
        trained(cautious=True).configure(cost_weight=0.05, max_turns=3),
        ClusterRouter(FakeEncoder(), n_clusters=2).fit(TABLE),
    ],
    ids=["policy", "cautious policy", "cluster"],
)
def test_together_and_alone_come_to_the_same(router: Router) -> None:
    executor = ReplayExecutor(TABLE)
    runs = run_router(router, executor)
    for number, query in enumerate(TABLE.queries):
        alone = solve(query, router, executor)
        assert runs.paths[number] == tuple(TABLE.pair_number(seen.pair) for seen in alone.observations)
        assert runs.stops[number] == alone.steps[-1].decision.rule
        assert runs.cost[number] == pytest.approx(alone.cost_usd)


def test_the_turns_of_a_query_are_encoded_and_looked_up_once() -> None:
    router, encoder = counting()
    trajectory = solve(TABLE.queries[0], router, ReplayExecutor(TABLE))
    assert len(trajectory.steps) > 2
    assert encoder.passes == [1]


def test_nine_settings_look_each_query_up_once() -> None:
    router, encoder = counting()
    found = evaluate({str(weight): router.configure(cost_weight=weight) for weight in WEIGHTS}, TABLE, n_bootstrap=10)
    assert sum(encoder.passes) == len({query.text for query in TABLE.queries})
    assert found.runs["0.0"].calls.sum() > found.runs["0.9"].calls.sum()


def test_settings_of_a_restricted_pool_share_their_look_ups_too() -> None:
    router, encoder = counting()
    table = TABLE.select(pairs=TABLE.pairs[:2])
    evaluate({str(weight): router.configure(cost_weight=weight) for weight in WEIGHTS}, table, n_bootstrap=10)
    assert sum(encoder.passes) == len({query.text for query in TABLE.queries})


def test_another_encoder_is_asked_anew() -> None:
    router, encoder = counting()
    router.decide(TABLE.queries[0])
    other = router.encoder = CountingEncoder()
    router.decide(TABLE.queries[0])
    assert (encoder.passes, other.passes) == ([1], [1])


def test_a_context_makes_another_query() -> None:
    router, encoder = counting()
    bare, with_context = Query(text="What is 2 plus 2?"), Query(text="What is 2 plus 2?", context="Sums are easy.")
    for query in (bare, with_context, bare):
        router.decide(query)
    assert encoder.passes == [1, 2]


def test_many_steps_are_decided_as_each_would_be() -> None:
    router, executor = trained().configure(cost_weight=0.01), ReplayExecutor(TABLE)
    asked = []
    for query in TABLE.queries[:6]:
        whole = solve(query, router, executor)
        asked += [(query, whole.model_copy(update={"steps": whole.steps[:n]})) for n in range(len(whole.steps))]
    together = router.decide_steps(asked)
    for (query, trajectory), decision in zip(asked, together, strict=True):
        alone = router.decide(query, trajectory)
        assert (decision.pair, decision.rule, decision.source) == (alone.pair, alone.rule, alone.source)
        assert decision.chosen.expected_success == pytest.approx(alone.chosen.expected_success, abs=1e-5)


def test_progress_counts_every_query_of_every_router() -> None:
    told: list[int] = []
    routers = {str(weight): trained().configure(cost_weight=weight) for weight in (0.0, 0.5)}
    run_routers(routers, ReplayExecutor(TABLE), on_query=lambda: told.append(1))
    assert len(told) == 2 * len(TABLE.query_ids)
