"""Files that hold rows while the database is away.

Each process writes a file of its own and holds a lock on it. A file that nobody holds belonged to a process that ended;
whoever finds it writes its rows to the database. A row may be written twice, which changes nothing.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, BinaryIO

from langchain_atlas.outcomes.locks import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from langchain_atlas.outcomes.store.rows import Row

_CHUNK = 500


class Spill:
    """The spill file of this process, and what others left.

    Args:
        folder: where the files are; made when needed.
        max_bytes: bytes that this process's file may have.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self._path = folder / "unused"
        self._left = max_bytes

    def add(self, rows: Sequence[Row]) -> int:
        """Append rows; return how many of them found room.

        Raises:
            OSError: the file can't be written.
        """
        file = self._opened() if self._file is None else self._file
        written = 0
        for row in rows:
            line = json.dumps(row).encode() + b"\n"
            if len(line) > self._left:
                break
            file.write(line)
            self._left -= len(line)
            written += 1
        file.flush()
        return written

    def replay(self, write: Callable[[Sequence[Row]], int]) -> int:
        """Write the rows of all files that no other process holds, delete them, and return how many rows.

        Args:
            write: writes rows to the database and returns how many; an error of it ends the replay, and the file stays.
        """
        count = self._replay_own(write) if self._file is not None else 0
        for path in sorted(self.folder.glob("*.jsonl")) if self.folder.is_dir() else []:
            try:
                file = path.open("r+b")
            except OSError:  # another process was faster, or it is not ours to read
                continue
            with file:
                if lock(file):
                    count += _replayed(file, write)
                    path.unlink(missing_ok=True)
        return count

    def close(self) -> None:
        """Let go of the file; the next process finds it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            self._path = self.folder / f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(handle, "w+b")
            if lock(self._file) and self._path.exists():
                break
            self._file.close()  # another process found it before it was locked
        self._left = self._max_bytes
        return self._file

    def _replay_own(self, write: Callable[[Sequence[Row]], int]) -> int:
        assert self._file is not None  # noqa: S101  # the caller looked
        count = _replayed(self._file, write)
        self._file.close()
        self._file = None
        self._path.unlink(missing_ok=True)
        return count


def _replayed(file: BinaryIO, write: Callable[[Sequence[Row]], int]) -> int:
    count = 0
    file.seek(0)
    rows: list[Row] = []
    try:
        for line in file:
            row = _row(line)
            if row is not None:
                rows.append(row)
            if len(rows) >= _CHUNK:
                count += write(rows)
                rows = []
        if rows:
            count += write(rows)
    finally:
        file.seek(0, os.SEEK_END)
    return count


def _row(line: bytes) -> Row | None:
    """Return the row of a line; None for the torn last line of a process that was killed."""
    try:
        table, row = json.loads(line)
    except ValueError:
        return None
    return table, row
