"""The documents of a folder: found without leaving it, read one by one, each within bounds.

A folder is other people's: it may hold links, devices, pipes, files that nobody may read, and ones that never end. Such
a file is left out and said, so that it costs nobody the others.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_atlas.text_files import decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIXES = (".md", ".txt")
"""Names of documents end so."""

MAX_DOCUMENT = 8 * 2**20
"""Bytes of a document; a longer one is left out."""

MAX_FOLDER = 128 * 2**20
"""Bytes of all documents of a folder together."""

MAX_ENTRIES = 100_000
"""Files and folders that are looked at."""

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass
class Documents:
    """The Markdown and text files of a folder and its subfolders, without hidden ones."""

    folder: Path
    """Where they are."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Which of them could not be read, by their path below the folder, and why."""

    def names(self) -> Iterator[str]:
        """Yield their paths below the folder, sorted, so that equally good passages come in the same order anywhere."""
        found = sorted(self._walked(), key=lambda name: name.split("/"))
        yield from found

    def read(self) -> Iterator[tuple[str, str]]:
        """Yield the path and the text of each that can be read."""
        self.left_out.clear()
        room = MAX_FOLDER
        for name in self.names():
            try:
                data = self._bytes(name)
                if len(data) > room:
                    raise OSError(f"the folder has more than {MAX_FOLDER >> 20} MiB of documents before it")  # noqa: TRY301
                text = decoded(data, western=True)
            except (OSError, ValueError) as error:
                self.left_out[name] = str(getattr(error, "strerror", None) or error)
                continue
            room -= len(data)
            yield name, text

    def _walked(self) -> Iterator[str]:
        seen = 0
        # Links to folders are not followed, and folders that can't be read hold nothing.
        for place, folders, files in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in files:
                if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                    yield (Path(place) / name).relative_to(self.folder).as_posix()
            seen += len(folders) + len(files)
            if seen > MAX_ENTRIES:
                self.left_out["..."] = f"only the first {MAX_ENTRIES} files and folders are looked at"
                return

    def _bytes(self, name: str) -> bytes:
        """Return the content of a file that lies in the folder; a link within it is one, a link out of it is not."""
        path = Path(os.path.realpath(self.folder / name, strict=True))
        if not path.is_relative_to(os.path.realpath(self.folder)):
            raise OSError("it is a link that leads out of the folder")
        handle = os.open(path, _READ)
        with os.fdopen(handle, "rb") as file:
            kind = os.fstat(handle)
            if not stat.S_ISREG(kind.st_mode):
                raise OSError("it is no regular file")
            # Not by its size alone: some files say 0 and do not end.
            data = b"" if kind.st_size > MAX_DOCUMENT else file.read(MAX_DOCUMENT + 1)
            if kind.st_size > MAX_DOCUMENT or len(data) > MAX_DOCUMENT:
                raise OSError(f"it is larger than {MAX_DOCUMENT >> 20} MiB")
            return data
