"""Telling the address of a store from a file; apart from the store, whose packages need not be installed for that."""

from __future__ import annotations

import re

_URL = re.compile(r"(sqlite|postgres(ql)?)(\+\w+)?://")


def is_store_url(source: object) -> bool:
    """Return whether something is the address of a store, and not a file."""
    return isinstance(source, str) and _URL.match(source) is not None
