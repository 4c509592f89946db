"""``--map`` and ``--set``: which field of the source is which column, and values that hold for all rows."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.outcomes.columns import COLUMNS, OPTIONAL_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAMES = (*(column.name for column in COLUMNS), *(column.name for column in OPTIONAL_COLUMNS), "expected")
"""The columns that have a meaning; any other may be kept too."""

_NEXT = re.compile(r",(?=\s*[\w.]+\s*=)")


def parse(texts: Iterable[str], option: str) -> dict[str, str]:
    """Read ``column=field,column=field``; a comma ends a field only if another ``column=`` follows it.

    Args:
        texts: what was given; later ones win.
        option: the option's name in messages.

    Raises:
        SettingError: a part is not of that form, or a column seems misspelled.
    """
    found: dict[str, str] = {}
    for text in texts:
        for part in _NEXT.split(text):
            column, equals, name = (piece.strip() for piece in part.partition("="))
            if not equals or not column or not name:
                raise SettingError(f"{option} has {part!r}; write column=field, such as query=question,score=thumbs.")
            check(column, name, option)
            found[column] = name
    return found


def check(column: str, name: str, option: str = "the mapping") -> None:
    """Refuse a column that seems misspelled.

    Raises:
        SettingError: it is close to the name of a known column.
    """
    if column == "answer":
        raise SettingError(
            f"{option} has the column 'answer'. Write response={name} if it is what the model answered, "
            f"or expected={name} if it is the right answer."
        )
    if column in NAMES or column == name:
        return
    if get_close_matches(column, NAMES, cutoff=0.8):
        raise SettingError(
            f"{option} has the column {column!r}. {suggest(column, NAMES)} To keep a column of your own under its "
            f"name, write {name}={name}."
        )


def checked(mapping: Mapping[str, str] | None) -> dict[str, str]:
    """Return a mapping given as a dict, after checking its columns.

    Raises:
        SettingError: a column seems misspelled.
    """
    for column, name in (mapping or {}).items():
        check(column, name)
    return dict(mapping or {})
