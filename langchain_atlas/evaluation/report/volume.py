"""How many queries come in a day, a week, a month or a year, so that costs are shown in dollars of that time."""

from __future__ import annotations

import re

from langchain_atlas.errors import SettingError
from langchain_atlas.records import Record

PERIODS = ("day", "week", "month", "year")
"""The times that a volume can be given for."""

_THOUSANDS = {"": 1, "k": 1_000, "m": 1_000_000}
_FORM = re.compile(r"\s*(\d{1,3}(?:[,_]\d{3})+|\d+)(\.\d+)?\s*([km]?)\s*(?:/|\s+per\s+|\s+a\s+)\s*([a-z]+)\s*")
_MOST = 10**15


class Volume(Record):
    """A number of queries in a time."""

    queries: int
    """How many queries come."""
    period: str
    """In which time: day, week, month or year."""


def read_volume(text: str) -> Volume:
    """Read a volume, such as ``100000/month``, ``2.5k/day`` or ``1,000,000/year``.

    Raises:
        SettingError: it can't be read, or is not above 0.
    """
    found = _FORM.fullmatch(text.lower())
    if found is None or found[4] not in PERIODS:
        raise _unreadable(text)
    queries = float(found[1].replace(",", "").replace("_", "") + (found[2] or "")) * _THOUSANDS[found[3]]
    if not 1 <= queries <= _MOST:
        raise _unreadable(text)
    return Volume(queries=round(queries), period=found[4])


def _unreadable(text: str) -> SettingError:
    times = ", ".join(f"/{period}" for period in PERIODS)
    return SettingError(
        f"volume is {text!r}; it must be a number of queries, 1 or more, with one of {times} after it: write "
        "100000/month, or 2.5k/day."
    )
