"""Rates corrected by a judge's errors: numbers worked by hand, intervals that cover, refusals that say why."""

from __future__ import annotations

import numpy as np
import pytest

from langchain_atlas.evaluation.scoring.judging.correction import calibrate, corrected_rate, rogan_gladen


def marks(ones: int, zeros: int) -> list[float]:
    return [1.0] * ones + [0.0] * zeros


def test_rogan_and_gladen_by_hand() -> None:
    """Sensitivity 90 of 100, specificity 80 of 100, 55% called right: (0.55 + 0.8 - 1) / (0.9 + 0.8 - 1) = 0.5.

    The interval of Lang and Reiczigel, with se 91/102, sp 81/102 and a share of 551.92/1003.84: centre 0.5012, shift
    2 * 1.96^2 * (0.5012 * 0.000943 - 0.4988 * 0.001603) = -0.0025, spread 1.96 * sqrt(0.000247 + 0.000237 + 0.000399) /
    0.6863 = 0.0848.
    """
    given = marks(90, 10) + marks(20, 80)
    true = marks(100, 100)
    known = calibrate("judge:m", given, true)
    assert (known.method, known.reason) == ("rogan-gladen", "")
    assert known.sensitivity is not None
    assert known.specificity is not None
    assert (known.sensitivity.value, known.specificity.value) == (0.9, 0.8)
    rate = corrected_rate("a@@none", known, marks(550, 450), (given, true))
    assert (rate.rate, rate.corrected) == (0.55, pytest.approx(0.5))
    assert rate.ci95 is not None
    assert rate.ci95 == pytest.approx((0.4138, 0.5835), abs=0.0001)


def test_it_is_said_as_a_person_would() -> None:
    given, true = marks(97, 3) + marks(10, 30), marks(100, 40)
    known = calibrate("judge:m", given, true)
    rate = corrected_rate("gpt@@none", known, marks(91, 9), (given, true))
    assert str(rate) == "gpt@@none: 91% by the judge, 92% (81 to 100) corrected"


def test_the_interval_stays_within_0_and_1() -> None:
    given, true = marks(9, 1) + marks(2, 8), marks(10, 10)
    known = calibrate("judge:m", given, true)
    for seen in (marks(50, 0), marks(0, 50)):
        rate = corrected_rate("a@@none", known, seen, (given, true))
        assert rate.ci95 is not None
        assert rate.corrected is not None
        assert 0 <= rate.ci95[0] <= rate.corrected <= rate.ci95[1] <= 1


@pytest.mark.parametrize(
    ("given", "true", "reason"),
    [
        (marks(3, 0), marks(3, 0), "people marked 3 right and 0 wrong"),
        (marks(20, 4), marks(20, 4), "people marked 20 right and 4 wrong"),
        (marks(10, 10) + marks(10, 10), marks(20, 20), "hardly better than chance"),
        ([0.5] * 8, [0.5] * 8, "too few or all alike"),
    ],
)
def test_what_can_not_be_corrected_is_not(given: list[float], true: list[float], reason: str) -> None:
    known = calibrate("judge:m", given, true)
    assert reason in known.reason
    rate = corrected_rate("a@@none", known, marks(5, 5), (given, true))
    assert (rate.rate, rate.corrected, rate.ci95) == (0.5, None, None)
    assert str(rate) == "a@@none: 50% by the judge"


def test_graded_marks_are_corrected_by_a_line() -> None:
    """A judge that says 0.2 + 0.6 h: a mean mark of 0.5 means 0.5 (0.2 + 0.6 * 0.5), one of 0.65 means 0.75."""
    true = [0.0, 0.25, 0.5, 0.75, 1.0] * 10
    given = [0.2 + 0.6 * one for one in true]
    known = calibrate("judge:m", given, true)
    assert known.method == "linear"
    rate = corrected_rate("a@@none", known, [0.65] * 40, (given, true))
    assert rate.corrected == pytest.approx(0.75)


def test_for_marks_of_0_and_1_the_line_is_rogan_and_gladen() -> None:
    given, true = marks(90, 10) + marks(20, 80), marks(100, 100)
    graded = calibrate("judge:m", [*given, 0.5], [*true, 0.5])
    rate = corrected_rate("a@@none", graded, marks(550, 450), (given, true))
    assert rate.corrected == pytest.approx(0.5)


def test_comparisons_are_corrected_pair_by_pair() -> None:
    known = calibrate("judge:m", [0.5] * 12, marks(9, 3), relative=True)
    rate = corrected_rate("a@@none", known, [0.5] * 30, ([0.5] * 12, marks(9, 3)))
    assert rate.corrected == pytest.approx(0.75)
    too_few = corrected_rate("b@@none", known, [0.5] * 30, ([0.5] * 3, marks(2, 1)))
    assert too_few.corrected is None


@pytest.mark.parametrize("true_rate", [0.3, 0.7, 0.95])
def test_intervals_cover_at_rates_near_the_ends_too(true_rate: float) -> None:
    rng, hits = np.random.default_rng(3), 0
    for _ in range(300):
        right = rng.random(60) < 0.6
        given = np.where(right, rng.random(60) < 0.9, rng.random(60) < 0.2).astype(float)
        seen = np.where(rng.random(150) < true_rate, rng.random(150) < 0.9, rng.random(150) < 0.2)
        found = rogan_gladen(float(seen.mean()), 150, given[right], 1 - given[~right])
        hits += found is not None and found[1][0] <= true_rate <= found[1][1]
    assert hits >= 0.92 * 300
