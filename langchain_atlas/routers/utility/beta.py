"""Quantiles of the Beta distribution, without SciPy, whose import would take longer than many decisions."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_MOST_TERMS = 10_000
_MOST_STEPS = 200
_EXACT = 1e-9
_CLOSE = 3e-3
"""A step smaller than this, in log odds, was the last: steps converge cubically, so that it leaves some 1e-9."""
_FARTHEST = 700.0
"""Largest log odds, of either sign, whose probability is not yet 0 or 1 as a floating point number."""


@lru_cache(maxsize=4096)
def beta_quantile(a: float, b: float, probability: float) -> float:
    """Return the value below which a Beta(a, b) variable lies with some probability.

    Halley's steps in the log odds of the value, on the logarithm of the nearer tail, each kept between the bounds known
    by then. In these terms the tails are nearly straight lines, so that two or three steps are enough even where there
    is next to no evidence. Exact to some 1e-8 of the value.

    Args:
        a: first parameter, above 0.
        b: second parameter, above 0.
        probability: from 0 to 1, both excluded.
    """
    log_scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    low, high = -_FARTHEST, _FARTHEST
    log_odds = min(max(_first_guess(a, b, probability), low), high)
    for _ in range(_MOST_STEPS):
        off, slope, curve = _tail(a, b, log_odds, probability, log_scale)
        low, high = (low, log_odds) if off > 0 else (log_odds, high)
        following = math.inf
        if slope > 0 and math.isfinite(off):
            step = off / slope
            following = log_odds - step / min(max(1 - step * curve / 2, 0.5), 2.0)
        if not low <= following <= high:
            following = (low + high) / 2
        last, log_odds = abs(following - log_odds) <= _CLOSE, following
        if last:
            break
    return 1 / (1 + math.exp(-log_odds))


def _tail(a: float, b: float, log_odds: float, probability: float, log_scale: float) -> tuple[float, float, float]:
    """Return by how much the logarithm of a tail is off, its slope, and that of the slope's logarithm.

    The tail is that below the value, or above it where the value is above the middle, with the sign turned; so that all
    three are those of a function that rises with the log odds.
    """
    small = math.exp(-abs(log_odds))
    both = math.log1p(small)
    larger = 1 / (1 + small)
    if log_odds > 0:
        value, rest, log_value, log_rest = larger, small * larger, -both, -log_odds - both
    else:
        value, rest, log_value, log_rest = small * larger, larger, log_odds - both, -both
    density = math.exp(log_scale + a * log_value + b * log_rest)  # of the log odds
    is_below = value < (a + 1) / (a + b + 2)  # where the continued fraction converges quickly
    tail = density * (_fraction(a, b, value) / a if is_below else _fraction(b, a, rest) / b)
    sign = 1 if is_below else -1
    if tail <= 0:
        return -sign * math.inf, 0.0, 0.0
    off = sign * (math.log(tail) - math.log(probability if is_below else 1 - probability))
    slope = density / tail
    return off, slope, a * rest - b * value - sign * slope


def _first_guess(a: float, b: float, probability: float) -> float:
    """Return a first guess at the quantile, in log odds (Numerical Recipes, 3rd edition, section 6.14.14)."""
    if a >= 1 and b >= 1:
        normal = NormalDist().inv_cdf(probability)
        first, second = 1 / (2 * a - 1), 1 / (2 * b - 1)
        harmonic, spread = 2 / (first + second), (normal * normal - 3) / 6
        width = -normal * math.sqrt(max(harmonic + spread, 0)) / harmonic
        return math.log(a / b) - 2 * (width - (second - first) * (spread + 5 / 6 - 2 / (3 * harmonic)))
    below = math.exp(a * math.log(a / (a + b))) / a
    above = math.exp(b * math.log(b / (a + b))) / b
    if probability < below / (below + above):
        return _log_odds(math.log(a * (below + above) * probability) / a)
    return -_log_odds(math.log(b * (below + above) * (1 - probability)) / b)


def _log_odds(log_value: float) -> float:
    log_value = min(log_value, -_EXACT)
    return log_value - math.log(-math.expm1(log_value))


def _fraction(a: float, b: float, value: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method (section 6.4).

    Below the middle, none of its denominators comes near 0.
    """
    total = a + b
    upper, lower = 1.0, 1 / (1 - total * value / (a + 1))
    result = lower
    for term in range(1, _MOST_TERMS):
        twice = a + 2 * term
        even = term * (b - term) * value / ((twice - 1) * twice)
        lower, upper = 1 / (1 + even * lower), 1 + even / upper
        result *= lower * upper
        odd = -(a + term) * (total + term) * value / (twice * (twice + 1))
        lower, upper = 1 / (1 + odd * lower), 1 + odd / upper
        factor = lower * upper
        result *= factor
        if -_EXACT < factor - 1 < _EXACT:
            break
    return result
