"""Scores from what people said, in a column of a table: by the rules of imports, one for the whole column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.outcomes.importers.reading.score_rules import RULES, ScoreRule, rule_for
from langchain_atlas.outcomes.importers.reading.score_rules import scale as rule_of_scale
from langchain_atlas.outcomes.importers.reading.values import empty, number

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST = 40


@dataclass(frozen=True)
class Opinions:
    """A column of opinions as scores."""

    scores: list[float | None]
    """Score of each value, 0 to 1; None where nothing was said or it was not understood."""
    rule: str
    """The rule that was applied, for people; empty if nothing was said."""
    unread: dict[str, int] = field(default_factory=dict)
    """Values that were not understood, with their numbers."""


def opinions(values: Sequence[Any], scale: tuple[float, float] | None = None, column: str = "feedback") -> Opinions:
    """Turn what people said into scores, by the rule that fits the column; see `importers.reading.score_rules`.

    Args:
        values: the column.
        scale: lowest and highest number, such as (1, 5) for stars.
        column: its name.

    Raises:
        SettingError: the scale is no scale, or the values fit no rule.
    """
    if scale is not None and not scale[0] < scale[1]:
        raise SettingError(f"The scale is {scale!r}; its lowest number must be below its highest, such as 1-5.")
    rule = _rule(values, column) if scale is None else rule_of_scale(*scale)
    scores: list[float | None] = []
    unread: dict[str, int] = {}
    for value in values:
        score = None
        if not empty(value):
            try:
                score = rule.read(value)
            except ValueError:
                shown = str(value)[:_LONGEST]
                unread[shown] = unread.get(shown, 0) + 1
        scores.append(score)
    return Opinions(scores, "" if all(map(empty, values)) else rule.text, unread)


def _rule(values: Sequence[Any], column: str) -> ScoreRule:
    """Return the rule that fits; that of words where all values are words, which are then counted as unread."""
    try:
        return rule_for(values, column)
    except SettingError:
        if any(map(_is_number, values)):
            raise
        return RULES[-1]


def _is_number(value: Any) -> bool:
    try:
        return number(value) is not None
    except ValueError:
        return False
