"""Search in the documents of a folder."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.search.fusion import DEPTH, fuse
from langchain_atlas.tools.search.indexes import MeaningIndex, WordIndex
from langchain_atlas.tools.search.passages import split_passages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.embeddings import Embeddings

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.tools.search.snippets import Snippet

SUFFIXES = (".md", ".txt")
"""Names of documents end so."""


class FolderSearch:
    """Full-text search (BM25) over the Markdown and text files of a folder and its subfolders.

    With an encoder, passages are ranked by meaning as well, and the two rankings are fused. The files are read and
    indexed at the first search; later changes to them are not seen. Hidden files are left out.

    Args:
        folder: where the documents are; none is read yet.
        encoder: finds passages by meaning; an encoder of this package, or any LangChain `Embeddings`.

    Raises:
        SettingError: the folder does not exist or has no document.
    """

    name = "folder"

    def __init__(self, folder: str | Path, encoder: Encoder | Embeddings | None = None) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise SettingError(f"there is no folder {str(folder)!r} to search in")
        if next(self._documents(), None) is None:
            raise SettingError(f"the folder {str(folder)!r} has no documents: no file ends in {' or '.join(SUFFIXES)}")
        self._encoder = None if encoder is None else _encoder(encoder)
        self._lock = threading.Lock()
        self._indexes: tuple[WordIndex | MeaningIndex, ...] = ()

    def search(self, query: str, k: int = 3) -> list[Snippet]:
        """The best passages for a query.

        Args:
            query: words to look for; case, plurals and common words make no difference.
            k: how many passages at most.

        Returns:
            Passages, best first: those that hold at least one of the words; with an encoder, those that come near the
            query in meaning too.
        """
        with self._lock:
            if not self._indexes:
                self._indexes = self._read()
        if len(self._indexes) == 1:
            return self._indexes[0].search(query, k)
        return fuse([index.search(query, max(k, DEPTH)) for index in self._indexes], k)

    def _read(self) -> tuple[WordIndex | MeaningIndex, ...]:
        snippets = [snippet for path in self._documents() for snippet in self._passages(path)]
        words = WordIndex(snippets)
        return (words,) if self._encoder is None else (words, MeaningIndex(snippets, self._encoder))

    def _documents(self) -> Iterator[Path]:
        # Sorted, so that equally good passages come in the same order on every machine.
        for path in sorted(self.folder.rglob("*")):
            parts = path.relative_to(self.folder).parts
            if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in parts) and path.is_file():
                yield path

    def _passages(self, path: Path) -> Iterator[Snippet]:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        source = path.relative_to(self.folder).as_posix()
        return split_passages(text, source, headings=path.suffix.lower() == ".md")


def _encoder(encoder: Encoder | Embeddings) -> Encoder:
    from langchain_atlas.encoders import EmbeddingsEncoder, Encoder

    return encoder if isinstance(encoder, Encoder) else EmbeddingsEncoder(encoder, type(encoder).__name__)
