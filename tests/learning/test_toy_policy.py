"""A tiny model is taught the protocol of a toy pool, and trained to call the right pair, on one CPU core."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="training a language model needs the extra train-llm: make test-train-llm")
pytest.importorskip("peft", reason="training a language model needs the extra train-llm: make test-train-llm")

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import toy_policy

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> toy_policy.Taught:
    return toy_policy.teach(tmp_path_factory.mktemp("taught"))


def test_the_warm_up_teaches_the_protocol_and_no_choice(taught: toy_policy.Taught) -> None:
    assert taught.before["well_formed"] > 0.9
    assert 0.35 < taught.before["optimal_first"] < 0.65


def test_from_chance_to_nine_in_ten(taught: toy_policy.Taught, tmp_path: Path) -> None:
    after = toy_policy.learn(taught, tmp_path, steps=16)  # right from about the tenth on
    assert after["optimal_first"] > 0.9
    assert after["well_formed"] > 0.9


@pytest.mark.parametrize("variation", [name for name in toy_policy.VARIATIONS if name != "full"])
def test_it_trains_without_one_part(taught: toy_policy.Taught, tmp_path: Path, variation: str) -> None:
    after = toy_policy.learn(taught, tmp_path, steps=1, **toy_policy.VARIATIONS[variation])
    assert 0 <= after["optimal_first"] <= 1
