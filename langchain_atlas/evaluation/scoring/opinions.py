"""Scores from what people said: thumbs, stars, booleans, words; by one rule that is stated, not guessed row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

_GOOD = frozenset(
    {"up", "thumbs up", "thumbsup", "thumbs_up", "+1", "\U0001f44d", "like", "liked", "good", "right", "correct", "yes",
     "true", "positive", "pass", "passed", "helpful", "accept", "accepted", "\u2713", "\u2714", "y", "+"}
)  # fmt: skip
_BAD = frozenset(
    {"down", "thumbs down", "thumbsdown", "thumbs_down", "\U0001f44e", "dislike", "disliked", "bad", "wrong",
     "incorrect", "no", "false", "negative", "fail", "failed", "unhelpful", "not helpful", "reject", "rejected",
     "\u2717", "\u2718", "n"}
)  # fmt: skip
_NEUTRAL = frozenset({"", "none", "null", "nan", "n/a", "na", "-", "neutral", "skip", "skipped", "unknown"})
_SKINS = {0xFE0F, *range(0x1F3FB, 0x1F400)}
"""Variants of an emoji that do not change what it says."""
_SCALES = ((0, 1), (1, 5), (0, 5), (1, 10), (0, 10), (0, 100))


@dataclass(frozen=True)
class Opinions:
    """A column of opinions as scores."""

    scores: list[float | None]
    """Score of each value, 0 to 1; None where nothing was said or it was not understood."""
    rule: str
    """The rule that was applied to numbers, for people; empty if there were none."""
    unread: dict[str, int] = field(default_factory=dict)
    """Values that were not understood, with their numbers."""


def opinions(values: Sequence[Any], scale: tuple[float, float] | None = None) -> Opinions:
    """Turn what people said into scores.

    True, thumbs up and words such as ``good`` or ``correct`` are 1; false, thumbs down and ``bad`` or ``wrong`` are 0.
    Numbers are placed on a scale that holds for all values: the one given, or the first that fits them all of -1 to 1
    (if one is negative), 0 to 1, 1 to 5, 0 to 5, 1 to 10, 0 to 10, and 0 to 100. On -1 to 1, 0 says nothing.

    Args:
        values: the column.
        scale: lowest and highest number, such as (1, 5) for stars.

    Raises:
        SettingError: the scale is no scale, or the numbers fit none.
    """
    if scale is not None and not scale[0] < scale[1]:
        raise SettingError(f"The scale is {scale!r}; its lowest number must be below its highest, such as 1-5.")
    read = [_read(value) for value in values]
    numbers = sorted({value for value in read if isinstance(value, float)})
    low, high = scale or _scale(numbers)
    scores: list[float | None] = []
    unread: dict[str, int] = {}
    for value, raw in zip(read, values, strict=True):
        if isinstance(value, bool):
            scores.append(float(value))
        elif isinstance(value, float) and low <= value <= high:
            neutral = low == -1 and value == 0
            scores.append(None if neutral else (value - low) / (high - low))
        else:
            scores.append(None)
            if value is not None:
                unread[str(raw)[:40]] = unread.get(str(raw)[:40], 0) + 1
    rule = f"numbers from {low:g} to {high:g} are scores from 0 to 1" if numbers else ""
    return Opinions(scores, rule, unread)


def _scale(numbers: Sequence[float]) -> tuple[float, float]:
    if not numbers:
        return 0, 1
    if numbers[0] < 0:
        fits = numbers[0] >= -1 and numbers[-1] <= 1
        found = (-1, 1) if fits else None
    else:
        found = next((pair for pair in _SCALES if pair[0] <= numbers[0] and numbers[-1] <= pair[1]), None)
        if found == (0, 1) and numbers[0] == numbers[-1] == 1:
            return 0, 1  # only ones: thumbs up, as far as can be told
    if found is None:
        raise SettingError(
            f"The numbers from {numbers[0]:g} to {numbers[-1]:g} fit no known scale; say which, such as --scale 1-5."
        )
    return found


def _read(value: Any) -> bool | float | str | None:
    """Return a boolean, a number, None for nothing said, or the text itself if it is not understood."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    text = " ".join("".join(char for char in str(value) if ord(char) not in _SKINS).lower().split())
    if text in _NEUTRAL:
        return None
    if text in _GOOD or text in _BAD:
        return text in _GOOD
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else None
