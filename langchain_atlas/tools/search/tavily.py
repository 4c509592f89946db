"""Web search with Tavily, through its LangChain package."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

from langchain_core.tools import ToolException

from langchain_atlas.errors import MissingExtraError, SettingError
from langchain_atlas.tools.search.snippets import SearchError, Snippet, clipped, seconds
from langchain_atlas.tools.search.web import plain, required, shortened_query
from langchain_atlas.tools.web.addresses import AddressGuard, FetchError

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOTHING = "No search results found"


class TavilySearchProvider:
    """Tavily's search; the key is in ``TAVILY_API_KEY``, read when a search is made.

    Args:
        base_url: where it is, when not at its usual place.
        key_env: environment variable that holds the key, when not the usual one.
        allowed_hosts: hosts that may be private. A `base_url` is looked at before each search; its client resolves
            the name once more, so give one that you trust.
        timeout_s: seconds that a search may take on the event loop; elsewhere the search tool's own limit holds.
        **options: given to `langchain_tavily.TavilySearch`, such as ``topic="news"`` or ``search_depth="advanced"``.

    Raises:
        MissingExtraError: langchain-tavily is not installed.
        SettingError: the key's variable is not set, or a setting is wrong.
    """

    name = "tavily"
    covers = "the web"

    def __init__(
        self,
        *,
        base_url: str | None = None,
        key_env: str = "TAVILY_API_KEY",
        allowed_hosts: Iterable[str] = (),
        timeout_s: float = 10.0,
        **options: Any,
    ) -> None:
        if importlib.util.find_spec("langchain_tavily") is None:
            raise MissingExtraError("Tavily search", "tavily")
        self.base_url = base_url
        self.key_env = key_env
        self.timeout_s = seconds(timeout_s)
        self.options = options
        self._guard = AddressGuard(allowed_hosts)
        if base_url is not None:
            try:
                self._guard.check(base_url)
            except FetchError as error:
                raise SettingError(f"{self.name} search: {error}") from error
        try:
            self._tool(k=1)
        except ValueError as error:  # pydantic's, which quotes what it was given: never the key
            if isinstance(error, SettingError):
                raise
            raise SettingError(f"TavilySearch does not take these options: {', '.join(options)}.") from None

    def search(self, query: str, k: int = 3) -> list[Snippet]:
        """Return the first `k` results.

        Raises:
            SearchError: Tavily can't be reached, refuses, or gives no usable answer.
        """
        request = {"query": shortened_query(query)}
        self._check_place()
        try:
            answer = self._tool(k).invoke(request)
        except ToolException as error:
            answer = error
        return self._read(answer, k)

    async def asearch(self, query: str, k: int = 3) -> list[Snippet]:
        """Async version of `search`."""
        request = {"query": shortened_query(query)}
        await asyncio.to_thread(self._check_place)
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await self._tool(k).ainvoke(request)
        except ToolException as error:
            answer = error
        return self._read(answer, k)

    def _tool(self, k: int) -> Any:
        """Build the tool anew, so that the key is not kept."""
        from langchain_tavily import TavilySearch

        place = {} if self.base_url is None else {"api_base_url": self.base_url}
        key = required(self.key_env, self.name)
        return TavilySearch(max_results=k, tavily_api_key=key, handle_tool_error=False, **place, **self.options)

    def _check_place(self) -> None:
        if self.base_url is None:
            return
        from httpx import URL

        try:
            self._guard.resolve(URL(self.base_url).host, 443)
        except FetchError as error:
            raise SearchError(str(error)) from error

    def _read(self, answer: Any, k: int) -> list[Snippet]:
        if isinstance(answer, ToolException):
            if str(answer).startswith(_NOTHING):
                return []
            answer = {"error": answer}
        if isinstance(answer, dict) and "error" in answer:  # that is how the package tells of failures
            key = required(self.key_env, self.name, SearchError)
            raise SearchError(f"Tavily: {answer['error']}".replace(key, "***"))
        try:
            return [
                Snippet(
                    clipped(plain(result["content"] or "")), result["url"], clipped(plain(result["title"] or ""), 200)
                )
                for result in answer["results"][:k]
            ]
        except (AttributeError, KeyError, TypeError) as error:
            raise SearchError(f"Tavily's answer has not the form of its answers: {error!r}.") from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"
