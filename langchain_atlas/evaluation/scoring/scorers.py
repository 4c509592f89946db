"""Scorers: how right is an answer, 0 to 1?

A query file names a scorer by its kind, ``"numeric"``, or with settings, ``{"kind": "numeric", "tolerance": 0.01}``.
"""

from __future__ import annotations

import ast
import importlib
import json
import math
import unicodedata
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Literal

import regex
from pydantic import Field, field_validator

from langchain_atlas.answers.texts import marked_answer
from langchain_atlas.errors import OutcomeError, SettingError, suggest
from langchain_atlas.evaluation.scoring.base import Scorer
from langchain_atlas.evaluation.scoring.mathematics.equivalence import MathScorer
from langchain_atlas.evaluation.scoring.mathematics.written_numbers import (
    UNSPACED,
    WrittenNumber,
    narrow,
    number_in,
    numbers_in,
)

_END_PUNCTUATION = ".!?,;: \u3002\u3001\uff61\u061f\u060c\u061b\u0964\u0965\u104b\u1362\u17d4\u2026"
"""Sentence endings of scripts that have their own; full-width ones are normalized before."""

_LETTER = rf"(?!{UNSPACED}|[\ufe00-\ufe0f])[\w\p{{M}}]"
_BEGINS_UNSPACED, _ENDS_UNSPACED = regex.compile(UNSPACED), regex.compile(rf"{UNSPACED}\p{{M}}*$")
_ENDS_KOREAN = regex.compile(r"\p{Hangul}$")
_NOT_MARKED = r"(?!(?![\ufe00-\ufe0f])\p{M})"
"""A vowel sign or an accent belongs to the character before it; variation selectors are ignored."""


class _TextScorer(Scorer):
    """Expects a text, a number, true or false, or a list of these, any of which is right."""

    ignore_case: bool = True
    """Whether ``Paris`` is ``paris``."""

    def _target(self, expected: Any) -> list[str]:
        several = expected if isinstance(expected, list) else [expected]
        plain = all(isinstance(item, str | int | float) for item in several)
        texts = [item if isinstance(item, str) else json.dumps(item) for item in several] if plain else []
        if not texts or not all(text.strip() for text in texts):
            raise OutcomeError(
                f"Scorer {self.kind!r} needs a text, or a list of them, as the answer; got {expected!r}."
            )
        return [self._normal(text) for text in texts]

    def _normal(self, text: str) -> str:
        spaced = " ".join(unicodedata.normalize("NFC", narrow(text)).split())
        return spaced.casefold() if self.ignore_case else spaced


class ExactScorer(_TextScorer):
    r"""1 when the answer is the expected text, or one of several, else 0; spacing does not matter.

    Where an answer marks its result, in ``\boxed{...}`` or after ``####`` on its last line, that alone may be it.
    """

    kind: Literal["exact"] = "exact"
    """Its name in `SCORERS`."""
    ignore_end_punctuation: bool = True
    """Whether ``Paris.`` is ``Paris``."""

    def _normal(self, text: str) -> str:
        text = super()._normal(text)
        return (text.rstrip(_END_PUNCTUATION) or text) if self.ignore_end_punctuation else text

    def _compare(self, answer: str, target: list[str]) -> float:
        marked = marked_answer(answer)
        return float(self._normal(answer) in target or (marked is not None and self._normal(marked) in target))


class ContainsScorer(_TextScorer):
    """1 when the answer contains the expected text, or one of several, as whole words, else 0.

    A number is not found inside a longer one: neither ``17`` in ``17.5`` nor ``234`` in ``1,234``. Chinese, Japanese,
    Thai and other scripts put no spaces between words; in them, a text is found at any position.
    """

    kind: Literal["contains"] = "contains"
    """Its name in `SCORERS`."""
    unless: tuple[str, ...] = ()
    """Texts that make an answer wrong if it contains them, so that an answer that lists all options does not count."""

    @field_validator("unless")
    @classmethod
    def _says_something(cls, unless: tuple[str, ...]) -> tuple[str, ...]:
        if not all(text.strip() for text in unless):
            raise ValueError("each of the texts must hold a word")
        return unless

    def _target(self, expected: Any) -> list[str]:
        target = super()._target(expected)
        for wrong in self.unless:
            if any(_stands_in(wanted, self._normal(wrong)) for wanted in target):
                raise OutcomeError(
                    f"Scorer 'contains' expects {expected!r}, but that contains {wrong!r} from 'unless', "
                    "and would be wrong. Remove one of them."
                )
        return target

    def _compare(self, answer: str, target: list[str]) -> float:
        text = self._normal(answer)
        right = any(_stands_in(text, wanted) for wanted in target)
        return float(right and not any(_stands_in(text, self._normal(wrong)) for wrong in self.unless))


def _stands_in(text: str, wanted: str) -> bool:
    """Whether a text occurs in another one between boundaries of words and numbers."""
    before = "" if _BEGINS_UNSPACED.match(wanted) else rf"(?<!{_LETTER})"
    behind = "" if _ENDS_UNSPACED.search(wanted) else rf"(?!{_LETTER})"
    if _ENDS_KOREAN.search(wanted):  # Korean appends endings to its words
        behind = rf"(?!(?!\p{{Hangul}}){_LETTER})"
    if wanted[0].isdecimal():
        before += r"(?<![0-9][.,])"
    if wanted[-1].isdecimal():
        behind += r"(?![.,][0-9])"
    return regex.search(f"{before}{regex.escape(wanted)}{_NOT_MARKED}{behind}", text) is not None


class NumericScorer(Scorer):
    r"""1 when a number in the answer is the expected one within the tolerance, else 0.

    Recognized are ``1,234.5``, ``-7``, ``.5``, ``1.2e-3``, ``3 x 10^8``, ``45%``, and the forms of LaTeX and other
    languages; see `written_numbers`. If only one of the two has a percent sign, ``45%`` may mean 45 or 0.45. Where the
    answer, or the expected one, marks its result in ``\boxed{...}`` or after ``####`` on its last line, that counts.
    """

    kind: Literal["numeric"] = "numeric"
    """Its name in `SCORERS`."""
    tolerance: float = Field(default=1e-6, ge=0, allow_inf_nan=False)
    """Largest distance, absolute below 1 and relative above: ``|a - b| <= tolerance * max(1, |b|)``, b expected."""
    which: Literal["last", "first"] = "last"
    """Which number of the answer counts; models give reasons first and the result last."""
    fractions: bool = False
    """Whether ``3/4`` is 0.75, rather than 3 and 4; ``\\frac{3}{4}`` always is."""

    def _target(self, expected: Any) -> WrittenNumber:
        text = expected if isinstance(expected, str) else ""
        if isinstance(expected, int | float) and not isinstance(expected, bool):
            text = str(expected)
        number = number_in(text, fractions=self.fractions) or number_in(
            marked_answer(text) or "", fractions=self.fractions
        )
        if number is None:
            hint = "" if self.fractions else " (with 'fractions': true also such as '3/4')"
            raise OutcomeError(f"Scorer 'numeric' needs a finite number as the answer{hint}; got {expected!r}.")
        return number

    def _compare(self, answer: str, target: WrittenNumber) -> float:
        marked = numbers_in(marked_answer(answer) or "", fractions=self.fractions)
        numbers = marked or numbers_in(answer, fractions=self.fractions)
        if not numbers:
            return 0.0
        given = numbers[0 if self.which == "first" else -1]
        if given.percent and target.percent:
            return float(self._near(given.value, target.value))
        return float(any(self._near(one, other) for one in given.readings for other in target.readings))

    def _near(self, given: float, target: float) -> bool:
        return abs(given - target) <= self.tolerance * max(1.0, abs(target))


class PythonTestsScorer(Scorer):
    """1 when the answer's Python code, with or without a fence, passes the expected tests in the sandbox, else 0.

    Expects Python with at least one assert statement, as a text or a list of lines. Code that needs something that the
    sandbox lacks scores 0, even if it is right.
    """

    kind: Literal["python_tests"] = "python_tests"
    """Its name in `SCORERS`."""
    backend: Literal["monty", "process"] = "monty"
    """The sandbox: Monty, which differs from Python in places (see ``docs/tools/python.md``), or CPython itself."""

    def _target(self, expected: Any) -> str:
        lines = expected if isinstance(expected, list) else [expected]
        tests = "\n".join(line for line in lines if isinstance(line, str))
        parsed = _parsed(tests)
        asserts = parsed is not None and any(isinstance(node, ast.Assert) for node in ast.walk(parsed))
        if not asserts or not all(isinstance(line, str) for line in lines):
            raise OutcomeError(
                f"Scorer 'python_tests' needs assert statements in Python as the answer; got {expected!r}."
            )
        return tests

    def _compare(self, answer: str, target: str) -> float:
        from langchain_atlas.tools.python.backends import shared_backend
        from langchain_atlas.tools.python.tool import run_unit_tests

        return float(run_unit_tests(answer, target, shared_backend(self.backend)).succeeded)


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # what the parser raises on hostile input
        return None


class FunctionScorer(Scorer):
    """Calls a user's function: ``function(answer, expected)``, 0 to 1. Threads may call it concurrently."""

    kind: Literal["function"] = "function"
    """Its name in `SCORERS`."""
    name: str
    """Where the function is, as ``package.module:attribute``; it is imported when the scorer is created."""

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        _imported(name)
        return name

    def _target(self, expected: Any) -> Any:
        return expected

    def _compare(self, answer: str, target: Any) -> float:
        try:
            value = _imported(self.name)(answer, target)
        except Exception as error:
            raise OutcomeError(f"The scoring function {self.name!r} raised {type(error).__name__}: {error}.") from error
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not 0 <= number <= 1:
            raise OutcomeError(
                f"The scoring function {self.name!r} returned {value!r}; a score is a number from 0 to 1."
            )
        return number


def _imported(name: str) -> Callable[[str, Any], Any]:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError("write 'package.module:attribute'")
    try:
        found = attrgetter(attribute)(importlib.import_module(module))
    except Exception as error:  # a user's module may raise anything while it is imported
        raise ValueError(f"can't be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ValueError("is not a function")  # noqa: TRY004  # pydantic makes a message of a ValueError only
    return found  # type: ignore[no-any-return]


SCORERS: dict[str, type[Scorer]] = {
    "exact": ExactScorer,
    "numeric": NumericScorer,
    "contains": ContainsScorer,
    "math": MathScorer,
    "python_tests": PythonTestsScorer,
    "function": FunctionScorer,
}
"""The scorers by kind."""


def build_scorer(given: Scorer | str | Mapping[str, Any]) -> Scorer:
    """Return a scorer, given its kind, or its kind and settings.

    Raises:
        SettingError: the kind does not exist, or a setting is unknown or out of range.
    """
    if isinstance(given, Scorer):
        return given
    settings = {"kind": given} if isinstance(given, str) else given
    if not isinstance(settings, Mapping) or "kind" not in settings:
        raise SettingError(f"{given!r} is not a scorer; write a kind such as 'exact', or {{'kind': 'exact', ...}}.")
    kind = SCORERS.get(str(settings["kind"]))
    if kind is None:
        raise SettingError(f"Unknown scorer {settings['kind']!r}. {suggest(str(settings['kind']), SCORERS)}")
    for name in settings:
        if name not in kind.model_fields:
            raise SettingError(
                f"Scorer {settings['kind']!r} has no setting {name!r}. {suggest(name, kind.model_fields)}"
            )
    return kind(**settings)


def score(scorer: Scorer | str | Mapping[str, Any], answer_given: str, expected: Any) -> float:
    """Return how right an answer is, 0 to 1; raises what `build_scorer` and `Scorer.score` raise."""
    return build_scorer(scorer).score(answer_given, expected)
