"""Search in the documents of a folder."""

from __future__ import annotations

import logging
import threading
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.search.documents import SUFFIXES, Documents
from langchain_atlas.tools.search.fusion import DEPTH, fuse
from langchain_atlas.tools.search.indexes import MeaningIndex, WordIndex
from langchain_atlas.tools.search.passages import split_passages
from langchain_atlas.tools.search.snippets import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.embeddings import Embeddings

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.tools.search.snippets import Snippet

_LOG = logging.getLogger(__name__)

MAX_PASSAGES, MAX_PER_DOCUMENT = 200_000, 50_000
"""Passages of a folder, and of one document; what comes after them is left out."""


class FolderSearch:
    """Full-text search (BM25) over the Markdown and text files of a folder and its subfolders.

    With an encoder, passages are ranked by meaning as well, and the two rankings are fused. The files are read and
    indexed at the first search; later changes to them are not seen. Hidden files are left out, and so is what can't be
    read, is too large, is no text, or lies outside: links are followed within the folder only. `left_out` says which.

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
        self._documents = Documents(self.folder)
        if next(self._documents.names(), None) is None:
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

    @property
    def left_out(self) -> Mapping[str, str]:
        """Files that searches do not cover, by their path below the folder, and why; known after the first search."""
        return self._documents.left_out

    def _read(self) -> tuple[WordIndex | MeaningIndex, ...]:
        snippets = list(self._passages())
        for name, reason in self.left_out.items():
            _LOG.warning("%s is not searched: %s", one_line(f"{self.folder.name}/{name}"), reason)
        words = WordIndex(snippets)
        return (words,) if self._encoder is None else (words, MeaningIndex(snippets, self._encoder))

    def _passages(self) -> Iterator[Snippet]:
        count = 0
        for name, text in self._documents.read():
            passages = split_passages(text, name, headings=name.lower().endswith(".md"))
            room = min(MAX_PER_DOCUMENT, MAX_PASSAGES - count)
            for snippet in islice(passages, room):
                count += 1
                yield snippet
            if next(passages, None) is not None:
                self._documents.left_out[name] = f"only its first {room} passages are searched"


def _encoder(encoder: Encoder | Embeddings) -> Encoder:
    from langchain_atlas.encoders import EmbeddingsEncoder, Encoder

    return encoder if isinstance(encoder, Encoder) else EmbeddingsEncoder(encoder, type(encoder).__name__)
