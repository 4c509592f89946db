"""A judge's replies on disk, so that the same question to the same judge is paid for once."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_atlas.errors import OutcomeError
from langchain_atlas.files import check_file, writing
from langchain_atlas.text_files import why

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

    from langchain_core.messages import BaseMessage


class ReplyCache:
    """A file of replies, one JSON object a line: ``key``, a hash of judge and prompt, ``text`` and ``cost_usd``.

    It holds no prompt, no answer and no name of a pair. A line that broke off is ignored. Threads may share it.

    Args:
        path: the file; None keeps replies in memory.

    Raises:
        OutcomeError: the file can't be read.
        WritingError: it can't be written.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._file: TextIO | None = None
        if self.path is not None:
            check_file(self.path)
            self._read(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> str | None:
        """Return the text of a reply; None if there is none."""
        return self._known.get(key)

    def put(self, key: str, text: str, cost_usd: float | None) -> None:
        """Keep a reply; it is on disk when this returns.

        Raises:
            WritingError: it could not be written.
        """
        with self._lock:
            self._known[key] = text
            if self.path is None:
                return
            with writing(self.path, "Earlier replies are kept"):
                if self._file is None:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = self.path.open("a", encoding="utf-8", newline="\n")
                    if self._file.tell() and not self._ends_whole():
                        self._file.write("\n")
                self._file.write(json.dumps({"key": key, "text": text, "cost_usd": cost_usd}) + "\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _ends_whole(self) -> bool:
        assert self.path is not None  # noqa: S101  # the caller has opened it; this tells the type checker
        with self.path.open("rb") as file:
            file.seek(-1, 2)
            return file.read() == b"\n"

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            raise OutcomeError(f"Can't read the judge's earlier replies from {str(path)!r}: {why(error)}.") from error
        for line in lines:
            try:
                kept = json.loads(line)
                self._known[str(kept["key"])] = str(kept["text"])
            except (ValueError, TypeError, KeyError, RecursionError):
                continue  # it broke off


def reply_key(judge: Mapping[str, Any], messages: Sequence[BaseMessage]) -> str:
    """Return the key of a reply: a hash of the judge, with its settings, and of the messages."""
    said = [[message.type, str(message.content)] for message in messages]
    return hashlib.sha256(json.dumps([judge, said], sort_keys=True, default=str).encode()).hexdigest()
