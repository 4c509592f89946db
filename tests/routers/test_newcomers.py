"""Pairs that join after training: which are taken over the others, by hand, and what a router makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from asking import sums

from langchain_atlas.errors import PoolError
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.outcomes import OutcomeMatrix, OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.policy.experience.newcomers import supported, with_predecessors
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import Constraints

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from langchain_atlas.routers.policy.router import RLRouter

CHEAP, DEAR, NEW = Pair("cheap", "none"), Pair("dear", "none"), Pair("new", "none")
HALF = np.tile([1.0, 0.0], 100)
"""Right on every other query."""
MOST = np.where(np.arange(200) % 10 == 0, 0.0, 1.0)
"""Right on nine of ten queries."""
PROBES = 30


def outcomes(newcomer: NDArray[np.float64], cost: float, probes: int = PROBES) -> OutcomeMatrix:
    """Return 200 queries of a cheap pair and of a dear one, and the first of them of a newcomer."""
    scores = np.column_stack([HALF, MOST, newcomer])
    scores[probes:, 2] = np.nan
    costs = np.where(np.isnan(scores), np.nan, np.array([1.0, 3.0, cost]))
    return OutcomeMatrix((CHEAP, DEAR, NEW), ("",) * 200, scores, costs, np.full_like(scores, np.nan))


@pytest.mark.parametrize(
    ("newcomer", "cost", "is_taken"),
    [
        (np.ones(200), 1.0, True),  # right where the cheap pair is wrong, for its price
        (np.ones(200), 0.5, True),  # cheaper than all: it would replace the cheapest
        (HALF, 1.0, False),  # no better
        (1 - HALF, 1.0, False),  # as often right, on other queries
        (np.ones(200), 3.0, True),  # 27 of 30 against 30 of 30
        (np.where(np.arange(200) == 10, 1.0, MOST), 3.0, False),  # one more right than the dear pair may be luck
        (MOST, 2.0, True),  # as good as the dear pair, for less
    ],
)
def test_a_newcomer_must_beat_the_best_pair_that_costs_no_more(
    newcomer: NDArray[np.float64], cost: float, *, is_taken: bool
) -> None:
    assert supported(outcomes(newcomer, cost), {NEW: None}, 1.0).tolist() == [True, True, is_taken]


def test_of_thirty_newcomers_that_are_no_better_hardly_any_is_taken() -> None:
    luck = [np.random.default_rng(seed).permutation(HALF) for seed in range(30)]
    assert sum(supported(outcomes(one, 1.0), {NEW: None}, 1.0)[2] for one in luck) <= 5


def test_few_probes_are_enough_where_the_predecessor_was_as_good() -> None:
    """Five probes that show nothing: but it is a new version of the dear pair, for the price of the cheap one."""
    few = outcomes(HALF, 1.0, probes=5)
    assert not supported(few, {NEW: None}, 1.0)[2]
    assert supported(few, {NEW: DEAR}, 1.0)[2]


def test_a_new_generation_that_is_ahead_together_is_taken_as_a_whole() -> None:
    """Three probes on which it is one ahead are too few for one newcomer, but not beside twenty that are ahead."""
    few = np.concatenate([[1.0, 1.0, 1.0], np.full(197, np.nan)])
    alone = outcomes(few, 1.0, probes=3)
    others = tuple(Pair(f"other-{number}", "none") for number in range(20))
    ahead = np.where(np.arange(200)[:, None] < PROBES, 1.0, np.nan) * np.ones((200, len(others)))
    scores = np.column_stack([alone.scores, ahead])
    costs = np.where(np.isnan(scores), np.nan, np.array([1.0, 3.0, *[1.0] * (1 + len(others))]))
    generation = OutcomeMatrix((*alone.pairs, *others), alone.domains, scores, costs, np.full_like(scores, np.nan))
    assert not supported(alone, {NEW: None}, 1.0)[2]
    assert supported(generation, dict.fromkeys((NEW, *others)), 1.0).all()


def test_without_a_guard_and_without_others_all_are_taken() -> None:
    assert supported(outcomes(np.zeros(200), 1.0), {NEW: None}, -np.inf).all()
    assert supported(outcomes(np.zeros(200), 1.0).columns([2]), {NEW: None}, 1.0).all()


def test_a_newcomer_that_shares_no_query_with_the_others_is_not_taken() -> None:
    apart = outcomes(np.ones(200), 1.0)
    scores = apart.scores.copy()
    scores[:PROBES, :2] = np.nan
    alone = OutcomeMatrix(apart.pairs, apart.domains, scores, apart.costs, apart.latencies)
    assert not supported(alone, {NEW: None}, 1.0)[2]


def test_whom_a_newcomer_inherits_from_is_known_by_name_or_told() -> None:
    known = [Pair("gpt5", "none"), Pair("gpt5", "search"), Pair("nova-1", "none")]
    fresh = [Pair("gpt5-low", "none"), Pair("gpt5-low", "python"), Pair("star", "none")]
    assert with_predecessors(fresh, known) == {fresh[0]: known[0], fresh[1]: None, fresh[2]: None}
    assert with_predecessors(fresh, known, {"star": "nova-1"})[fresh[2]] == known[2]
    with pytest.raises(PoolError, match="'nova-1', which is no model of the new pairs"):
        with_predecessors(fresh, known, {"nova-1": "gpt5"})
    with pytest.raises(PoolError, match="Predecessor 'nova' is not a model of this router"):
        with_predecessors(fresh, known, {"star": "nova"})


TABLE = sums()


@pytest.fixture(scope="module")
def policy() -> RLRouter:
    lesson = PretrainingConfig(belief_steps=30, gain_steps=30, batch=64)
    config = TrainingConfig(pretraining=lesson, ppo=PPOConfig(steps=3, batch=64), cautious=False)
    return train(TABLE, FakeEncoder(), config=config)


def probes(score: float, model: str = "new", count: int = PROBES) -> OutcomeTable:
    rows = TABLE.select(pairs=TABLE.pairs[:1]).table.to_pylist()[:count]
    return OutcomeTable.from_rows([{**row, "model": model, "tool": "none", "score": score} for row in rows])


class TestRouter:
    def test_one_that_is_worse_is_not_called_in_place_of_others(self, policy: RLRouter) -> None:
        joined = policy.add_pairs(probes(0.0))
        assert NEW in joined.pairs
        assert NEW not in joined.supported
        assert NEW not in {one.pair for one in joined.decide_batch(TABLE.queries)}

    def test_it_is_called_where_nothing_else_may_be(self, policy: RLRouter) -> None:
        only = TABLE.queries[0].replace(constraints=Constraints(pairs=frozenset({NEW})))
        assert policy.add_pairs(probes(0.0)).decide(only).pair == NEW

    def test_one_that_is_better_is_taken(self, policy: RLRouter) -> None:
        assert NEW in policy.add_pairs(probes(1.0)).supported

    def test_without_a_guard_it_is_up_to_the_policy(self, policy: RLRouter) -> None:
        assert NEW in policy.add_pairs(probes(0.0)).configure(guard=0.0).supported

    def test_a_saved_router_remembers_who_is_new(self, policy: RLRouter, tmp_path: Path) -> None:
        joined = policy.add_pairs(probes(0.0), predecessors={"new": TABLE.pairs[0].model})
        joined.save(tmp_path / "router")
        loaded = Router.load(tmp_path / "router", FakeEncoder())
        assert loaded.supported == joined.supported  # type: ignore[attr-defined]
        assert loaded.featurizer.newcomers == joined.featurizer.newcomers  # type: ignore[attr-defined]

    def test_all_of_a_trained_router_are_taken(self, policy: RLRouter) -> None:
        assert policy.supported == policy.pairs

    def test_its_record_begins_with_its_predecessors(self, policy: RLRouter) -> None:
        best = max(TABLE.pairs, key=lambda pair: TABLE.matrix("score", [pair]).mean())
        few = probes(0.0, count=2)

        def success(router: RLRouter) -> float:
            return float(router.featurizer.record.success[router.pairs.index(NEW)])

        assert success(policy.add_pairs(few, predecessors={"new": best.model})) > success(policy.add_pairs(few))
