"""JSON objects amid what models write."""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 50_000


def first_object(text: str) -> dict[str, Any] | None:
    """Return the first JSON object in a text, or None."""
    decoder = json.JSONDecoder()
    text = text[:_LONGEST]
    start = text.find("{")
    while start >= 0:
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):  # the first also for whole numbers of thousands of digits
            value = None
        if isinstance(value, dict):
            return value
        start = text.find("{", start + 1)
    return None
