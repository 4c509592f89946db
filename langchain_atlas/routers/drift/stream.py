"""A stream of values whose mean is watched in both directions, against a reference."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from langchain_atlas.routers.drift.detector import EDetector
from langchain_atlas.routers.utility.beta import beta_quantile

if TYPE_CHECKING:
    from collections.abc import Iterator

Direction = Literal["fell", "rose"]

LEAST = 30
"""Number of values that a reference is made of, at least."""
SETTLED = 200
"""Number of values that it is made of at most, by default."""
_UNSURE = 1e-3
"""Probability with which the mean of the reference is below its lower bound, and above its upper one."""
_KEPT = 2000
"""Number of values that are remembered, to say what the mean has become."""


@dataclass(frozen=True)
class ReferenceRange:
    """What a mean was: bounds between which it lies."""

    mean: float
    """The mean, 0 to 1."""
    low: float
    """Its lower bound."""
    high: float
    """Its upper bound."""

    @classmethod
    def of(cls, count: float, total: float, tolerance: float) -> ReferenceRange:
        """Return the reference of some values from 0 to 1.

        Args:
            count: how many there are.
            total: their sum.
            tolerance: how much further the mean may move without it being a change.
        """
        solved, failed = total + 0.5, max(count - total, 0.0) + 0.5
        low, high = beta_quantile(solved, failed, _UNSURE), beta_quantile(solved, failed, 1 - _UNSURE)
        return cls(total / count, max(0.0, low - tolerance), min(1.0, high + tolerance))


@dataclass(frozen=True)
class Change:
    """A change of a stream's mean."""

    direction: Direction
    """``fell`` or ``rose``."""
    before: float
    """What the mean was, 0 to 1."""
    now: float
    """What it has been since."""
    count: int
    """Number of values since."""
    since: float
    """When it most likely began, in seconds since 1970."""


@dataclass
class Stream:
    """Finds out when the mean of a stream changes.

    Args:
        threshold: average number of values for each false alarm in a direction.
        tolerance: how much a mean may move without it being a change.
    """

    threshold: float
    tolerance: float = 0.0
    _detectors: dict[Direction, EDetector] = field(init=False)
    _recent: deque[tuple[float, float, float]] = field(init=False)

    def __post_init__(self) -> None:
        self._restart()

    def add(self, value: float, reference: ReferenceRange, at: float) -> Change | None:
        """Take a value in and return the change that it shows, if any. The stream then begins anew.

        Args:
            value: 0 to 1.
            reference: the reference of this value; values of one stream may have different ones.
            at: its time, in seconds since 1970.
        """
        self._recent.append((value, reference.mean, at))
        found = list(self._found(value, reference))
        if not found:
            return None
        since = min(
            max(len(self._recent) - (self._detectors[found[0]].count - self._detectors[found[0]].since), 0),
            len(self._recent) - 1,
        )
        shown = list(self._recent)[since:]
        change = Change(
            found[0],
            sum(mean for _, mean, _ in shown) / len(shown),
            sum(each for each, _, _ in shown) / len(shown),
            len(shown),
            shown[0][2],
        )
        self._restart()
        return change

    def _found(self, value: float, reference: ReferenceRange) -> Iterator[Direction]:
        if self._detectors["fell"].add(value, reference.low):
            yield "fell"
        if self._detectors["rose"].add(1 - value, 1 - reference.high):
            yield "rose"

    def _restart(self) -> None:
        self._detectors = {"fell": EDetector(self.threshold), "rose": EDetector(self.threshold)}
        self._recent = deque(maxlen=_KEPT)


@dataclass
class GrowingRange:
    """A reference that is made of the first values, and fixed once there are enough.

    Every value is compared with those before it alone. A change among the first values makes the reference worse, so
    that it is found later.
    """

    tolerance: float
    """How much a mean may move without it being a change."""
    settled: int = SETTLED
    """Number of values that it is made of at most."""
    _count: int = 0
    _total: float = 0.0
    _known: ReferenceRange | None = None

    def take(self, value: float) -> ReferenceRange | None:
        """Return the reference for a value; None as long as there are fewer than `LEAST` before it."""
        if self._count >= self.settled:
            return self._known
        known, self._count, self._total = self._known, self._count + 1, self._total + value
        if self._count >= LEAST:
            self._known = ReferenceRange.of(self._count, self._total, self.tolerance)
        return known

    def forget(self) -> None:
        """Make it anew of the next values."""
        self._known, self._count, self._total = None, 0, 0.0
