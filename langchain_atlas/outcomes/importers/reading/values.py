"""Values as logs write them: nested fields, numbers, times, JSON inside of texts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

MISSING = object()
"""Returned by `at` for a path that leads nowhere."""

_EMPTY_TEXTS = frozenset({"", "null", "none", "nan", "n/a", "na"})
_SECONDS_LIMITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Times since 1970: from this number on, in nanoseconds, microseconds, milliseconds."""


def at(value: Any, path: str) -> Any:
    """Return a nested value by its path, such as ``outputs.choices.0.text``; `MISSING` if there is none.

    A name that contains dots itself is tried first as it is. JSON inside of texts is read.
    """
    value = unpacked(value)
    if isinstance(value, Mapping) and path in value:
        return value[path]
    head, _, rest = path.partition(".")
    while True:
        inner = _step(value, head)
        if inner is not MISSING:
            return inner if not rest else at(inner, rest)
        if not rest:
            return MISSING
        more, _, rest = rest.partition(".")  # a name with a dot in the middle of a path
        head = f"{head}.{more}"


def _step(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name, MISSING)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and re.fullmatch(r"-?\d{1,6}", name):
        index = int(name)
        return value[index] if -len(value) <= index < len(value) else MISSING
    return MISSING


def first(value: Any, *paths: str) -> Any:
    """Return the first value at one of the paths that is there and not empty; None if there is none."""
    for path in paths:
        found = at(value, path)
        if found is not MISSING and not empty(unpacked(found)):  # a text may hold {}
            return found
    return None


def empty(value: Any) -> bool:
    """Return whether a value is missing: None, NaN, an empty container, or a text that says so."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, str):
        return value.strip().lower() in _EMPTY_TEXTS
    return isinstance(value, Mapping | list | tuple) and not value


def unpacked(value: Any) -> Any:
    """Return the object or list that a text holds as JSON; any other value unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def number(value: Any) -> float | None:
    """Read a number: ``0.0012``, ``"$0.0012"``, ``"1,234"``; None if it is missing.

    Raises:
        ValueError: it is none.
    """
    if empty(value):
        return None
    if isinstance(value, bool):
        raise ValueError("is true or false, not a number")  # noqa: TRY004  # one kind of error for all values
    try:
        if isinstance(value, str):
            text = value.strip().removeprefix("$").removesuffix("$").strip()
            if re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", text):
                text = text.replace(",", "")
            read = float(text)
        else:
            read = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("is not a number") from None
    if not math.isfinite(read):
        raise ValueError("is not a finite number")
    return read


def moment(value: Any) -> datetime | None:
    """Read a time: ISO 8601, or seconds, milliseconds, microseconds or nanoseconds since 1970; None if missing.

    A time without a zone is taken as UTC.

    Raises:
        ValueError: it is none.
    """
    if empty(value):
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str) and not re.fullmatch(r"\d+(\.\d*)?", value.strip()):
        text = re.sub(r"\s*UTC$", "+00:00", value.strip())
        text = re.sub(r"(\.\d{6})\d+", r"\1", text)
        text = re.sub(r"([+-]\d\d)$", r"\1:00", text) if ":" in text else text
        try:
            read = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("is not a time; write ISO 8601, such as 2026-05-01T12:00:00Z") from None
        return read if read.tzinfo else read.replace(tzinfo=UTC)
    seconds = number(value) or 0.0
    for limit, parts in _SECONDS_LIMITS:
        if seconds >= limit:
            seconds /= parts
            break
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueError("is not a time") from None


def seconds_between(start: Any, end: Any) -> float | None:
    """Return the seconds between two times; None if one is unknown or they are in the wrong order."""
    try:
        begun, ended = moment(start), moment(end)
    except ValueError:
        return None
    if begun is None or ended is None or ended < begun:
        return None
    return (ended - begun).total_seconds()


def text_of(value: Any) -> str | None:
    """Return a value as text: a text unchanged, anything else as JSON; None if it is missing."""
    if empty(value):
        return None
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
