"""The search tool: one for agents, several providers behind it."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from langchain_atlas.errors import SettingError
from langchain_atlas.masking import error_text, masked
from langchain_atlas.tools.deadlines import awithin, within
from langchain_atlas.tools.failures import answer_error, answer_validation_error
from langchain_atlas.tools.search.folder import FolderSearch
from langchain_atlas.tools.search.snippets import SearchError, SearchProvider, Snippet, marked, one_line, seconds

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from langchain_atlas.encoders import Encoder

_NAMED = 5
_DESCRIPTION = "Searches {} and returns the passages that fit the query best, with their sources."


class SearchInput(BaseModel):
    """Arguments of the search tool."""

    query: str = Field(description="Words to look for.")


class SearchTool(BaseTool):
    """A LangChain tool that gives the snippets of a provider which fit a query best.

    A provider that fails or is too slow makes way for the next. When none is left, the failure comes back as an answer
    that begins with ``Error:``. Set ``handle_tool_error=False`` for a `ToolException`.
    """

    name: str = "search"
    description: str = _DESCRIPTION.format("documents")
    args_schema: type[BaseModel] = SearchInput
    handle_tool_error: bool | str | Callable[[ToolException], str] | None = answer_error
    handle_validation_error: bool | str | Callable[[Any], str] | None = answer_validation_error

    provider: SearchProvider = Field(exclude=True, repr=False)
    """Where the snippets come from."""

    fallbacks: tuple[SearchProvider, ...] = Field(default=(), exclude=True, repr=False)
    """Who is asked next when a provider fails, in this order."""

    k: int = Field(default=3, ge=1)
    """How many snippets an answer has at most."""

    timeout_s: float = Field(default=30.0, gt=0)
    """Seconds that each provider may take; the first search in a folder reads it."""

    @classmethod
    def over(cls, *providers: SearchProvider, k: int = 3, timeout_s: float = 30.0) -> Self:
        """A tool over providers, each of which is asked when those before it fail.

        Args:
            *providers: at least one.
            k: how many snippets an answer has at most, from 1.
            timeout_s: seconds that each provider may take.

        Raises:
            SettingError: no provider is given, or a number is out of range.
        """
        if not providers:
            raise SettingError("a search tool needs at least one provider")
        for provider in providers:
            if not isinstance(provider, SearchProvider):
                raise SettingError(f"{provider!r} is no search provider: it has no method 'search'")
        if not isinstance(k, int) or k < 1:
            raise SettingError(f"k must be a whole number of passages from 1, not {k!r}")
        covers = dict.fromkeys(getattr(provider, "covers", "documents") for provider in providers)
        return cls(
            provider=providers[0],
            fallbacks=providers[1:],
            k=k,
            timeout_s=seconds(timeout_s),
            description=_DESCRIPTION.format(" or ".join(covers)),
        )

    @classmethod
    def from_folder(cls, folder: str | Path, k: int = 3, encoder: "Encoder | Embeddings | None" = None) -> Self:
        """A tool over the Markdown and text files of a folder.

        Args:
            folder: where the documents are; they are read at the first search.
            k: how many passages an answer has at most, from 1.
            encoder: finds passages by meaning as well.

        Raises:
            SettingError: when the folder does not exist or has no document, or `k` is below 1.
        """
        return cls.over(FolderSearch(folder, encoder), k=k)

    def _run(self, query: str) -> str:
        attempts = self._attempts(query)
        try:
            provider = next(attempts)
            while True:
                provider = attempts.send(self._ask(provider, query))
        except StopIteration as end:
            return str(end.value)

    async def _arun(self, query: str) -> str:
        attempts = self._attempts(query)
        try:
            provider = next(attempts)
            while True:
                provider = attempts.send(await self._aask(provider, query))
        except StopIteration as end:
            return str(end.value)

    def _attempts(self, query: str) -> Generator[SearchProvider, list[Snippet] | Exception, str]:
        """Yield whom to ask, be sent what came of it, return the answer.

        Raises:
            ToolException: all of them failed.
        """
        problems = []
        for provider in (self.provider, *self.fallbacks):
            found = yield provider
            if not isinstance(found, Exception):
                return _answer(query, found[: self.k], getattr(provider, "left_out", {}))
            problems.append(f"{getattr(provider, 'name', type(provider).__name__)}: {self._problem(found)}")
        raise ToolException(f"The search failed. {' '.join(problems)}")

    def _ask(self, provider: SearchProvider, query: str) -> list[Snippet] | Exception:
        try:
            return within(self.timeout_s, lambda: provider.search(query, self.k))
        except Exception as error:  # noqa: BLE001  # whatever a provider raises makes way for the next
            return _failure(error)

    async def _aask(self, provider: SearchProvider, query: str) -> list[Snippet] | Exception:
        asearch = getattr(provider, "asearch", None)
        try:
            if asearch is None:  # it reads files or calls servers without regard to the event loop
                return await awithin(self.timeout_s, lambda: provider.search(query, self.k))
            async with asyncio.timeout(self.timeout_s):
                return list(await asearch(query, self.k))
        except Exception as error:  # noqa: BLE001  # whatever a provider raises makes way for the next
            return _failure(error)

    def _problem(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"No answer within {self.timeout_s:g} s."
        return masked(str(error)) if isinstance(error, SearchError) else error_text(error)


def _failure(error: Exception) -> Exception:
    """Return an error that is a failure, and raise one that is not: a retriever may interrupt the graph it is in."""
    from langgraph.errors import GraphBubbleUp

    if isinstance(error, GraphBubbleUp):
        raise error
    return error


def _answer(query: str, snippets: list[Snippet], left_out: Mapping[str, str]) -> str:
    if not snippets:
        names = ", ".join(one_line(name) for name in list(left_out)[:_NAMED])
        more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
        unread = f" Not searched, as they can't be read: {names}{more}." if left_out else ""
        return f"Nothing was found for {query[:200]!r}. Try other words.{unread}"
    return "\n\n".join(
        f"[{number}] {snippet.source}{f' ({snippet.heading})' if snippet.heading else ''}\n{marked(snippet.text)}"
        for number, snippet in enumerate(snippets, start=1)
    )
