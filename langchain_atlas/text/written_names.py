"""Names that stand in a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def first_named(text: str, names: Sequence[str]) -> str | None:
    """Return the name that stands first in a text, the longest of those that begin there; None if there is none.

    Case is ignored. A name inside a longer word does not count: ``big@@none`` does not stand in ``big@@none-such``.

    Args:
        text: the text.
        names: the names to look for.
    """
    low = text.lower()
    found = [
        (at, -len(name), name) for name in names for at in _places(low, name.lower()) if _whole(low, at, len(name))
    ]
    return min(found)[2] if found else None


def _places(text: str, name: str) -> list[int]:
    places, at = [], text.find(name)
    while at >= 0:
        places.append(at)
        at = text.find(name, at + 1)
    return places


def _whole(text: str, at: int, length: int) -> bool:
    before, after = text[at - 1 : at], text[at + length : at + length + 1]
    beyond = text[at + length + 1 : at + length + 2]
    ends = not (after.isalnum() or after in {"-", "_", "@", "/", "+"} or (after in {".", ":"} and beyond.isalnum()))
    return ends and not (before.isalnum() or before in {"-", "_", "@", "/", "+"})
