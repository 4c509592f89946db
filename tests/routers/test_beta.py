"""Quantiles of the Beta distribution, against those worked out by hand and those of SciPy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv

from langchain_atlas.routers.utility.beta import beta_quantile


@pytest.mark.parametrize(
    ("a", "b", "probability", "value"),
    [
        (1, 1, 0.975, 0.975),  # uniform
        (2, 1, 0.25, 0.5),  # density 2x: x squared is the probability
        (1, 2, 0.75, 0.5),
        (0.5, 0.5, 0.025, math.sin(math.pi * 0.025 / 2) ** 2),  # arcsine
    ],
)
def test_known_quantiles(a: float, b: float, probability: float, value: float) -> None:
    assert beta_quantile(a, b, probability) == pytest.approx(value, rel=1e-9)


@given(st.floats(0.05, 1e5), st.floats(0.05, 1e5), st.sampled_from([0.025, 0.5, 0.975]))
def test_they_are_those_of_scipy(a: float, b: float, probability: float) -> None:
    assert beta_quantile(a, b, probability) == pytest.approx(betaincinv(a, b, probability), abs=1e-8)


@pytest.mark.parametrize("few", [1e-9, 1e-3])
def test_with_next_to_no_evidence_it_is_at_an_end(few: float) -> None:
    assert beta_quantile(few, 50, 0.975) == pytest.approx(0, abs=1e-6)
    assert beta_quantile(50, few, 0.025) == pytest.approx(1, abs=1e-6)
