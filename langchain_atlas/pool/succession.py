"""Of which known model a new one is a variant or a later version, by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PART = re.compile(r"[^a-z0-9]+")
_VERSION = re.compile(r"v?\d+")
_LABELS = {"latest", "preview", "exp", "experimental"}
_VARIANT = re.compile(r"^(.+?)(?:[-_: ](?:minimal|low|medium|high|max|thinking|reasoning))+$", re.IGNORECASE)


def inherits_from(model: str, known: Iterable[str]) -> str | None:
    """Return the model whose record a new one begins with: the base of a variant, or else its predecessor.

    Args:
        model: name of the new model; ``gpt5-low`` is a variant of ``gpt5``.
        known: names of the models that it may inherit from.
    """
    names = list(known)
    variant = _VARIANT.match(model)
    base = variant[1] if variant else None
    return base if base in names else predecessor_of(model, names)


def predecessor_of(model: str, known: Iterable[str]) -> str | None:
    """Return the model of which another is a later version, by name; None if there is none.

    Names are compared without their versions and dates, in any order of their words: ``claude-sonnet-4-5`` comes after
    ``claude-3-5-sonnet``. The latest earlier version is taken. ``70b`` and ``4o`` are no versions.

    Args:
        model: name of the new model.
        known: names of the models that it may come after.
    """
    family, version = _parsed(model)
    earlier = [(number, name) for name in known for words, number in [_parsed(name)] if words == family]
    before = [(number, name) for number, name in earlier if number < version and name != model]
    return max(before)[1] if before else None


def _parsed(name: str) -> tuple[frozenset[str], tuple[int, ...]]:
    words = [word for word in _PART.split(name.lower().rpartition("/")[2]) if word and word not in _LABELS]
    versions = tuple(int(word.lstrip("v")) for word in words if _VERSION.fullmatch(word))
    return frozenset(word for word in words if not _VERSION.fullmatch(word)), versions
