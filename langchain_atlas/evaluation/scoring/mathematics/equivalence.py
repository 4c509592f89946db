"""Mathematics: is the result of an answer equivalent to the expected one?"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from langchain_atlas.answers.texts import marked_answer
from langchain_atlas.errors import OutcomeError
from langchain_atlas.evaluation.scoring.base import Scorer
from langchain_atlas.evaluation.scoring.mathematics.prover import shared_prover
from langchain_atlas.evaluation.scoring.mathematics.written_numbers import number_in, numbers_in

if TYPE_CHECKING:
    from langchain_atlas.evaluation.scoring.mathematics.written_numbers import WrittenNumber

_SAYS = re.compile(r"\banswer\b(?:\s*\w+){0,3}?\s*(?:is|:|=|\*\*)\s*:?\s*([^\n]+)", re.IGNORECASE)
_SPAN = re.compile(
    r"\$\$(.{1,2000}?)\$\$|\\\[(.{1,2000}?)\\\]|(?<![\\\d])\$(?!\s)([^$\n]{1,2000}?)(?<![\\\s])\$(?!\d)|\\\((.{1,2000}?)\\\)",
    re.DOTALL,
)
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}(?![A-Za-z(])")
_ENDS = " \t\n.,;:!?*"
_CURRENCY = re.compile(r"^\s*\\?[$€£¥]\s*(?=[\d.])")


class MathScorer(Scorer):
    r"""1 when the result of the answer is mathematically the expected one, else 0: ``1/2``, ``0.5``, ``\frac{1}{2}``.

    The result is what the answer marks in ``\boxed{...}`` or after ``####`` on its last line; else what follows its
    last ``answer is``; else its last formula in LaTeX; else all of it, or its last number. So it is for the expected
    answer, which may be a whole solution. Numbers are compared within the tolerance, other expressions (roots,
    polynomials, sets, intervals, matrices, equations) by ``math-verify``, in a process of its own. One that takes
    longer than `timeout_s` to compare scores 0.
    """

    kind: Literal["math"] = "math"
    """Its name in `SCORERS`."""
    tolerance: float = Field(default=1e-6, ge=0, allow_inf_nan=False)
    """Largest distance between equal numbers, absolute below 1 and relative above."""
    timeout_s: int = Field(default=5, ge=1, le=60)
    """Maximum seconds of one comparison."""

    @model_validator(mode="after")
    def _can_compare(self) -> Self:
        shared_prover()  # raises `MissingExtraError` now, not after an hour of profiling
        return self

    def _target(self, expected: Any) -> str:
        several = isinstance(expected, list)
        text = str(expected) if isinstance(expected, str | int | float) and not isinstance(expected, bool) else ""
        found = _result(text)
        if several or not found or text in {"nan", "inf", "-inf"}:
            raise OutcomeError(
                f"Scorer 'math' needs a number, or mathematics as text (LaTeX or plain, or a solution that ends in "
                f"'#### 42' or \\boxed{{42}}), as the answer; got {expected!r}."
            )
        return found

    def _compare(self, answer: str, target: str) -> float:
        given = _result(answer)
        if not given:
            return 0.0
        if given == target:
            return 1.0
        wanted, number = _number(target), _number(given)
        if wanted is not None and number is None and _PROSE.search(given):
            numbers = numbers_in(given, fractions=True)
            number = numbers[-1] if numbers else None
        if wanted is not None and number is not None:
            return float(self._near(number, wanted))
        return float(shared_prover().equal(target, given, timeout_s=self.timeout_s))

    def _near(self, given: WrittenNumber, wanted: WrittenNumber) -> bool:
        if given.percent and wanted.percent:
            readings = [(given.value, wanted.value)]
        else:
            readings = [(one, other) for one in given.readings for other in wanted.readings]
        return any(abs(one - other) <= self.tolerance * max(1.0, abs(other)) for one, other in readings)


def _result(text: str) -> str:
    """Return the result of an answer or a solution, without the marks around it; empty if there is none."""
    marked = marked_answer(text)
    if marked is None:
        said = _SAYS.findall(text)
        marked = said[-1] if said else text
    spans = [next(filter(None, found), "") for found in _SPAN.findall(marked)]
    found = spans[-1] if spans else marked
    return _CURRENCY.sub("", found.strip(_ENDS)).strip(_ENDS)


def _number(text: str) -> WrittenNumber | None:
    number = number_in(text, fractions=True)
    return number if number is not None and math.isfinite(number.value) else None
