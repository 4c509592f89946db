"""Passages found by their words (BM25) and by what they mean (vectors). Any thread may search an index."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_atlas.tools.search.words import SHORTEST_PART, holds, may_be_compound, parts, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.tools.search.snippets import Snippet

_LONGEST_QUERY = 2_000
"""Characters of a query that are looked at."""

_COMPOUND = 0.3
"""What a word counts that is found as a part of a longer one, or that holds a shorter one."""


class WordIndex:
    """Passages with their BM25 weights."""

    def __init__(self, snippets: Sequence[Snippet]) -> None:
        import bm25s

        tokens = [words(f"{snippet.heading} {snippet.text}", shortest=True) for snippet in snippets]
        kept = [index for index, passage in enumerate(tokens) if passage]
        self._snippets = [snippets[index] for index in kept]
        self._vocabulary = {word for passage in tokens for word in passage}
        self._long = "\n".join(["", *sorted(filter(may_be_compound, self._vocabulary)), ""])
        self._weights = bm25s.BM25()
        if kept:
            self._weights.index([tokens[index] for index in kept], show_progress=False)

    def search(self, query: str, k: int) -> list[Snippet]:
        """Return the passages that hold at least one of the query's words, or a compound of them, best first."""
        asked = words(query[:_LONGEST_QUERY])
        known = [word for word in asked if word in self._vocabulary]
        compounds = self._compounds(asked)
        if not known and not compounds:
            return []
        scores = sum(
            weight * self._weights.get_scores(found) for weight, found in ((1, known), (_COMPOUND, compounds)) if found
        )
        ranked = sorted((index for index, score in enumerate(scores) if score > 0), key=lambda i: -scores[i])
        return [replace(self._snippets[index], score=float(scores[index])) for index in ranked[:k]]

    def _compounds(self, asked: Sequence[str]) -> list[str]:
        """Return the words of the passages that hold a word of the query, or are held by one."""
        found: set[str] = set()
        for word in {word for word in asked if len(word) >= SHORTEST_PART and word.isalpha()}:
            found.update(part for part in parts(word) if part in self._vocabulary)
            found.update(longer for longer in self._around(word) if holds(longer, word))
        return sorted(found)

    def _around(self, word: str) -> Iterator[str]:
        """Yield the long words that contain a word; searching one joined text is faster than searching each word."""
        place = self._long.find(word)
        while place >= 0:
            end = self._long.index("\n", place)
            yield self._long[self._long.rindex("\n", 0, place) + 1 : end]
            place = self._long.find(word, end)


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
