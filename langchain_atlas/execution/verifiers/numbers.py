"""Checks of a number: its range and its unit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_atlas.answers.texts import final_part, number_of
from langchain_atlas.errors import SettingError
from langchain_atlas.execution.verifiers.base import Verifier, failed, passed

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Observation, Query, Verdict

_NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")


class NumberVerifier(Verifier):
    """Checks that an answer's number, the last in it, lies in a range and has a unit.

    Args:
        low: the smallest number that can be; None for no limit.
        high: the largest number that can be; None for no limit.
        unit: what must follow the number, such as ``km``, or precede it, such as ``$``; case matters.
        whole: whether it must be a whole number.

    Raises:
        SettingError: nothing is checked, or `low` is above `high`.
    """

    def __init__(
        self, *, low: float | None = None, high: float | None = None, unit: str | None = None, whole: bool = False
    ) -> None:
        if low is None and high is None and not unit and not whole:
            raise SettingError("NumberVerifier checks nothing; give low, high, unit or whole.")
        if low is not None and high is not None and low > high:
            raise SettingError(f"low is {low!r} and high {high!r}; low can't be above high.")
        self.low, self.high, self.unit, self.whole = low, high, unit, whole

    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer; see `Verifier.verify`."""
        del query
        text = final_part(observation.answer or "")
        matches = list(_NUMBER.finditer(text))
        number = number_of(matches[-1][0]) if matches else None
        if number is None:
            return failed("It holds no number.")
        if self.low is not None and number < self.low:
            return failed(f"{number:g} is below {self.low:g}.")
        if self.high is not None and number > self.high:
            return failed(f"{number:g} is above {self.high:g}.")
        if self.whole and not number.is_integer():
            return failed(f"{number:g} is not a whole number.")
        if self.unit and not self._has_unit(text, matches[-1]):
            return failed(f"{number:g} is not given in {self.unit}.")
        return passed(f"{number:g} can be.")

    def _has_unit(self, text: str, match: re.Match[str]) -> bool:
        unit = re.escape(self.unit or "")
        before, behind = text[: match.start()], text[match.end() :]
        return bool(re.match(rf"[\s*_`}}]*{unit}(?!\w)", behind) or re.search(rf"(?<!\w){unit}\s*$", before))
