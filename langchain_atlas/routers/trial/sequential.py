"""A sequential test of a mean difference, which may be looked at after every query.

A test with a fixed number of queries is wrong far more often than it says if somebody looks at it every day and stops
once it looks good. This one is valid whenever it is stopped. It bets against each of two hypotheses: its capital is
multiplied by ``1 + bet * (difference - bound)``, with a bet that was chosen before the difference was seen. As long as
the hypothesis holds, the capital is expected not to grow, so that it ever exceeds ``1 / error`` with probability
`error` at most (Ville's inequality).

See I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal
Statistical Society B 86 (2024): the capital processes are those of its section 4, with a mixture of bets; the interval
is the predictable plug-in empirical Bernstein confidence sequence of its theorem 2.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from langchain_atlas.errors import ArtifactError, SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

Verdict = Literal["above", "below", "open"]

DEFAULT_ERROR = 0.05
"""Default probability of a wrong verdict."""

_BETS = ((1.0, 0.5), (2.0, 0.2), (4.0, 0.1), (8.0, 0.1), (16.0, 0.1))
"""Bets as multiples of the one that suits a mean at the other bound, with their share of the capital."""
_BOLDEST = 0.5
_PRIOR_COUNT, _PRIOR_SQUARE = 10.0, 0.25
"""What is assumed of the squares of the differences before any is seen, and as how many differences it counts."""


@dataclass
class _Interval:
    """The sums of the confidence sequence, of differences scaled to 0 to 1."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    bets: float = 0.0
    weighted: float = 0.0
    variation: float = 0.0

    def add(self, value: float, error: float) -> None:
        before = (0.5 + self.total) / (self.count + 1)
        variance = (0.25 + self.squares) / (self.count + 1)
        self.count += 1
        bet = min(0.5, math.sqrt(2 * math.log(2 / error) / (variance * self.count * math.log1p(self.count))))
        self.bets += bet
        self.weighted += bet * value
        self.variation += (value - before) ** 2 * (-math.log1p(-bet) - bet)
        self.total += value
        self.squares += (value - (0.5 + self.total) / (self.count + 1)) ** 2

    def bounds(self, error: float) -> tuple[float, float]:
        if not self.count:
            return -1.0, 1.0
        centre, half = self.weighted / self.bets, (math.log(2 / error) + self.variation) / self.bets
        return max(-1.0, 2 * (centre - half) - 1), min(1.0, 2 * (centre + half) - 1)


@dataclass
class SequentialTest:
    """Finds out whether the mean of differences between -1 and 1 is above `low` or below `high`.

    If the mean is `low` or less, the verdict is ``above`` with probability `error` at most; if it is `high` or more,
    it is ``below`` with probability `error` at most. In between, either verdict is right. A verdict is final. The mean
    may change over time, as long as the hypothesis is meant of each difference given those before it.

    Raises:
        SettingError: `low` is not below `high`, one of them is beyond -1 to 1, or `error` is not between 0 and 0.5.
    """

    low: float
    """The verdict ``above`` refutes that the mean is this or less."""
    high: float
    """The verdict ``below`` refutes that the mean is this or more."""
    error: float = DEFAULT_ERROR
    """Probability of a wrong verdict, at most, however often it is looked at."""
    count: int = 0
    """Number of differences."""
    total: float = 0.0
    """Their sum."""
    squares: float = 0.0
    """The sum of their squares."""
    verdict: Verdict = "open"
    """``above``: the mean is above `low`. ``below``: it is below `high`. ``open``: not decided yet."""
    is_below: bool = False
    """Whether it was refuted at some time that the mean is `high` or more; may come true after the verdict ``above``,
    where the mean lies between the bounds or has changed."""
    against_low: list[float] = field(default_factory=lambda: [0.0] * len(_BETS))
    """Logarithm of the capital of each bet that the mean is above `low`."""
    against_high: list[float] = field(default_factory=lambda: [0.0] * len(_BETS))
    """Logarithm of the capital of each bet that the mean is below `high`."""
    _interval: _Interval = field(default_factory=_Interval)

    def __post_init__(self) -> None:
        if not -1 <= self.low < self.high <= 1:
            raise SettingError(
                f"The bounds are {self.low!r} and {self.high!r}; the first must be below the second, both from -1 to 1."
            )
        if not 0 < self.error < 0.5:  # noqa: PLR2004
            raise SettingError(f"error is {self.error!r}; it is a probability above 0 and below 0.5, such as 0.05.")

    def add(self, difference: float) -> Verdict:
        """Take one more difference in and return the verdict.

        Raises:
            SettingError: it is not a number from -1 to 1.
        """
        if not -1 <= difference <= 1:
            raise SettingError(f"A difference of scores is {difference!r}; it must be a number from -1 to 1.")
        bet = (self.high - self.low) / self._square
        for at, (multiple, _) in enumerate(_BETS):
            stake = min(bet * multiple, _BOLDEST)
            self.against_low[at] += math.log1p(stake * (difference - self.low) / (1 + abs(self.low)))
            self.against_high[at] += math.log1p(stake * (self.high - difference) / (1 + abs(self.high)))
        self.count += 1
        self.total += difference
        self.squares += difference * difference
        self._interval.add((difference + 1) / 2, self.error)
        above, below = (_capital(logs) >= self._threshold for logs in (self.against_low, self.against_high))
        self.is_below = self.is_below or below
        if self.verdict == "open":
            self.verdict = "above" if above else "below" if below else "open"
        return self.verdict

    @property
    def mean(self) -> float | None:
        """The mean difference; None before the first."""
        return self.total / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float]:
        """A confidence interval of the mean that holds at all times together, with probability ``1 - error``."""
        return self._interval.bounds(self.error)

    @property
    def more(self) -> int:
        """About how many more differences it takes if the mean is at one of the bounds; 0 with a verdict.

        A mean well beyond the bounds is decided sooner, and one in the middle between them later.
        """
        if self.verdict != "open":
            return 0
        missing = self._threshold - max(_capital(self.against_low), _capital(self.against_high))
        return max(1, math.ceil(missing * 2 * self._square / (self.high - self.low) ** 2))

    @property
    def _threshold(self) -> float:
        return -math.log(self.error)

    @property
    def _square(self) -> float:
        return (_PRIOR_COUNT * _PRIOR_SQUARE + self.squares) / (_PRIOR_COUNT + self.count)

    def to_json(self) -> dict[str, Any]:
        """Return the test as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return the test that `to_json` described.

        Raises:
            ArtifactError: it did not.
        """
        try:
            test = cls(**{**kept, "_interval": _Interval(**kept["_interval"])})
            numbers = [*test.against_low, *test.against_high, test.count, test.total, test.squares]
            is_whole = len(numbers) == 2 * len(_BETS) + 3 and all(math.isfinite(number) for number in numbers)
        except (TypeError, KeyError, SettingError) as error:
            raise ArtifactError(f"What was kept of a sequential test can't be read: {error}.") from error
        if not is_whole or test.verdict not in ("above", "below", "open"):
            raise ArtifactError("What was kept of a sequential test can't be read: numbers are missing or not finite.")
        return test


def _capital(logs: list[float]) -> float:
    """Return the logarithm of the capital of all bets together."""
    largest = max(logs)
    return largest + math.log(sum(share * math.exp(log - largest) for (_, share), log in zip(_BETS, logs, strict=True)))
