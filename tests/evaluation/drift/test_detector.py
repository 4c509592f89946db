"""The sequential test: how often it is wrong, and how soon it is right."""

from __future__ import annotations

import numpy as np
import pytest

from langchain_atlas.errors import SettingError
from langchain_atlas.routers.drift.detector import EDetector
from langchain_atlas.routers.drift.stream import GrowingRange, ReferenceRange, Stream


def test_capitals_are_those_worked_out_by_hand() -> None:
    detector = EDetector(100.0)
    for value, expected in ((0.0, 1.7), (1.0, 1.7 * 0.3), (0.0, 1.7), (0.0, 1.7 * 1.7)):  # a size of 0.7; anew below 1
        detector.add(value, 0.5)
        assert detector.capitals[-1] == pytest.approx(expected)
    assert detector.since == 2


def test_false_alarms_stay_below_their_rate() -> None:
    """At a threshold of 200, no more than one in 200 values: 100 in 20,000, but for chance."""
    draws = np.random.default_rng(0).random(20_000) < 0.9
    alarms, detector = 0, EDetector(200.0)
    for right in draws:
        if detector.add(float(right), 0.9):
            alarms, detector = alarms + 1, EDetector(200.0)
    assert 5 < alarms < 110


def test_a_fall_is_found_within_a_hundred_values_and_dated() -> None:
    rng = np.random.default_rng(1)
    delays, begun = [], []
    for _ in range(20):
        detector = EDetector(100_000.0)
        values = np.concatenate([rng.random(300) < 0.9, rng.random(400) < 0.6])
        at = next(number for number, right in enumerate(values) if detector.add(float(right), 0.9))
        delays.append(at - 300)
        begun.append(detector.since - 300)
    assert 0 < np.median(delays) < 100
    assert abs(np.median(begun)) < 20


@pytest.mark.parametrize("mean", [0.0, 0.5, 1.0])
def test_a_stream_at_either_end_raises_no_alarm(mean: float) -> None:
    stream, reference = Stream(1000.0), ReferenceRange.of(200, 200 * mean, 0.02)
    values = [1.0, 0.0] * 1500 if mean == 0.5 else [mean] * 3000
    assert [change for value in values if (change := stream.add(value, reference, 0.0))] == []


def test_a_change_says_what_was_and_what_is() -> None:
    stream, reference = Stream(10_000.0), ReferenceRange.of(200, 180, 0.0)
    found = [change for at in range(100) if (change := stream.add(0.0 if at >= 50 else 1.0, reference, float(at)))]
    first = found[0]
    assert (first.direction, first.before, first.now, first.since) == ("fell", pytest.approx(0.9), 0.0, 50.0)
    assert first.count < 20


def test_a_reference_is_made_of_the_values_before() -> None:
    growing = GrowingRange(0.0)
    assert [growing.take(1.0) for _ in range(30)] == [None] * 30
    known = growing.take(0.0)
    assert known is not None
    assert known.mean == 1.0
    for _ in range(500):
        known = growing.take(0.0)
    assert known is not None
    assert known.mean == pytest.approx(30 / 200)


def test_a_threshold_that_always_alarms_is_refused() -> None:
    with pytest.raises(SettingError, match="threshold is 1"):
        EDetector(1.0)
