"""Token counts and costs as others report them: an impossible value is unknown, and unknown is never zero."""

from __future__ import annotations

import math
from typing import Any

MOST_TOKENS = 100_000_000
"""More tokens than any model call reads or writes: ten times the longest context that a provider offers."""
MOST_DOLLARS = 1_000_000.0
"""More dollars than any single run costs."""


def known_tokens(value: Any) -> int | None:
    """Return a reported token count if it is plausible, else None.

    It is not if it is missing, negative, fractional, not finite, not a number, or above `MOST_TOKENS`.
    """
    number = known_number(value, MOST_TOKENS)
    return None if number is None or number != int(number) else int(number)


def known_dollars(value: Any) -> float | None:
    """Return a reported cost in dollars if it is plausible, else None.

    It is not if it is missing, negative, not finite, not a number, or above `MOST_DOLLARS`.
    """
    return known_number(value, MOST_DOLLARS)


def known_number(value: Any, most: float) -> float | None:
    """Return a reported number, possibly given as text, if it lies between 0 and `most`; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number <= most else None


def add_known(*numbers: Any) -> Any:
    """Add numbers; the sum is None if any of them is."""
    return None if any(number is None for number in numbers) else sum(numbers)
