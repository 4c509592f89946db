"""The CUSUM e-detector: a sequential test for the moment at which a mean changes.

It bets against "nothing has changed", and begins anew whenever a bet has lost more than it won. As long as the mean,
given what came before, keeps to its bound, no bet is expected to win. An alarm is raised once the bets have become
`threshold` times what they began with; so there is one false alarm in `threshold` values at most, on average, however
long it runs, and of several detectors with the same threshold, one in `threshold` values that they take together.

See J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", New
England Journal of Statistics in Data Science (2023), sections 2 and 4: the baseline increments are bets on a bounded
mean, with a mixture over their size.
"""

from dataclasses import dataclass, field

from langchain_atlas.errors import SettingError

_BETS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""Sizes of the bets, as shares of the largest: 1 minus the factor by which the mean would have to shrink."""
_NEAREST = 1e-3
_LARGEST = 1e250


@dataclass
class EDetector:
    """Raises an alarm once a mean of values from 0 to 1 has fallen below a bound.

    For a mean that rises above a bound, give it 1 minus the values and 1 minus the bound.

    Raises:
        SettingError: the threshold is not above 1.
    """

    threshold: float
    """Average number of values for each false alarm, at least."""
    count: int = 0
    """Number of values so far."""
    capitals: list[float] = field(default_factory=lambda: [1.0] * len(_BETS))
    """What the bets of each size have become since they began."""
    _begun: list[int] = field(default_factory=lambda: [0] * len(_BETS), repr=False)

    def __post_init__(self) -> None:
        if not self.threshold > 1:
            raise SettingError(f"threshold is {self.threshold!r}; it must be a number above 1.")

    def add(self, value: float, bound: float) -> bool:
        """Take one more value in, and return whether the alarm is raised.

        Args:
            value: 0 to 1.
            bound: what its mean is at least if nothing has changed, given what came before; 0 to 1.
        """
        bound = min(bound, 1 - _NEAREST)
        step = (bound - value) / (1 - bound)
        for at, size in enumerate(_BETS):
            before = self.capitals[at]
            if before <= 1:
                self._begun[at], before = self.count, 1.0
            self.capitals[at] = min(before * (1 + size * step), _LARGEST)
        self.count += 1
        return sum(self.capitals) / len(_BETS) >= self.threshold

    @property
    def since(self) -> int:
        """Number of the value at which the change most likely began, counted from 0."""
        return self._begun[max(range(len(_BETS)), key=self.capitals.__getitem__)]
