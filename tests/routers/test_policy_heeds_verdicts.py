"""The policy and a verifier: a passed check may stop, a failed one goes on, and a poor check changes nothing."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from langchain_atlas import OutcomeTable, RLRouter, Router, Verdict
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.loop.turns import solve
from langchain_atlas.pool.pool import Pair
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import START, Decision, Observation

if TYPE_CHECKING:
    from pathlib import Path

COSTS = {"small": 0.001, "middle": 0.003, "large": 0.01}
GOOD = {"small": 0.5, "middle": 0.55, "large": 0.6}


def prose(error: float | None, n: int = 120) -> OutcomeTable:
    """Answers that are never alike, right by chance, with a verdict that errs as told."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(n):
        for model, chance in GOOD.items():
            right = rng.random() < chance
            erred = rng.random() < (error or 0.0)
            row = {
                "query_id": f"q{number}", "query": f"Write about subject {number}.", "context": None,
                "domain": f"d{number % 8}", "model": model, "tool": "none", "score": float(right), "input_tokens": 9,
                "output_tokens": 9, "cost_usd": COSTS[model], "latency_s": 1.0,
                "response": f"An essay by {model} on subject {number}", "error": "", "tokens_estimated": False,
            }  # fmt: skip
            if error is not None:
                row["verdict"] = "passed" if right != erred else "failed"
            rows.append(row)
    return OutcomeTable.from_rows(rows)


@cache
def trained(error: float | None) -> RLRouter:
    quick = TrainingConfig(
        pretraining=PretrainingConfig(belief_steps=60, gain_steps=60, batch=96),
        ppo=PPOConfig(steps=3, batch=64),
        cautious=False,
    )
    return train(prose(error), FakeEncoder(), config=quick).configure(cost_weight=0.2, guard=0.0)


def after(router: Router, status: str | None) -> Decision:
    query = prose(None).queries[0]
    verdict = None if status is None else Verdict(status=status)  # type: ignore[arg-type]  # one of three words
    seen = Observation(pair=Pair("middle"), answer="An essay", cost_usd=0.003, latency_s=1.0, verdict=verdict)
    first = Decision(kind="route", pair=Pair("middle"))
    return router.decide(query, START.then(first, seen))


def test_a_passed_check_stops_and_a_failed_one_goes_on() -> None:
    router = trained(0.1)
    assert after(router, "passed").kind == "answer"
    assert "it passed its check" in after(router, "passed").reason
    assert after(router, "failed").kind == "route"


def test_what_is_expected_of_an_answer_follows_its_verdict() -> None:
    right = {}
    for status in ("passed", "failed", "unknown", None):
        decision = after(trained(0.1).configure(max_turns=1), status)
        assert decision.chosen is not None
        right[status] = decision.chosen.expected_success
    assert right["passed"] > 0.8
    assert right["failed"] < 0.35
    assert right["unknown"] == right[None]


def test_a_check_helps_where_answers_can_not_be_compared() -> None:
    def accuracy(error: float | None) -> float:
        table = prose(error)
        executor, router = ReplayExecutor(table), trained(error)
        given = [(solve(query, router, executor).answered_by, query) for query in table.queries[:60]]
        return float(np.mean([executor.score(seen.pair, query) for seen, query in given if seen is not None]))

    assert accuracy(0.1) > accuracy(None) + 0.1


def test_a_router_without_verdicts_ignores_them() -> None:
    assert after(trained(None), "failed") == after(trained(None), "passed") == after(trained(None), None)


@pytest.mark.parametrize("error", [0.1, None])
def test_what_was_learned_of_a_check_is_saved(tmp_path: Path, error: float | None) -> None:
    trained(error).save(tmp_path / "router")
    loaded = RLRouter.load(tmp_path / "router", encoder=FakeEncoder())
    for status in ("passed", "failed", None):
        assert after(loaded, status) == after(trained(error), status)


def test_members_that_join_bring_their_verdicts() -> None:
    table = prose(0.1)
    rows = [{**row, "model": "new"} for row in table.table.to_pylist() if row["model"] == "large"][:40]
    joined = trained(0.1).add_pairs(OutcomeTable.from_rows(rows))
    record = joined.featurizer.record
    assert record.by_verdict is not None
    assert record.by_verdict.shape == (4, 3)
    without = trained(None).add_pairs(OutcomeTable.from_rows(rows))
    assert without.featurizer.record.by_verdict is not None
    assert without.featurizer.record.by_verdict[3, 2] > 0.5
    few = joined.restrict([Pair("new"), Pair("small")])
    assert few.featurizer.record.by_verdict is not None
    assert few.featurizer.record.by_verdict.shape == (2, 3)
    assert after(joined, "passed").kind == "answer"
