"""Vectors of texts kept on disk between commands: bounded, shared by processes, without the texts."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.cache_folder import cache_folder
from langchain_atlas.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_LOG = logging.getLogger(__name__)

MOST_BYTES = 512 * 2**20
"""Size of the vectors of one encoder, at most."""

_FULL = 0.9
_PATIENCE_S = 30.0
_DAY_S = 86_400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, day INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS by_day ON vectors (day);
"""


class VectorCache:
    """Vectors in a folder, one SQLite file per encoder; processes and threads may share it.

    A vector is found by a digest of its text, so no text is written. When an encoder's vectors take more than
    `most_bytes`, those that were longest unused make way. A cache that can't be read or written is as good as empty:
    the texts are encoded.

    Args:
        folder: where the files are; created at the first vector.
        most_bytes: bytes that the vectors of one encoder may take.

    Raises:
        SettingError: `most_bytes` is not positive.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        if most_bytes < 1:
            raise SettingError(f"most_bytes is {most_bytes!r}; it must be 1 or more.")
        self._folder = folder
        self._most_bytes = most_bytes

    def read(self, encoder: str, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the vectors of those texts that are known.

        Args:
            encoder: what tells the encoder from others, such as a fingerprint of its weights.
            texts: the texts.

        Returns:
            Text to vector, shape [dimension].
        """
        path = self._path(encoder)
        if not path.is_file():
            return {}
        found: dict[str, NDArray[np.float32]] = {}

        def select(connection: sqlite3.Connection) -> None:
            today, older = _today(), []
            for text in texts:
                key = _key(text)
                row = connection.execute("SELECT vector, day FROM vectors WHERE key = ?", [key]).fetchone()
                if row is not None:
                    found[text] = np.frombuffer(row[0], dtype=np.float32)
                    older += [(today, key)] if row[1] < today else []
            if older:
                connection.executemany("UPDATE vectors SET day = ? WHERE key = ?", older)

        self._transact(path, select)
        return found

    def keep(self, encoder: str, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Write the vectors of texts.

        Args:
            encoder: as for `read`.
            texts: the texts.
            vectors: their vectors, shape [n, dimension].
        """
        path = self._path(encoder)
        most = max(1, self._most_bytes // max(1, vectors[0].nbytes))
        texts, vectors = texts[-most:], vectors[-most:]
        rows = [
            (_key(text), np.ascontiguousarray(vector, dtype=np.float32).tobytes(), _today())
            for text, vector in zip(texts, vectors, strict=True)
        ]
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            _LOG.warning("Vectors can't be kept in %s: %s", path.parent, error)
            return

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            (count,) = connection.execute("SELECT COUNT(*) FROM vectors").fetchone()
            if count > most:
                connection.execute(
                    "DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors ORDER BY day, rowid LIMIT ?)",
                    [count - max(1, int(_FULL * most))],
                )

        self._transact(path, insert)

    def _path(self, encoder: str) -> Path:
        return self._folder / f"{encoder}.sqlite"

    def _transact(self, path: Path, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do some work on a file in one transaction; an error of the file ends the work, and is logged."""
        try:
            with closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as connection:
                with suppress(OSError):
                    path.chmod(0o600)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.executescript(_SCHEMA)
                with connection:
                    work(connection)
        except sqlite3.OperationalError as error:  # locked for long, a full disk, a folder that may not be written
            _LOG.warning("Vectors in %s can't be used: %s", path, error)
        except sqlite3.DatabaseError as error:
            _LOG.warning("%s is damaged and is made anew: %s", path, error)
            with suppress(OSError):
                path.unlink()


_CURRENT: ContextVar[VectorCache | None] = ContextVar("vector_cache", default=None)


def current_cache() -> VectorCache | None:
    """Return where encoders that are made now keep vectors; None for not at all, the default outside the commands."""
    return _CURRENT.get()


@contextmanager
def keeping_vectors(folder: Path | None = None) -> Iterator[None]:
    """Have the encoders made in this block keep vectors on disk.

    Args:
        folder: where; None for the user's cache folder.
    """
    token = _CURRENT.set(VectorCache(folder or cache_folder() / "vectors"))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _today() -> int:
    return int(time.time() // _DAY_S)
