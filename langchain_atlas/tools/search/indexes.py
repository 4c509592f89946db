"""Passages found by their words (BM25) and by what they mean (vectors). Any thread may search an index."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.tools.search.snippets import Snippet

_WORD = re.compile(r"\w+")
_PLURAL_IES = re.compile(r"(?<=\w\w)ies$")
_PLURAL_S = re.compile(r"(?<=\w\w[^\Wsu])s$")


class WordIndex:
    """Passages with their BM25 weights."""

    def __init__(self, snippets: Sequence[Snippet]) -> None:
        import bm25s

        tokens = [words(f"{snippet.heading} {snippet.text}") for snippet in snippets]
        kept = [index for index, passage in enumerate(tokens) if passage]
        self._snippets = [snippets[index] for index in kept]
        self._vocabulary = {word for passage in tokens for word in passage}
        self._weights = bm25s.BM25()
        if kept:
            self._weights.index([tokens[index] for index in kept], show_progress=False)

    def search(self, query: str, k: int) -> list[Snippet]:
        """Return the passages that hold at least one of the query's words, best first."""
        known = [word for word in words(query) if word in self._vocabulary]
        if not known:
            return []
        scores = [float(score) for score in self._weights.get_scores(known)]
        ranked = sorted((index for index, score in enumerate(scores) if score > 0), key=lambda i: -scores[i])
        return [replace(self._snippets[index], score=scores[index]) for index in ranked[:k]]


class MeaningIndex:
    """Passages with their vectors."""

    def __init__(self, snippets: Sequence[Snippet], encoder: Encoder) -> None:
        self._snippets = [snippet for snippet in snippets if snippet.text]
        self._encoder = encoder
        texts = [f"{snippet.heading}\n{snippet.text}".strip() for snippet in self._snippets]
        self._vectors = encoder.encode(texts) if texts else None

    def search(self, query: str, k: int) -> list[Snippet]:
        """Return the passages whose vectors point the way of the query's, nearest first."""
        if self._vectors is None or not query.strip():
            return []
        scores = [float(score) for score in self._vectors @ self._encoder.encode([query])[0]]
        ranked = sorted((index for index, score in enumerate(scores) if score > 0), key=lambda i: -scores[i])
        return [replace(self._snippets[index], score=scores[index]) for index in ranked[:k]]


def words(text: str) -> list[str]:
    """The words of a text that search goes by: lower case, singular, without the commonest of English."""
    from bm25s.stopwords import STOPWORDS_EN

    found = (word.lower() for word in _WORD.findall(text))
    return [_singular(word) for word in found if word not in STOPWORDS_EN]


def _singular(word: str) -> str:
    """An English noun without its plural ending, roughly; what matters is that both forms come out the same."""
    return _PLURAL_S.sub("", _PLURAL_IES.sub("y", word))
