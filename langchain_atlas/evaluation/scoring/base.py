"""The contract of a scorer: how right is an answer, 0 to 1?"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from langchain_atlas.errors import SettingError
from langchain_atlas.records import Record
from langchain_atlas.text.thoughts import without_thoughts


class Scorer(Record):
    """Compares an answer with the expected one. A setting that is unknown or out of range raises a `SettingError`."""

    kind: str
    """Its name in `SCORERS`."""

    @classmethod
    def _error(cls, message: str) -> SettingError:
        return SettingError(message)

    def check(self, expected: Any) -> None:
        """Check that this scorer can compare with `expected`.

        Raises:
            OutcomeError: it can't; the message says what would be valid.
        """
        self._target(expected)

    def score(self, answer: str, expected: Any) -> float:
        """Return how right `answer` is, 0 to 1; a model's thoughts are not part of its answer.

        Raises:
            OutcomeError: `expected` does not fit this scorer, or a user's scoring function failed.
        """
        return self._compare(without_thoughts(answer), self._target(expected))

    @abstractmethod
    def _target(self, expected: Any) -> Any:
        """Return `expected` in the form that `_compare` takes, or raise an `OutcomeError`."""

    @abstractmethod
    def _compare(self, answer: str, target: Any) -> float:
        """Return how right `answer` is, 0 to 1."""
