"""Keys of providers, kept out of everything that is recorded or shown."""

from __future__ import annotations

import os
import re

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_SHORTEST = 6

MAX_ERROR_TEXT = 2_000
"""Most characters of an error that are kept: a page of a provider's says nothing more after these."""


def masked(text: str, variable: str | None = None) -> str:
    """Return a text with stars in place of the keys in the environment: a provider's error may repeat what it refuses.

    Args:
        text: the text.
        variable: an environment variable that holds a key, whatever its name says; those whose names say so are masked
            in any case.
    """
    for name, value in os.environ.items():
        if (name == variable or _SECRET_NAME.search(name)) and len(value) >= _SHORTEST:
            text = text.replace(value, "***")
    return text


def error_text(error: BaseException, variable: str | None = None) -> str:
    """Return ``ErrorType: message`` of an error, with stars in place of keys, and not at any length.

    Args:
        error: the error.
        variable: an environment variable that holds a key; see `masked`.
    """
    return shortened(masked(f"{type(error).__name__}: {error}", variable))


def shortened(text: str) -> str:
    """Return a text of an error, cut at `MAX_ERROR_TEXT` characters."""
    left = len(text) - MAX_ERROR_TEXT
    return text if left <= 0 else f"{text[:MAX_ERROR_TEXT]}... ({left:,} more characters)"
