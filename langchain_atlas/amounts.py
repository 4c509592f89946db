"""Token counts and costs as others report them: an impossible value is unknown, and unknown is never zero."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

MOST_TOKENS = 100_000_000
"""More tokens than any model call reads or writes: ten times the longest context that a provider offers."""
MOST_DOLLARS = 1_000_000.0
"""More dollars than any single run costs."""


class Use(NamedTuple):
    """What calls of pairs took."""

    usd: float = 0.0
    """Dollars."""
    seconds: float = 0.0
    """Seconds."""
    calls: int = 0
    """Number of calls."""

    def plus(self, more: Use) -> Use:
        """Return both together."""
        return Use(self.usd + more.usd, self.seconds + more.seconds, self.calls + more.calls)

    def less(self, part: Use) -> Use:
        """Return what is left without a part."""
        return Use(self.usd - part.usd, self.seconds - part.seconds, self.calls - part.calls)


class Caps(NamedTuple):
    """How much calls may take; None for any amount."""

    usd: float | None = None
    """Dollars."""
    seconds: float | None = None
    """Seconds."""
    calls: int | None = None
    """Number of calls."""

    @property
    def rounded_usd(self) -> float:
        """The dollars, with a little room for sums of many small amounts; infinity for any amount."""
        return math.inf if self.usd is None else self.usd * (1 + _ROUNDING)

    def allow(self, used: Use, more: Use) -> bool:
        """Return whether what is used leaves room for more; what costs nothing always fits into the dollars."""
        return not self.passed(used, more)

    def passed(self, used: Use, more: Use) -> tuple[str, ...]:
        """Return which of the amounts leave no room for more."""
        full = []
        if more.usd > 0 and used.usd + more.usd > self.rounded_usd:
            full.append("usd")
        if self.seconds is not None and (used.seconds >= self.seconds or used.seconds + more.seconds > self.seconds):
            full.append("s")
        if self.calls is not None and used.calls + more.calls > self.calls:
            full.append("calls")
        return tuple(full)


_ROUNDING = 1e-9
"""Share by which a sum of dollars may be above a limit: many small amounts add up to a little more than they are."""


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
