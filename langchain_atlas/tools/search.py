"""A search tool for agents, over a folder of documents or any other provider of snippets."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.answers import answer_error, answer_validation_error

SUFFIXES = (".md", ".txt")
"""Names of documents end so."""

MAX_PASSAGE = 1_200
"""Characters of a passage; longer paragraphs are split between words."""

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_WORD = re.compile(r"\w+")
_PLURAL_IES = re.compile(r"(?<=\w\w)ies$")
_PLURAL_S = re.compile(r"(?<=\w\w[^\Wsu])s$")


@dataclass(frozen=True)
class Snippet:
    """A passage that answers a query."""

    text: str
    """The passage itself."""

    source: str
    """Where it is from: for a folder, the path of the file below it."""

    heading: str = ""
    """The headings above it, outermost first, joined by `` > ``; empty when there is none."""

    score: float = 0.0
    """How well it fits the query; above 0, comparable within one search only."""


@runtime_checkable
class SearchProvider(Protocol):
    """Where snippets come from."""

    def search(self, query: str, k: int) -> list[Snippet]:
        """The best `k` snippets for a query, best first; fewer or none when no more fit."""
        ...  # pragma: no cover


class FolderSearch:
    """Full-text search (BM25) over the Markdown and text files of a folder and its subfolders.

    The files are read and indexed at the first search; later changes to them are not seen. Hidden files are left out.
    """

    def __init__(self, folder: str | Path) -> None:
        """Look for documents; none is read yet.

        Args:
            folder: where the documents are.

        Raises:
            SettingError: when the folder does not exist or has no document.
        """
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise SettingError(f"there is no folder {str(folder)!r} to search in")
        if next(self._documents(), None) is None:
            raise SettingError(f"the folder {str(folder)!r} has no documents: no file ends in {' or '.join(SUFFIXES)}")
        self._lock = threading.Lock()
        self._index: _Index | None = None

    def search(self, query: str, k: int = 3) -> list[Snippet]:
        """The best passages for a query.

        Args:
            query: words to look for; case, plurals and common words make no difference.
            k: how many passages at most.

        Returns:
            Passages that contain at least one of the words, best first.
        """
        with self._lock:
            if self._index is None:
                self._index = _Index([snippet for path in self._documents() for snippet in self._passages(path)])
        return self._index.search(words(query), k)

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


class _Index:
    """Passages with their BM25 weights; immutable once built, so any thread may search it."""

    def __init__(self, snippets: list[Snippet]) -> None:
        import bm25s

        tokens = [words(f"{snippet.heading} {snippet.text}") for snippet in snippets]
        kept = [index for index, passage in enumerate(tokens) if passage]
        self._snippets = [snippets[index] for index in kept]
        self._vocabulary = {word for passage in tokens for word in passage}
        self._weights = bm25s.BM25()
        if kept:
            self._weights.index([tokens[index] for index in kept], show_progress=False)

    def search(self, query: list[str], k: int) -> list[Snippet]:
        known = [word for word in query if word in self._vocabulary]
        if not known:
            return []
        scores = [float(score) for score in self._weights.get_scores(known)]
        ranked = sorted((index for index, score in enumerate(scores) if score > 0), key=lambda i: -scores[i])
        return [replace(self._snippets[index], score=scores[index]) for index in ranked[:k]]


def split_passages(text: str, source: str, *, headings: bool = True) -> Iterator[Snippet]:
    """Split a document into paragraphs, each with the headings above it.

    Args:
        text: the document.
        source: what the snippets give as their source.
        headings: whether lines that begin with ``#`` are headings, as in Markdown.

    Yields:
        Snippets of at most `MAX_PASSAGE` characters, in the order of the document. A fenced block is never split at
        its empty lines, and holds no headings.
    """
    path: list[tuple[int, str]] = []
    paragraph: list[str] = []
    fenced = False
    for line in [*text.splitlines(), ""]:
        heading = _HEADING.match(line) if headings and not fenced else None
        if heading or not (line.strip() or fenced):
            yield from _pieces(paragraph, source, path)
            paragraph = []
        if heading:
            level = len(heading[1])
            path = [*((depth, name) for depth, name in path if depth < level), (level, heading[2])]
        elif line.strip() or fenced:
            paragraph.append(line)
        fenced = fenced != bool(headings and _FENCE.match(line))
    yield from _pieces(paragraph, source, path)


def _pieces(paragraph: list[str], source: str, path: list[tuple[int, str]]) -> Iterator[Snippet]:
    text = "\n".join(paragraph).strip()
    heading = " > ".join(name for _, name in path)
    while text:
        end = len(text)
        if end > MAX_PASSAGE:
            end = max(text.rfind(" ", 1, MAX_PASSAGE), text.rfind("\n", 1, MAX_PASSAGE))
            end = end if end > 0 else MAX_PASSAGE
        yield Snippet(text=text[:end].strip(), source=source, heading=heading)
        text = text[end:].strip()


def words(text: str) -> list[str]:
    """The words of a text that search goes by: lower case, singular, without the commonest of English."""
    from bm25s.stopwords import STOPWORDS_EN

    found = (word.lower() for word in _WORD.findall(text))
    return [_singular(word) for word in found if word not in STOPWORDS_EN]


def _singular(word: str) -> str:
    """An English noun without its plural ending, roughly; what matters is that both forms come out the same."""
    return _PLURAL_S.sub("", _PLURAL_IES.sub("y", word))


class SearchInput(BaseModel):
    """Arguments of the search tool."""

    query: str = Field(description="Words to look for.")


class SearchTool(BaseTool):
    """A LangChain tool that gives the passages of a provider which fit a query best.

    A failed search comes back as an answer that begins with ``Error:``. Set ``handle_tool_error=False`` for a
    `ToolException`.
    """

    name: str = "search"
    description: str = "Searches documents and returns the passages that fit the query best, with their sources."
    args_schema: type[BaseModel] = SearchInput
    handle_tool_error: bool | str | Callable[[ToolException], str] | None = answer_error
    handle_validation_error: bool | str | Callable[[Any], str] | None = answer_validation_error

    provider: SearchProvider = Field(exclude=True, repr=False)
    """Where the passages come from."""

    k: int = Field(default=3, ge=1)
    """How many passages an answer has at most."""

    @classmethod
    def from_folder(cls, folder: str | Path, k: int = 3) -> Self:
        """A tool over the Markdown and text files of a folder.

        Args:
            folder: where the documents are; they are read at the first search.
            k: how many passages an answer has at most, from 1.

        Raises:
            SettingError: when the folder does not exist or has no document, or `k` is below 1.
        """
        if not isinstance(k, int) or k < 1:
            raise SettingError(f"k must be a whole number of passages from 1, not {k!r}")
        return cls(provider=FolderSearch(folder), k=k)

    def _run(self, query: str) -> str:
        snippets = self.provider.search(query, self.k)
        if not snippets:
            return f"No passage contains any word of {query[:200]!r}. Try other words."
        return "\n\n".join(
            f"[{number}] {snippet.source}{f' ({snippet.heading})' if snippet.heading else ''}\n{snippet.text}"
            for number, snippet in enumerate(snippets, start=1)
        )

    async def _arun(self, query: str) -> str:
        # Providers read files or call servers.
        return await asyncio.to_thread(self._run, query)
