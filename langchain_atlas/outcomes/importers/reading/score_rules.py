"""From what people and programs write as feedback to a score from 0 to 1: thumbs, stars, true and false, words.

Imports, the scorer ``feedback`` and people's marks all read by these rules.

One rule holds for a whole column, the one that fits most of its values. A value that does not fit is reported, and its
row has no score.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.outcomes.importers.base import shown
from langchain_atlas.outcomes.importers.reading.values import empty, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_GOOD = [
    "1",
    "up",
    "thumbs_up",
    "thumbsup",
    "thumb_up",
    "👍",
    "like",
    "liked",
    "good",
    "great",
    "correct",
    "right",
    "true",
    "yes",
    "y",
    "t",
    "pass",
    "passed",
    "success",
    "positive",
    "+",
    "helpful",
    "accept",
    "accepted",
    "c",
    "✓",
    "✔",
    "✅",
    "resolved",
    "win",
    "satisfied",
]
_BAD = [
    "0",
    "-1",
    "down",
    "thumbs_down",
    "thumbsdown",
    "thumb_down",
    "👎",
    "dislike",
    "disliked",
    "bad",
    "poor",
    "incorrect",
    "wrong",
    "false",
    "no",
    "n",
    "f",
    "fail",
    "failed",
    "failure",
    "negative",
    "unhelpful",
    "not_helpful",
    "reject",
    "rejected",
    "i",
    "✗",
    "✘",
    "❌",
    "unresolved",
    "loss",
    "dissatisfied",
]
_HALF = ["p", "partial", "partially", "partly", "partially_correct", "mixed", "half", "tie"]
_NONE = ["neutral", "none", "unknown", "unrated", "skip", "skipped", "n/a"]

WORDS: dict[str, float | None] = {
    **dict.fromkeys(_GOOD, 1.0),
    **dict.fromkeys(_BAD, 0.0),
    **dict.fromkeys(_HALF, 0.5),
    **dict.fromkeys(_NONE, None),
}
"""Scores of words; None is no score."""

_MOST = 5
_ENOUGH = 0.6
"""Share of the values that a rule must fit."""
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]")


@dataclass(frozen=True)
class ScoreRule:
    """How the values of one column become scores."""

    name: str
    """Its name: ``0 to 1``, ``thumbs``, ``stars``, ``words`` or ``LOW:HIGH``."""
    text: str
    """The rule in words."""
    source: str
    """The column ``score_source`` of its rows: ``feedback``, or ``recorded`` for numbers of any origin."""
    read: Callable[[Any], float | None]
    """Return the score of a value, None for no score; raises `ValueError` if the value does not fit."""

    def fits(self, value: Any) -> bool:
        """Return whether the rule can read a value."""
        try:
            self.read(value)
        except ValueError:
            return False
        return True


def _fraction(value: Any) -> float:
    read = _plain(value)
    if not 0 <= read <= 1:
        raise ValueError("is not from 0 to 1")
    return read


def _thumbs(value: Any) -> float | None:
    read = _plain(value)
    if read not in (-1.0, 0.0, 1.0):
        raise ValueError("is not -1, 0 or 1")
    return {-1.0: 0.0, 0.0: None, 1.0: 1.0}[read]


def _stars(value: Any) -> float:
    text = str(value).strip() if not isinstance(value, bool) else "?"
    drawn = re.fullmatch(r"([★⭐*]{1,5})[☆✩]*", _SKIN.sub("", text))
    told = re.fullmatch(r"(\d(?:[.,]\d+)?)\s*(?:stars?|/\s*5|out of 5|of 5)(?:\s*stars?)?", text.lower())
    read = float(len(drawn[1])) if drawn else float(told[1].replace(",", ".")) if told else _plain(value)
    if not 1 <= read <= _MOST:
        raise ValueError("is not from 1 to 5 stars")
    return (read - 1) / (_MOST - 1)


def _words(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    text = _SKIN.sub("", str(value)).strip()
    word = re.sub(r"[\s-]+", "_", text.lower().rstrip(".!"))
    if percent := re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", text):
        return _fraction(float(percent[1]) / 100)
    if text not in WORDS and word not in WORDS:
        try:
            return _fraction(value)
        except ValueError:
            raise ValueError("is no word that means right or wrong") from None
    return WORDS.get(text, WORDS.get(word))


def _plain(value: Any) -> float:
    read = number(value)
    if read is None:
        raise ValueError("is empty")
    return read


RULES = (
    ScoreRule("0 to 1", "from 0 to 1, taken as they are", "recorded", _fraction),
    ScoreRule("thumbs", "thumbs: 1 is right (1), -1 is wrong (0), 0 is no score", "feedback", _thumbs),
    ScoreRule("stars", "stars from 1 to 5: 1 star is 0, 3 are 0.5, 5 are 1", "feedback", _stars),
    ScoreRule(
        "words", "words: such as up, good, yes, true, pass are 1; down, bad, no, false, fail are 0", "feedback", _words
    ),
)
"""The rules, the plainest first; of rules that fit equally well, the first is taken."""


def scale(low: float, high: float) -> ScoreRule:
    """Make a rule for numbers from `low` to `high`, and words."""

    def read(value: Any) -> float | None:
        try:
            given = _plain(value)
        except ValueError:
            return _words(value)
        if not low <= given <= high:
            raise ValueError(f"is not from {low:g} to {high:g}")
        return (given - low) / (high - low)

    return ScoreRule(f"{low:g}:{high:g}", f"scores from {low:g} to {high:g}, brought to 0 to 1", "feedback", read)


def named_rule(text: str) -> ScoreRule:
    """Return the rule that a caller names: ``thumbs``, ``stars``, ``words``, ``0:1`` or any ``LOW:HIGH``.

    Raises:
        SettingError: there is no such rule.
    """
    for rule in RULES:
        if text.strip().lower() == rule.name:
            return rule
    low, found, high = text.partition(":")
    try:
        bounds = float(low), float(high)
    except ValueError:
        bounds = (0.0, 0.0)
    if not found or not bounds[0] < bounds[1]:
        raise SettingError(f"The scale is {text!r}; it must be thumbs, stars, words, or LOW:HIGH such as 0:10.")
    return scale(*bounds)


def rule_for(values: Sequence[Any], column: str) -> ScoreRule:
    """Return the rule that fits most values of a column.

    Args:
        values: the values; missing ones are ignored.
        column: the column's name: ``stars`` or ``rating`` decides between rules that fit equally well.

    Raises:
        SettingError: no rule fits at least three fifths of the values.
    """
    given = [value for value in values if not empty(value)]
    if not given:
        return RULES[0]
    rated = re.search(r"star|rating", column.lower()) is not None
    if rated and all(str(value).strip() in ("1", "1.0") for value in given):
        raise SettingError(
            f"All scores in {column!r} are 1, which may be one star of five or a thumb up. Name the scale, with "
            "--scale 1:5 or --scale 0:1."
        )
    order = sorted(RULES, key=lambda rule: rule.name != "stars") if rated else list(RULES)
    shares = [(sum(map(rule.fits, given)) / len(given), -place) for place, rule in enumerate(order)]
    share, place = max(shares)
    if share < _ENOUGH:
        seen = ", ".join(dict.fromkeys(shown(value) for value in given[:_MOST]))
        raise SettingError(
            f"The scores in {column!r} ({seen}, ...) are on no scale that is known: 0 to 1, thumbs, stars from 1 to 5, "
            "true and false, or words. Name it, with --scale 0:10 or the like."
        )
    return order[-place]
