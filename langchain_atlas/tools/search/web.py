"""Web search over plain HTTP: Brave, Google's custom search, and SearXNG.

A key is read from the environment when a request is made, goes out in a header, and is kept nowhere.
"""

from __future__ import annotations

import html
import json
import os
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.search.snippets import SearchError, Snippet, clipped, seconds
from langchain_atlas.tools.web.addresses import AddressGuard, FetchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_atlas.tools.web.fetching import FetchLimits, Page

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_SPACE = re.compile(r"\s+")
_MOST_CHARACTERS, _MOST_WORDS = 400, 50
_OK = 200


class WebSearch(ABC):
    """A search engine that answers GET requests with JSON.

    Args:
        base_url: where it is, when not at its usual place.
        key_env: environment variable that holds the key, when not the usual one.
        allowed_hosts: hosts that may be private, such as ``localhost``; others must be public.
        timeout_s: seconds that a request may take.

    Raises:
        SettingError: the key's variable is not set, the URL is no URL, or a number is out of range.
    """

    name: ClassVar[str]
    """What pool files and messages call it."""
    usual_url: ClassVar[str] = ""
    """Where it is; empty for one without a usual place."""
    usual_key_env: ClassVar[str | None] = None
    """Environment variable of its key; None for one that needs none."""
    most: ClassVar[int] = 20
    """How many results one request may ask for."""
    covers: ClassVar[str] = "the web"
    """What it searches, for the search tool's description."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        key_env: str | None = None,
        allowed_hosts: Iterable[str] = (),
        timeout_s: float = 10.0,
    ) -> None:
        self.base_url = (base_url or self.usual_url).rstrip("/")
        self.key_env = key_env or self.usual_key_env
        self.timeout_s = seconds(timeout_s)
        self._guard = AddressGuard(allowed_hosts)
        if not self.base_url:
            raise SettingError(f"{self.name} search needs the base_url of a server, such as https://search.example.org")
        try:
            self._guard.check(self.base_url)
        except FetchError as error:
            raise SettingError(f"{self.name} search: {error}") from error
        if self.key_env is not None:
            required(self.key_env, self.name)

    def search(self, query: str, k: int = 3) -> list[Snippet]:
        """Return the first `k` results.

        Raises:
            SearchError: the engine can't be reached, refuses, or gives no usable answer.
        """
        from langchain_atlas.tools.web.fetching import fetch

        params, headers = self._parameters(shortened_query(query), k), self._headers()
        try:
            page = fetch(self.base_url, guard=self._guard, params=params, headers=headers, limits=self._limits())
        except FetchError as error:
            raise SearchError(str(error)) from error
        return self._read(page, k)

    async def asearch(self, query: str, k: int = 3) -> list[Snippet]:
        """Async version of `search`."""
        from langchain_atlas.tools.web.fetching import afetch

        params, headers = self._parameters(shortened_query(query), k), self._headers()
        try:
            page = await afetch(self.base_url, guard=self._guard, params=params, headers=headers, limits=self._limits())
        except FetchError as error:
            raise SearchError(str(error)) from error
        return self._read(page, k)

    @abstractmethod
    def _parameters(self, query: str, k: int) -> dict[str, str]:
        """Return the parameters of a request."""

    def _key_header(self, key: str) -> dict[str, str]:
        """Return the header that carries the key."""
        raise NotImplementedError  # only reached by an engine that names a key and does not send it

    @abstractmethod
    def _results(self, answer: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Read URL, title and text of each result; what has another form raises any error of looking it up."""

    def _complaint(self, answer: dict[str, Any]) -> str:
        """Read what the engine says in an answer that is an error."""
        error = answer.get("error")
        if isinstance(error, dict):
            error = error.get("message") or error.get("detail") or error.get("code")
        return str(error or answer.get("message") or "")

    def _hint(self, status: int) -> str:
        """Say what to do about a status."""
        if status in (401, 403, 422) and self.key_env is not None:
            return f" Is the key in {self.key_env} right?"
        return ""

    def _headers(self) -> dict[str, str]:
        key = {} if self.key_env is None else self._key_header(required(self.key_env, self.name, SearchError))
        return {"accept": "application/json", **key}

    def _limits(self) -> FetchLimits:
        from langchain_atlas.tools.web.fetching import FetchLimits

        # A redirect would carry the key to wherever it leads.
        return FetchLimits(timeout_s=self.timeout_s, redirects=0 if self.key_env is not None else 3)

    def _read(self, page: Page, k: int) -> list[Snippet]:
        try:
            answer = json.loads(page.body)
        except (ValueError, RecursionError):
            answer = None
        if page.status != _OK:
            said = self._complaint(answer) if isinstance(answer, dict) else ""
            said = f" It says: {plain(self._without_key(said))[:300]}" if said else ""
            raise SearchError(f"The server answered with HTTP status {page.status}.{self._hint(page.status)}{said}")
        if not isinstance(answer, dict):
            raise SearchError("The server's answer is not JSON, so it is no search engine of this kind.")
        try:
            found = [_snippet(*result) for result in self._results(answer)]
        except (AttributeError, KeyError, TypeError) as error:
            raise SearchError(f"The server's answer has not the form of {self.name}'s: {error!r}.") from error
        return [snippet for snippet in found if snippet.source][:k]

    def _without_key(self, text: str) -> str:
        key = os.environ.get(self.key_env) if self.key_env is not None else None
        return text.replace(key, "***") if key else text

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"


class BraveSearch(WebSearch):
    """Brave's web search; the key is in ``BRAVE_SEARCH_API_KEY``."""

    name = "brave"
    usual_url = "https://api.search.brave.com/res/v1/web/search"
    usual_key_env = "BRAVE_SEARCH_API_KEY"

    def _parameters(self, query: str, k: int) -> dict[str, str]:
        return {"q": query, "count": str(min(k, self.most)), "text_decorations": "false", "result_filter": "web"}

    def _key_header(self, key: str) -> dict[str, str]:
        return {"x-subscription-token": key}

    def _results(self, answer: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        # An answer without results has no "web".
        for result in (answer.get("web") or {}).get("results", []):
            more = result.get("extra_snippets") or []
            yield result["url"], result.get("title", ""), " ".join([result.get("description", ""), *more])


class GoogleSearch(WebSearch):
    """Google's Custom Search JSON API; the key is in ``GOOGLE_API_KEY``, the engine's id in ``GOOGLE_CSE_ID``.

    Args:
        engine_id: the id of the search engine (``cx``), in place of ``GOOGLE_CSE_ID``.
        **settings: see `WebSearch`.

    Raises:
        SettingError: there is no id.
    """

    name = "google"
    usual_url = "https://www.googleapis.com/customsearch/v1"
    usual_key_env = "GOOGLE_API_KEY"
    most = 10

    def __init__(self, *, engine_id: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.engine_id = engine_id or required("GOOGLE_CSE_ID", self.name)

    def _parameters(self, query: str, k: int) -> dict[str, str]:
        return {"q": query, "cx": self.engine_id, "num": str(min(k, self.most))}

    def _key_header(self, key: str) -> dict[str, str]:
        # As the parameter "key" it would stand in the URL, which clients and proxies log.
        return {"x-goog-api-key": key}

    def _results(self, answer: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        for result in answer.get("items", []):
            yield result["link"], result.get("title", ""), result.get("snippet", "")


class SearxngSearch(WebSearch):
    """A SearXNG server, named by `base_url`; one inside a private network must be in `allowed_hosts`.

    The server's ``settings.yml`` must list ``json`` under ``search.formats``.
    """

    name = "searxng"

    def __init__(self, *, base_url: str | None = None, **settings: Any) -> None:
        if base_url:
            base_url = base_url.rstrip("/")
            base_url = base_url if base_url.endswith("/search") else f"{base_url}/search"
        super().__init__(base_url=base_url, **settings)

    def _parameters(self, query: str, k: int) -> dict[str, str]:
        del k  # it can't be told how many
        return {"q": query, "format": "json"}

    def _key_header(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    def _hint(self, status: int) -> str:
        if status == 403:  # noqa: PLR2004
            return " Does the server's settings.yml list 'json' under search.formats?"
        return super()._hint(status)

    def _results(self, answer: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        for result in answer["results"]:
            yield result["url"], result.get("title", ""), result.get("content", "")


def required(variable: str, name: str, error: type[SettingError | SearchError] = SettingError) -> str:
    """Return the value of an environment variable.

    Raises:
        SettingError: it is not set; or what `error` says.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise error(f"{name} search takes its key or id from the environment variable {variable!r}, which is not set.")
    return value


def shortened_query(query: str) -> str:
    """Return as much of a query as search engines take.

    Raises:
        SearchError: nothing is asked.
    """
    words = query.split()
    if not words:
        raise SearchError("The query is empty.")
    return " ".join(words[:_MOST_WORDS])[:_MOST_CHARACTERS]


def plain(text: str) -> str:
    """Return a text of a result without its HTML."""
    return _SPACE.sub(" ", html.unescape(_TAG.sub("", text))).strip()


def _snippet(url: str, title: str | None, text: str | None) -> Snippet:
    return Snippet(clipped(plain(text or "")), plain(url), clipped(plain(title or ""), 200))
