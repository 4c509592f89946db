"""The sequential test is rarely wrong, however often it is looked at."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from langchain_atlas.errors import ArtifactError, SettingError
from langchain_atlas.routers.trial.sequential import SequentialTest


def run(mean: float, seed: int, most: int = 6000, differing: float = 0.1) -> SequentialTest:
    """Compare until there is a verdict, where `differing` of the queries are answered by one of the two alone."""
    test = SequentialTest(0.0, 0.05, 0.05)
    rng = np.random.default_rng(seed)
    better, worse = (differing + mean) / 2, (differing - mean) / 2
    for difference in rng.choice([1.0, -1.0, 0.0], size=most, p=[better, worse, 1 - better - worse]):
        if test.add(float(difference)) != "open":
            break
    return test


@pytest.mark.parametrize(("mean", "wrong"), [(0.0, "above"), (-0.02, "above"), (0.05, "below"), (0.08, "below")])
def test_a_verdict_is_wrong_at_most_as_often_as_stated(mean: float, wrong: str) -> None:
    tests = [run(mean, seed) for seed in range(300)]
    assert sum(test.verdict == wrong for test in tests) <= 22, "15 are expected at most; two standard errors are 8"
    assert sum(test.verdict == "open" for test in tests) <= 6


def test_the_first_step_is_as_worked_out_by_hand() -> None:
    """Bets are gain / 0.25 times 1, 2, 4, 8, 16 and half at most; a difference of 1 multiplies each by 1 + bet."""
    test = SequentialTest(0.0, 0.05, 0.05)
    test.add(1.0)
    assert test.against_low == pytest.approx([math.log(1 + bet) for bet in (0.2, 0.4, 0.5, 0.5, 0.5)])
    assert test.against_high == pytest.approx([math.log(1 - 0.95 * bet / 1.05) for bet in (0.2, 0.4, 0.5, 0.5, 0.5)])
    assert test.mean == 1.0


def test_the_interval_holds_at_all_times() -> None:
    missed = 0
    for seed in range(60):
        test, is_missed = SequentialTest(0.0, 0.05), False
        rng = np.random.default_rng(seed)
        for difference in rng.choice([1.0, -1.0, 0.0], size=400, p=[0.2, 0.1, 0.7]):
            test.add(float(difference))
            low, high = test.interval
            is_missed = is_missed or not low <= 0.1 <= high
        assert high - low < 0.4
        missed += is_missed
    assert missed <= 3


def test_it_is_kept_as_json_and_goes_on_as_if_nothing_had_been() -> None:
    test, other = SequentialTest(-0.02, 0.0, 0.01), SequentialTest(-0.02, 0.0, 0.01)
    for difference in (0.5, -1.0, 0.0, 0.25):
        test.add(difference)
        other = SequentialTest.from_json(json.loads(json.dumps(other.to_json())))
        other.add(difference)
    assert other == test
    with pytest.raises(ArtifactError, match="sequential test can't be read"):
        SequentialTest.from_json({**test.to_json(), "against_low": [0.0]})
    with pytest.raises(ArtifactError, match="sequential test can't be read"):
        SequentialTest.from_json({"low": 0.0, "high": 0.1})


def test_how_many_more_is_of_the_right_size() -> None:
    """What is said after a while is about what it takes, where the mean is at a bound."""
    test = SequentialTest(0.0, 0.05, 0.05)
    rng = np.random.default_rng(0)
    for difference in rng.choice([1.0, -1.0, 0.0], size=100, p=[0.05, 0.05, 0.9]):
        test.add(float(difference))
    assert test.verdict == "open"
    taken = [run(0.0, seed).count for seed in range(40)]
    assert np.median(taken) / 3 < test.more + 100 < 3 * np.median(taken)
    assert run(0.0, 0).more == 0


@pytest.mark.parametrize("bad", [float("nan"), 1.5, -2])
def test_a_difference_out_of_range_is_refused(bad: float) -> None:
    with pytest.raises(SettingError, match="must be a number from -1 to 1"):
        SequentialTest(0.0, 0.1).add(bad)


@pytest.mark.parametrize("settings", [(0.1, 0.0, 0.05), (0.0, 2.0, 0.05), (0.0, 0.1, 0.0), (0.0, 0.1, 0.7)])
def test_settings_out_of_range_are_refused(settings: tuple[float, float, float]) -> None:
    with pytest.raises(SettingError):
        SequentialTest(*settings)
