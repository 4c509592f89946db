"""Quantiles of the Beta distribution, without SciPy, whose import would take longer than a decision."""

from __future__ import annotations

import math
from statistics import NormalDist

_MOST_TERMS = 10_000
_MOST_STEPS = 200
_EXACT = 1e-14
_CLOSE = 1e-12
_TINY = 1e-300


def beta_quantile(a: float, b: float, probability: float) -> float:
    """Return the value below which a Beta(a, b) variable lies with some probability.

    Newton's steps, each kept between the bounds known by then (Numerical Recipes, 3rd edition, section 6.14).

    Args:
        a: first parameter, above 0.
        b: second parameter, above 0.
        probability: from 0 to 1, both excluded.
    """
    low, high = 0.0, 1.0
    log_scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    mean, total = a / (a + b), a + b
    value = mean + NormalDist().inv_cdf(probability) * math.sqrt(mean * (1 - mean) / (total + 1))
    value = min(max(value, mean / 2), (1 + mean) / 2)
    for _ in range(_MOST_STEPS):
        error = _below(a, b, value, log_scale) - probability
        low, high = (low, value) if error > 0 else (value, high)
        slope = math.exp(min(700.0, log_scale + (a - 1) * math.log(value) + (b - 1) * math.log1p(-value)))
        step = value - error / slope if slope > 0 else low
        following = step if low < step < high else (low + high) / 2
        if not 0 < following < 1 or abs(following - value) <= _CLOSE * following:
            return min(max(following, 0.0), 1.0)
        value = following
    return value


def _below(a: float, b: float, value: float, log_scale: float) -> float:
    """Return the probability that a Beta(a, b) variable is below a value (Numerical Recipes, section 6.4)."""
    front = math.exp(log_scale + a * math.log(value) + b * math.log1p(-value))
    if value < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, value) / a
    return 1 - front * _fraction(b, a, 1 - value) / b


def _fraction(a: float, b: float, value: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    upper, lower = 1.0, 1 / _apart(1 - (a + b) * value / (a + 1))
    result = lower
    for term in range(1, _MOST_TERMS):
        twice = a + 2 * term
        even = term * (b - term) * value / ((twice - 1) * twice)
        lower, upper = 1 / _apart(1 + even * lower), _apart(1 + even / upper)
        result *= lower * upper
        odd = -(a + term) * (a + b + term) * value / (twice * (twice + 1))
        lower, upper = 1 / _apart(1 + odd * lower), _apart(1 + odd / upper)
        result *= lower * upper
        if abs(lower * upper - 1) < _EXACT:
            break
    return result


def _apart(value: float) -> float:
    """Return a value that can be divided by."""
    return value if abs(value) > _TINY else _TINY
