"""Web search providers, each against recorded answers in its own format."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websites import Answer, Website

from langchain_atlas.errors import MissingExtraError, SettingError
from langchain_atlas.tools.search import (
    BraveSearch,
    GoogleSearch,
    SearchError,
    SearchTool,
    SearxngSearch,
    Snippet,
    TavilySearchProvider,
    WebSearch,
)
from langchain_atlas.tools.web.fetching import Page

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "key-0123456789-secret"
LOCAL = {"allowed_hosts": ["127.0.0.1"]}


@dataclass(frozen=True)
class Engine:
    """A provider with what it says of the recorded answers."""

    build: Callable[..., Any]
    refused: Answer
    complaint: str
    first: Snippet
    count: int


ENGINES = {
    "brave": Engine(
        BraveSearch,
        Answer.recorded("brave_refused.json", 422),
        "HTTP status 422. Is the key in BRAVE_SEARCH_API_KEY right? It says: The provided subscription token",
        Snippet(
            "The ferry to Lissay leaves every hour; the last one at 22:10 <in summer>. A crossing takes 25 minutes. "
            "Bicycles travel free.",
            "https://www.lissay.example/ferries",
            "Ferries to Lissay & the islands",
        ),
        4,
    ),
    "google": Engine(
        GoogleSearch,
        Answer.recorded("google_refused.json", 429),
        "HTTP status 429. It says: Quota exceeded",
        Snippet(
            "The ferry to Lissay leaves every hour; the last one at 22:10 ...",
            "https://www.lissay.example/ferries",
            "Ferries to Lissay",
        ),
        2,
    ),
    "searxng": Engine(
        SearxngSearch,
        Answer.recorded("searxng_refused.html", 403),
        "HTTP status 403. Does the server's settings.yml list 'json'",
        Snippet("The ferry to Lissay leaves every hour.", "https://www.lissay.example/ferries", "Ferries to Lissay"),
        2,
    ),
    "tavily": Engine(
        TavilySearchProvider,
        Answer.recorded("tavily_refused.json", 401),
        "Error 401: Unauthorized",
        Snippet("The ferry to Lissay leaves every hour.", "https://www.lissay.example/ferries", "Ferries to Lissay"),
        2,
    ),
}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BRAVE_SEARCH_API_KEY", "GOOGLE_API_KEY", "TAVILY_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    monkeypatch.setenv("GOOGLE_CSE_ID", "engine-1")


@pytest.fixture(params=["sync", "async"])
def search(request: pytest.FixtureRequest) -> Callable[[Any, str, int], list[Snippet]]:
    if request.param == "sync":
        return lambda provider, query, k: provider.search(query, k)
    return lambda provider, query, k: asyncio.run(provider.asearch(query, k))


@pytest.mark.parametrize("name", ENGINES)
def test_reads_what_the_engine_answers(name: str, search: Any) -> None:
    engine = ENGINES[name]
    with Website(Answer.recorded(f"{name}.json")) as site:
        provider = engine.build(base_url=site.url, **LOCAL)
        snippets = search(provider, "lissay ferry", 10)
        assert snippets[0] == engine.first
        assert len(snippets) == engine.count
        assert search(provider, "lissay ferry", 1) == [engine.first], "not more than asked for"


@pytest.mark.parametrize("name", ENGINES)
def test_finding_nothing_is_no_failure(name: str, search: Any) -> None:
    with Website(Answer.recorded(f"{name}_nothing.json")) as site:
        assert search(ENGINES[name].build(base_url=site.url, **LOCAL), "qzxv", 3) == []


@pytest.mark.parametrize("name", ENGINES)
def test_says_why_the_engine_refuses(name: str, search: Any) -> None:
    engine = ENGINES[name]
    with Website(engine.refused) as site, pytest.raises(SearchError) as caught:
        search(engine.build(base_url=site.url, **LOCAL), "lissay", 3)
    if name == "tavily":
        assert "401" in str(caught.value), "its package tells no more than this on the event loop"
    else:
        assert engine.complaint in str(caught.value)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3", b'{"web": 3, "items": 3, "results": 3}', b"[" * 9999])
def test_an_answer_of_another_form_is_a_failure(name: str, body: bytes) -> None:
    with Website(Answer(body)) as site, pytest.raises(SearchError):
        ENGINES[name].build(base_url=site.url, **LOCAL).search("lissay", 3)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["web", "results", "items", "url", "link", "title", "content", "snippet", "extra_snippets"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("build", [BraveSearch, GoogleSearch, partial(SearxngSearch, base_url="https://x.example")])
@given(answer=JSON)
def test_any_json_is_read_or_refused(build: Callable[[], WebSearch], answer: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("BRAVE_SEARCH_API_KEY", "GOOGLE_API_KEY", "GOOGLE_CSE_ID"):
            patch.setenv(variable, KEY)
        for status in (200, 400):
            try:
                snippets = build()._read(Page("https://x.example", status, body=json.dumps(answer).encode()), 3)
            except SearchError:
                continue
            assert all(isinstance(snippet.text, str) and snippet.source for snippet in snippets)


def test_brave_is_asked_as_it_wants(search: Any) -> None:
    with Website(Answer.recorded("brave.json")) as site:
        search(BraveSearch(base_url=f"{site.url}/res/v1/web/search", **LOCAL), "lissay ferry", 50)
    (asked,) = site.asked
    assert (asked.method, asked.path) == ("GET", "/res/v1/web/search")
    assert asked.query == {"q": "lissay ferry", "count": "20", "text_decorations": "false", "result_filter": "web"}
    assert asked.headers["x-subscription-token"] == KEY


def test_google_is_asked_as_it_wants_with_the_key_outside_the_url(search: Any) -> None:
    with Website(Answer.recorded("google.json")) as site:
        search(GoogleSearch(base_url=f"{site.url}/customsearch/v1", **LOCAL), "lissay ferry", 50)
        search(GoogleSearch(base_url=site.url, engine_id="other", **LOCAL), "lissay ferry", 2)
    assert site.asked[0].query == {"q": "lissay ferry", "cx": "engine-1", "num": "10"}
    assert site.asked[0].headers["x-goog-api-key"] == KEY
    assert site.asked[1].query == {"q": "lissay ferry", "cx": "other", "num": "2"}


@pytest.mark.parametrize("end", ["", "/", "/search"])
def test_searxng_is_asked_as_it_wants(end: str, search: Any) -> None:
    with Website(Answer.recorded("searxng.json")) as site:
        search(SearxngSearch(base_url=site.url + end, **LOCAL), "lissay ferry", 3)
    assert (site.asked[0].path, site.asked[0].query) == ("/search", {"q": "lissay ferry", "format": "json"})


def test_tavily_is_asked_through_its_package(search: Any) -> None:
    with Website(Answer.recorded("tavily.json")) as site:
        search(TavilySearchProvider(base_url=site.url, topic="news", **LOCAL), "lissay ferry", 2)
    (asked,) = site.asked
    assert (asked.method, asked.path) == ("POST", "/search")
    assert {name: asked.body[name] for name in ("query", "max_results", "topic")} == {
        "query": "lissay ferry",
        "max_results": 2,
        "topic": "news",
    }
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["x-client-source"] == "langchain-tavily"


def test_long_questions_are_shortened_and_empty_ones_not_asked(search: Any) -> None:
    with Website(Answer.recorded("brave.json")) as site:
        provider = BraveSearch(base_url=site.url, **LOCAL)
        search(provider, "  why\n" * 200, 3)
        search(provider, "y" * 2000, 3)
        with pytest.raises(SearchError, match="query is empty"):
            search(provider, " \n", 3)
    assert [len(asked.query["q"]) for asked in site.asked] == [50 * 4 - 1, 400]


class TestKeys:
    @pytest.mark.parametrize("name", ["brave", "google", "tavily"])
    def test_a_missing_one_is_told_when_the_provider_is_made(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        variable = {"brave": "BRAVE_SEARCH_API_KEY", "google": "GOOGLE_API_KEY", "tavily": "TAVILY_API_KEY"}[name]
        monkeypatch.delenv(variable)
        with pytest.raises(SettingError, match=f"'{variable}', which is not set"):
            ENGINES[name].build()
        monkeypatch.setenv("OURS", KEY)
        ENGINES[name].build(key_env="OURS")

    def test_google_needs_the_id_of_an_engine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GOOGLE_CSE_ID")
        with pytest.raises(SettingError, match="'GOOGLE_CSE_ID', which is not set"):
            GoogleSearch()

    def test_one_that_vanished_is_a_failed_search(self, monkeypatch: pytest.MonkeyPatch) -> None:
        provider = BraveSearch()
        monkeypatch.delenv("BRAVE_SEARCH_API_KEY")
        assert "Error: The search failed. brave: " in SearchTool(provider=provider).invoke({"query": "x"})

    @pytest.mark.parametrize("name", ENGINES)
    def test_are_not_kept_shown_or_logged(
        self, name: str, search: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv("OURS", KEY)
        echo = Answer(f'{{"error": "no such key: {KEY}", "detail": {{"error": "{KEY}"}}}}'.encode(), 403)
        with Website(echo) as site:
            provider = ENGINES[name].build(base_url=site.url, key_env="OURS", **LOCAL)
            with pytest.raises(SearchError) as caught:
                search(provider, "lissay", 3)
        assert any(KEY in str(asked.headers) for asked in site.asked)
        assert KEY not in str(caught.value)
        assert KEY not in repr(provider) + repr(SearchTool(provider=provider))
        assert KEY not in caplog.text
        assert KEY not in str(vars(provider)), "not even inside the provider"

    def test_go_nowhere_else_by_a_redirect(self, search: Any) -> None:
        with Website(Answer.recorded("brave.json")) as other:
            site = Website(Answer(status=302, headers={"location": other.url}))
            with site, pytest.raises(SearchError, match="HTTP status 302"):
                search(BraveSearch(base_url=site.url, **LOCAL), "lissay", 3)
            assert other.asked == []


class TestPrivateServers:
    @pytest.mark.parametrize("name", ENGINES)
    def test_are_not_asked_unless_allowed(self, name: str, search: Any) -> None:
        with Website(Answer.recorded(f"{name}.json")) as site:
            with pytest.raises(SearchError, match="not a public address"):
                search(ENGINES[name].build(base_url=site.url), "lissay", 3)
            assert site.asked == []

    def test_are_not_reached_by_a_redirect_either(self, search: Any) -> None:
        with Website(Answer.recorded("searxng.json")) as inside:
            target = f"http://localhost:{inside.port}/search"
            site = Website(Answer(status=302, headers={"location": target}))
            with site, pytest.raises(SearchError, match=r"'localhost' is at .* not a public address"):
                search(SearxngSearch(base_url=site.url, **LOCAL), "lissay", 3)
            assert inside.asked == []


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (SearxngSearch, "searxng search needs the base_url"),
        (lambda: SearxngSearch(base_url="searx.example.org"), "must begin with http"),
        (lambda: BraveSearch(base_url="file:///etc"), "must begin with http"),
        (lambda: BraveSearch(timeout_s=0), "timeout_s is 0"),
        (lambda: TavilySearchProvider(base_url="ftp://x"), "must begin with http"),
        (lambda: TavilySearchProvider(timeout_s=-1), "timeout_s is -1"),
        (lambda: TavilySearchProvider(topic="gossip"), "does not take these options: topic"),
    ],
)
def test_mistakes_are_told_when_the_provider_is_made(build: Callable[[], Any], problem: str) -> None:
    with pytest.raises(SettingError, match=problem) as caught:
        build()
    assert KEY not in str(caught.value)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"langchain-atlas\[tavily\]"):
        TavilySearchProvider()
