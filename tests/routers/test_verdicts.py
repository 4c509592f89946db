"""Verdicts as evidence: how often a verifier errs is counted, and the policy heeds what the counts show."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from langchain_atlas import OutcomeTable
from langchain_atlas.errors import OutcomeError
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.routers.policy.experience.verdict_evidence import verdict_evidence


def counted(error: float, n: int, pairs: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = (rng.random((n, pairs)) < 0.5).astype(float)
    verdicts = ((scores > 0.5) ^ (rng.random((n, pairs)) < error)).astype(np.int8)
    return scores, np.ones((n, pairs), dtype=bool), verdicts


def test_the_evidence_of_a_good_check_nears_the_truth() -> None:
    (evidence,) = verdict_evidence(*counted(0.1, 20_000))
    truth = np.log(0.9 / 0.1)
    assert evidence[0] == 0
    assert evidence[1] == pytest.approx(-truth, abs=0.15)
    assert evidence[2] == pytest.approx(truth, abs=0.15)


@pytest.mark.parametrize("seed", range(20))
def test_fifty_outcomes_show_that_a_poor_check_is_worth_nothing(seed: int) -> None:
    (poor,) = verdict_evidence(*counted(0.4, 50, seed=seed))
    (good,) = verdict_evidence(*counted(0.1, 50, seed=seed))
    assert abs(poor[2]) < 0.85
    assert good[2] > max(poor[2], 0.5)


def test_fifty_outcomes_of_a_poor_check_show_little_on_average() -> None:
    found = [verdict_evidence(*counted(0.4, 50, seed=seed))[0, 2] for seed in range(200)]
    assert abs(float(np.mean(found))) < 0.3
    assert np.mean([verdict_evidence(*counted(0.1, 50, seed=seed))[0, 2] for seed in range(200)]) > 1.2


def test_a_check_that_guesses_shows_nothing() -> None:
    (evidence,) = verdict_evidence(*counted(0.5, 5000))
    assert np.abs(evidence).max() < 0.06


def test_no_verdict_shows_nothing() -> None:
    scores, known, verdicts = counted(0.1, 100)
    assert not verdict_evidence(scores, known, np.full_like(verdicts, -1)).any()
    assert not verdict_evidence(scores, np.zeros_like(known), verdicts).any()


def test_a_check_that_fails_for_one_pair_is_seen_for_that_pair() -> None:
    scores, known, verdicts = counted(0.1, 2000, pairs=3)
    verdicts[:, 2] = 1  # it passes all that this pair says
    good, _, blind = verdict_evidence(scores, known, verdicts)
    assert good[2] > 1.5
    assert abs(blind[2]) < 0.2


def test_a_hand_worked_count() -> None:
    """Eight right answers, six of which passed, and eight wrong ones, two of which did: half of all answers passed."""
    scores = np.array([[1.0]] * 8 + [[0.0]] * 8)
    verdicts = np.array([[1]] * 6 + [[0]] * 2 + [[1]] * 2 + [[0]] * 6, dtype=np.int8)
    (evidence,) = verdict_evidence(scores, np.ones_like(scores, dtype=bool), verdicts)
    right, wrong = (6 + 1) / 10, (2 + 1) / 10
    error = np.sqrt((1 - right) / 7 + (1 - wrong) / 3)
    assert evidence[2] == pytest.approx(np.log(right / wrong) - error, abs=1e-6)
    assert evidence[1] == pytest.approx(-evidence[2], abs=1e-6)


def rows(verdicts: list[str | None]) -> list[dict[str, object]]:
    fields = {"context": None, "domain": "d", "tool": "none", "input_tokens": 1, "output_tokens": 1, "latency_s": 1.0}
    return [
        {
            "query_id": f"q{number // 2}",
            "query": f"Question {number // 2}",
            "model": "ab"[number % 2],
            "score": 1.0,
            "cost_usd": 0.1,
            "response": "yes",
            "error": "",
            "tokens_estimated": False,
            "verdict": verdict,
            **fields,
        }
        for number, verdict in enumerate(verdicts)
    ]


def table_of(verdicts: list[str | None]) -> OutcomeTable:
    return OutcomeTable(pa.Table.from_pylist(rows(verdicts)), "a test's table")


def test_a_table_may_have_verdicts() -> None:
    table = table_of(["passed", "failed", None, "passed"])
    assert table.verdicts is not None
    assert table.verdicts.tolist() == [[1, 0], [-1, 1]]
    executor = ReplayExecutor(table)
    seen = [executor.run(pair, query).verdict for query in table.queries for pair in table.pairs]
    assert [None if verdict is None else verdict.status for verdict in seen] == ["passed", "failed", None, "passed"]


def test_a_table_without_verdicts_has_none() -> None:
    assert table_of([None] * 4).verdicts is None


def test_a_verdict_of_another_word_is_refused() -> None:
    with pytest.raises(OutcomeError, match="a verdict is 'good'; it must be 'passed', 'failed' or empty"):
        table_of(["good", None, None, None]).verdicts  # noqa: B018  # it is read at first use
    with pytest.raises(OutcomeError, match="'verdict' holds 1"):
        table_of([1, 1, 1, 1])  # type: ignore[list-item]  # the wrong type
