"""Token counts and dollars as others report them: what can't be is unknown, and unknown is never zero."""

from __future__ import annotations

import math
from typing import Any

MOST_TOKENS = 100_000_000
"""More than any model call takes or gives; ten times the longest context that a provider offers."""
MOST_DOLLARS = 1_000_000.0
"""More than any one run costs."""


def known_tokens(value: Any) -> int | None:
    """Return a reported number of tokens if it can be one, else None.

    It can't where it is missing, negative, broken, not finite, no number, or above `MOST_TOKENS`.
    """
    number = known_number(value, MOST_TOKENS)
    return None if number is None or number != int(number) else int(number)


def known_dollars(value: Any) -> float | None:
    """Return reported dollars if they can be, else None.

    They can't where they are missing, negative, not finite, no number, or above `MOST_DOLLARS`.
    """
    return known_number(value, MOST_DOLLARS)


def known_number(value: Any, most: float) -> float | None:
    """Return a number from 0 to `most` that somebody reported, perhaps as a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number <= most else None
