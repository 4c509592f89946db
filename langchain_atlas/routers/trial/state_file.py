"""The file in which a trial keeps what it has seen: plain JSON, replaced as a whole."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import ArtifactError, WritingError
from langchain_atlas.files import check_file, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOG = logging.getLogger(__name__)
_SCHEMA = 1
_EVERY_S = 1.0


class StateFile:
    """Reads and writes a trial's state. It is written once a second at most, unless that must not wait.

    Args:
        path: the file; None keeps nothing.
        kind: what the state is of, such as ``shadow``.
        settings: the settings under which it was collected; state of others is refused.

    Raises:
        WritingError: the file can't be written.
    """

    def __init__(self, path: str | Path | None, kind: str, settings: Mapping[str, float | str]) -> None:
        self.path = None if path is None else Path(path)
        self._kind = kind
        self._settings = dict(settings)
        self._written = float("-inf")
        self.failed = 0
        if self.path is not None:
            check_file(self.path)

    def read(self) -> dict[str, Any] | None:
        """Return the state; None if there is none yet.

        Raises:
            ArtifactError: the file is damaged, or was kept by another kind of trial or under other settings.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            schema, kind, settings, state = (kept[name] for name in ("schema", "kind", "settings", "state"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{str(self.path)!r} is not a trial's state: {error}. Restore it, or name another file."
            ) from error
        if (schema, kind, settings) != (_SCHEMA, self._kind, self._settings) or not isinstance(state, dict):
            raise ArtifactError(
                f"{str(self.path)!r} holds schema {schema!r} of a {kind!r} with settings {settings!r}; this is schema "
                f"{_SCHEMA} of a {self._kind!r} with {self._settings!r}. What was seen under other settings can't be "
                "continued; name another file, or set them as they were."
            )
        return state

    def write(self, state: Callable[[], dict[str, Any]], *, now: bool = False) -> None:
        """Write the state if that is due, or `now`; a failure is counted and logged, not raised."""
        if self.path is None or not (now or time.monotonic() - self._written >= _EVERY_S):
            return
        self._written = time.monotonic()
        kept = {"schema": _SCHEMA, "kind": self._kind, "settings": self._settings, "state": state()}
        try:
            write_text(self.path, json.dumps(kept, indent=1, allow_nan=False) + "\n")
        except WritingError as error:
            self.failed += 1
            _LOG.warning("A trial's state was not kept: %s", error)
