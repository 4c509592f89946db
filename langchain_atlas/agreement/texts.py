"""Answers that are no function calls: numbers, choices, short and long texts."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?")
_CURRENCY = "$€£¥"
_FINAL = re.compile(r"(?:####|\\boxed\{|(?:final\s+)?answer\s*(?:is|:|=)\s*:?)\s*\(?([^\n}]+)", re.IGNORECASE)
_CHOICE = re.compile(r"\(?([A-Z])\)?(?:[).:].*)?", re.DOTALL)
_NOTHING = frozenset({"", "none", "null", "nan", "unknown", "invalid", "error", "n a", "i don t know"})
_WORDS = re.compile(r"[^0-9a-z]+")
_MARKDOWN = re.compile(r"[*_`]+")


def final_part(text: str) -> str:
    """Return what follows the last ``answer is``, ``####`` or LaTeX box; the whole text where there is none."""
    found = _FINAL.findall(text)
    return (found[-1] if found else text).strip()


def number_of(text: str) -> float | None:
    """Return the number that a text consists of, currency, percent and thousands marks aside; None if it is none."""
    bare = text.strip().strip(_CURRENCY).rstrip("%.").strip().strip(_CURRENCY)
    if not bare or not any(char.isdigit() for char in bare) or not _NUMBER.fullmatch(bare):
        return None
    value = float(bare.replace(",", ""))
    return value if math.isfinite(value) else None


def choice_of(text: str) -> str | None:
    """Return the capital letter that a text chooses, as in ``B``, ``(B)`` or ``B) because``; None if it is none."""
    match = _CHOICE.fullmatch(_MARKDOWN.sub("", text).strip())
    return match.group(1) if match else None


def words_of(text: str) -> str:
    """Return a text with everything but letters and digits a single space, in lower case."""
    return _WORDS.sub(" ", text.lower()).strip()


def says_nothing(text: str) -> bool:
    """Whether a text is empty or says that there is no answer."""
    return words_of(text) in _NOTHING


def close(first: float, second: float, tolerance: float) -> bool:
    """Whether two numbers are equal up to a tolerance, absolute below 1 and relative above."""
    return abs(first - second) <= tolerance * max(1.0, abs(first), abs(second))
