"""Any LangChain retriever as a provider of snippets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.search.snippets import Snippet, clipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.runnables import Runnable

SOURCE_KEYS = ("source", "url", "link", "file_path", "path", "title", "id")
"""Metadata keys of the source of a document; the first that exists is used."""

HEADING_KEYS = ("heading", "section", "title")
"""Metadata keys of the heading of a passage; the first that exists is used."""


class RetrieverSearch:
    """Asks a LangChain retriever, or any runnable from a text to documents.

    Args:
        retriever: what to ask. It decides itself how many documents it looks for.

    Raises:
        SettingError: it is no runnable.
    """

    name = "retriever"

    def __init__(self, retriever: Runnable[str, list[Document]]) -> None:
        from langchain_core.runnables import Runnable

        if not isinstance(retriever, Runnable):
            raise SettingError(f"{retriever!r} is no LangChain retriever; give a BaseRetriever or another runnable.")
        self.retriever = retriever

    def search(self, query: str, k: int = 3) -> list[Snippet]:
        """Return the first `k` documents of the retriever."""
        return _snippets(self.retriever.invoke(query), k)

    async def asearch(self, query: str, k: int = 3) -> list[Snippet]:
        """Async version of `search`."""
        return _snippets(await self.retriever.ainvoke(query), k)


def _snippets(documents: Sequence[Document], k: int) -> list[Snippet]:
    return [_snippet(document, place) for place, document in enumerate(documents[:k], start=1)]


def _snippet(document: Document, place: int) -> Snippet:
    known = {**document.metadata, **({"id": document.id} if document.id else {})}
    source = _first(known, SOURCE_KEYS) or f"document {place}"
    heading = _first(known, HEADING_KEYS)
    return Snippet(clipped(document.page_content), source, heading if heading != source else "")


def _first(known: dict[str, Any], keys: tuple[str, ...]) -> str:
    return next((str(known[key]) for key in keys if known.get(key)), "")
