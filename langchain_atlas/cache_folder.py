"""The user's cache folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "ATLAS_CACHE_DIR"
"""Environment variable that names another cache folder."""


def cache_folder() -> Path:
    """Return the folder for what can be made again: exported encoders, vectors of texts, embedded models."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    if sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return place / "langchain-atlas"
