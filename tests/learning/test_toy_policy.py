"""Training learns: a tiny model comes to call the right pair of a toy pool; ten minutes on a CPU, from a seed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="training a language model needs the extra train-llm")
pytest.importorskip("peft", reason="training a language model needs the extra train-llm")

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import toy_policy

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(1200)]


def test_from_chance_to_nine_in_ten(tmp_path: Path) -> None:
    before, after = toy_policy.learn(tmp_path)
    assert before["optimal_first"] < 0.7, "it was taught the protocol, not whom to ask"
    assert before["well_formed"] > 0.9
    assert after["optimal_first"] > 0.9
    assert after["well_formed"] > 0.9


@pytest.mark.parametrize("variation", [name for name in toy_policy.VARIATIONS if name != "full"])
def test_it_trains_without_one_part(tmp_path: Path, variation: str) -> None:
    _, after = toy_policy.learn(tmp_path, steps=10, **toy_policy.VARIATIONS[variation])
    assert 0 <= after["optimal_first"] <= 1
