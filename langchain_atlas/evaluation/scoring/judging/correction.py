"""From the rate that a judge gives to the rate that is true, by the judge's errors on answers that people marked.

Rogan and Gladen (American Journal of Epidemiology 107, 1978): with sensitivity *se* (how much of what is right the
judge calls right) and specificity *sp* (how much of what is wrong it calls wrong), a judge that calls a share *q* right
means a true share of ``(q + sp - 1) / (se + sp - 1)``. The interval is that of Lang and Reiczigel (Preventive
Veterinary Medicine 113, 2014), which counts the uncertainty of *se* and *sp* too.

Where marks are not only 0 and 1, the same is done with means: the judge's mean mark is taken to be a line over
people's, ``a + b * h``, fitted by least squares; with marks of 0 and 1, ``a`` is ``1 - sp`` and ``a + b`` is ``se``, so
it is the same formula. Its interval is a bootstrap over both samples.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np

from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FEWEST = 5
"""Smallest number of right answers, and of wrong ones, that people must have marked."""
_Z = 1.959963984540054
_RESAMPLES = 2000
_FLATTEST = 0.05
"""A judge whose marks hardly depend on the truth tells nothing about it."""

Method = Literal["rogan-gladen", "linear", "difference"]


class Share(Record):
    """A share with its uncertainty."""

    value: float
    """The share, 0 to 1."""
    ci95: tuple[float, float]
    """Its 95% interval."""
    n: int
    """Number of answers that it rests on."""


class JudgeCalibration(Record):
    """How a source of marks errs, as far as people's marks show."""

    source: str
    """The source, such as ``judge:gpt-4o-mini``."""
    n: int
    """Number of answers that both it and people marked."""
    method: Method | None = None
    """How rates are corrected: ``rogan-gladen`` for marks of 0 and 1, ``linear`` for graded ones, ``difference`` for
    comparisons; None when they can't be."""
    sensitivity: Share | None = None
    """Mean mark that it gives to right answers; None unless people's marks are 0 and 1."""
    specificity: Share | None = None
    """1 minus the mean mark that it gives to wrong answers; None unless people's marks are 0 and 1."""
    reason: str = ""
    """Why rates can't be corrected; empty if they can."""


class CorrectedRate(Record):
    """The rate of one pair, as a source marked it and corrected."""

    pair: str
    """The pair, or ``all``."""
    source: str
    """The source of the marks."""
    n: int
    """Number of its marks."""
    rate: float
    """Their mean, 0 to 1."""
    corrected: float | None = None
    """The estimated true rate, 0 to 1; None when it can't be estimated."""
    ci95: tuple[float, float] | None = None
    """Its 95% interval, which counts the uncertainty of the source's errors."""

    def __str__(self) -> str:
        by = "the judge" if self.source.startswith("judge:") else self.source
        told = f"{self.pair}: {100 * self.rate:.0f}% by {by}"
        if self.corrected is None or self.ci95 is None:
            return told
        low, high = (f"{100 * end:.0f}" for end in self.ci95)
        return f"{told}, {100 * self.corrected:.0f}% ({low} to {high}) corrected"


def calibrate(
    source: str, given: Sequence[float], true: Sequence[float], *, relative: bool = False
) -> JudgeCalibration:
    """Estimate how a source errs.

    Args:
        source: its name.
        given: its marks of some answers, 0 to 1.
        true: people's marks of the same answers, 0 to 1.
        relative: whether its marks compare answers with one another, so that they depend on whom an answer met; rates
            are then corrected pair by pair, by the mean difference from people's marks.
    """
    marks, truth = np.asarray(given, dtype=np.float64), np.asarray(true, dtype=np.float64)
    right, wrong = marks[truth == 1], marks[truth == 0]
    binary = len(right) + len(wrong) == len(truth)
    known = {
        "sensitivity": _share(right) if binary and len(right) else None,
        "specificity": _share(1 - wrong) if binary and len(wrong) else None,
    }
    if relative:
        return JudgeCalibration(source=source, n=len(truth), method="difference", **known)
    few = f"at least {FEWEST} right and {FEWEST} wrong ones are needed"
    reason = ""
    if binary and min(len(right), len(wrong)) < FEWEST:
        reason = f"people marked {len(right)} right and {len(wrong)} wrong of its answers; {few}"
    elif len(truth) < 2 * FEWEST or truth.std() == 0:
        reason = f"people marked {len(truth)} of its answers, too few or all alike; {few}"
    elif _line(marks, truth)[1] < _FLATTEST:
        reason = "its marks are hardly better than chance, so they can't be corrected"
    if reason:
        return JudgeCalibration(source=source, n=len(truth), reason=reason, **known)
    graded = not binary or not np.isin(marks, (0, 1)).all()
    return JudgeCalibration(source=source, n=len(truth), method="linear" if graded else "rogan-gladen", **known)


def corrected_rate(
    pair: str,
    calibration: JudgeCalibration,
    marks: Sequence[float],
    both: tuple[Sequence[float], Sequence[float]],
    *,
    seed: int = 0,
) -> CorrectedRate:
    """Correct the mean of a source's marks.

    Args:
        pair: the pair whose answers were marked, or ``all``.
        calibration: the source's errors.
        marks: the source's marks of the pair's answers, 0 to 1; shape [n], n above 0.
        both: marks of answers that both the source and people marked, the source's first: of all pairs, or for the
            method ``difference`` of this pair.
        seed: seed of the bootstrap.
    """
    values = np.asarray(marks, dtype=np.float64)
    rate = CorrectedRate(pair=pair, source=calibration.source, n=len(values), rate=float(values.mean()))
    graded = not np.isin(values, (0, 1)).all()
    given, truth = (np.asarray(one, dtype=np.float64) for one in both)
    if calibration.method is None or (calibration.method == "difference" and len(truth) < 2 * FEWEST):
        return rate
    if calibration.method == "rogan-gladen" and not graded:
        found = rogan_gladen(float(values.mean()), len(values), given[truth == 1], 1 - given[truth == 0])
    else:
        found = _resampled(values, given, truth, difference=calibration.method == "difference", seed=seed)
    if found is None:
        return rate
    return rate.model_copy(update={"corrected": found[0], "ci95": found[1]})


def rogan_gladen(
    rate: float, n: int, on_right: NDArray[np.float64], on_wrong: NDArray[np.float64]
) -> tuple[float, tuple[float, float]] | None:
    """Return the corrected rate and its 95% interval, both within 0 to 1; None if the judge is no better than chance.

    Args:
        rate: share of the answers that the judge called right, 0 to 1.
        n: number of answers.
        on_right: for each answer that people called right, whether the judge did too; shape [n_right].
        on_wrong: for each answer that people called wrong, whether the judge did too; shape [n_wrong].
    """
    right, wrong = len(on_right), len(on_wrong)
    sensitivity, specificity = float(on_right.mean()), float(on_wrong.mean())
    if sensitivity + specificity - 1 < _FLATTEST:
        return None
    point = min(1.0, max(0.0, (rate + specificity - 1) / (sensitivity + specificity - 1)))
    more = n + _Z**2
    share = (n * rate + _Z**2 / 2) / more
    se, sp = (right * sensitivity + 1) / (right + 2), (wrong * specificity + 1) / (wrong + 2)
    slope = se + sp - 1
    if slope <= 0:
        return point, (0.0, 1.0)
    centre = (share + sp - 1) / slope
    of_se, of_sp = se * (1 - se) / (right + 2), sp * (1 - sp) / (wrong + 2)
    shift = 2 * _Z**2 * (centre * of_se - (1 - centre) * of_sp)
    spread = _Z * sqrt(share * (1 - share) / more + centre**2 * of_se + (1 - centre) ** 2 * of_sp) / slope
    low, high = (min(1.0, max(0.0, centre + shift + sign * spread)) for sign in (-1, 1))
    return point, (min(low, point), max(high, point))


def _resampled(
    values: NDArray[np.float64],
    given: NDArray[np.float64],
    truth: NDArray[np.float64],
    *,
    difference: bool,
    seed: int,
) -> tuple[float, tuple[float, float]] | None:
    """Return the rate corrected by a line, or by the mean difference, and its 95% bootstrap interval."""

    def estimate(mean: float, marks: NDArray[np.float64], right: NDArray[np.float64]) -> float:
        if difference:
            return mean + float((right - marks).mean())
        start, slope = _line(marks, right)
        return (mean - start) / slope if slope >= _FLATTEST else np.nan

    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(0, len(truth), len(truth))
        mean = float(values[rng.integers(0, len(values), len(values))].mean())
        found.append(estimate(mean, given[drawn], truth[drawn]))
    point = estimate(float(values.mean()), given, truth)
    if np.isnan(point):
        return None
    known = np.clip(np.array(found), 0, 1)
    low, high = np.nanpercentile(known, (2.5, 97.5))
    if np.isnan(known).mean() > 0.05:  # noqa: PLR2004  # the line is flat in too many samples to know its slope
        low, high = 0.0, 1.0
    point = min(1.0, max(0.0, point))
    return point, (min(float(low), point), max(float(high), point))


def _line(marks: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """Return start and slope of the line that gives a source's mean mark over people's."""
    spread = truth - truth.mean()
    squares = float(spread @ spread)
    slope = float(spread @ marks) / squares if squares > 0 else 0.0
    return float(marks.mean()) - slope * float(truth.mean()), slope


def _share(marks: NDArray[np.float64]) -> Share:
    """Return the mean of marks with Wilson's interval, which for graded marks is wider than need be."""
    n, mean = len(marks), float(marks.mean())
    centre = (mean + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    spread = _Z * sqrt(mean * (1 - mean) / n + _Z**2 / (4 * n * n)) / (1 + _Z**2 / n)
    return Share(value=mean, ci95=(max(0.0, centre - spread), min(1.0, centre + spread)), n=n)
