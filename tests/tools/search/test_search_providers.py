"""One search tool over several providers: in turn, fused, from a retriever, and by name from a pool file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, ToolException
from langchain_tests.unit_tests import ToolsUnitTests
from langgraph.errors import GraphInterrupt
from websites import Answer, Website

from langchain_atlas import Pool
from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.tools.registry import build_tools
from langchain_atlas.tools.search import (
    BraveSearch,
    FolderSearch,
    FusedSearch,
    RetrieverSearch,
    SearchError,
    SearchTool,
    Snippet,
    fuse,
)

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[[SearchTool, str], str]


class Told:
    """Finds what it is told, fails as it is told, or takes its time."""

    name = "told"

    def __init__(self, *found: Snippet, error: Exception | None = None, seconds: float = 0.0) -> None:
        self.found, self.error, self.seconds = list(found), error, seconds
        self.asked = 0

    def search(self, query: str, k: int) -> list[Snippet]:  # noqa: ARG002  # the contract's
        self.asked += 1
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return self.found


class ToldAsync(Told):
    """Is asked on the event loop where there is one."""

    async def asearch(self, query: str, k: int) -> list[Snippet]:
        await asyncio.sleep(self.seconds)
        seconds, self.seconds = self.seconds, 0.0
        try:
            return self.search(query, k)
        finally:
            self.seconds = seconds


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    if request.param == "sync":
        return lambda tool, query: tool.invoke({"query": query})
    return lambda tool, query: asyncio.run(tool.ainvoke({"query": query}))


@pytest.fixture(params=[Told, ToldAsync])
def kind(request: pytest.FixtureRequest) -> type[Told]:
    return request.param


A, B, C = Snippet("first", "a"), Snippet("second", "b"), Snippet("third", "c")


class TestInTurn:
    def test_the_next_is_asked_when_one_fails(self, run: Run, kind: type[Told]) -> None:
        broken, slow, good, last = kind(error=SearchError("no quota")), kind(A, seconds=2.0), kind(B), kind(C)
        tool = SearchTool.over(broken, slow, good, last, timeout_s=0.2)
        assert run(tool, "q") == "[1] b\nsecond"
        assert (broken.asked, good.asked, last.asked) == (1, 1, 0)

    def test_finding_nothing_is_no_failure(self, run: Run, kind: type[Told]) -> None:
        other = kind(B)
        assert run(SearchTool.over(kind(), other), "q") == "Nothing was found for 'q'. Try other words."
        assert other.asked == 0

    def test_what_failed_is_an_answer_that_says_so(self, run: Run, kind: type[Told]) -> None:
        tool = SearchTool.over(
            kind(error=SearchError("no quota.")), kind(error=ValueError("oops")), kind(seconds=2.0), timeout_s=0.2
        )
        assert run(tool, "q") == (
            "Error: The search failed. told: no quota. told: ValueError: oops told: No answer within 0.2 s."
        )

    def test_or_an_exception_where_one_is_wanted(self, run: Run, kind: type[Told]) -> None:
        tool = SearchTool(provider=kind(error=OSError("down")), handle_tool_error=False)
        with pytest.raises(ToolException, match="told: OSError: down"):
            run(tool, "q")

    def test_an_interrupt_of_the_graph_is_no_failure(self, run: Run, kind: type[Told]) -> None:
        with pytest.raises(GraphInterrupt):
            run(SearchTool.over(kind(error=GraphInterrupt()), kind(A)), "q")

    def test_nobody_waits_longer_than_told(self, run: Run, kind: type[Told]) -> None:
        start = time.monotonic()
        assert "No answer within 0.1 s" in run(SearchTool.over(kind(A, seconds=3.0), timeout_s=0.1), "q")
        assert time.monotonic() - start < 2

    def test_not_more_is_shown_than_asked_for(self, run: Run, kind: type[Told]) -> None:
        assert run(SearchTool.over(kind(A, B, C), k=2), "q") == "[1] a\nfirst\n\n[2] b\nsecond"

    def test_a_real_server_that_is_down_makes_way(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BRAVE_SEARCH_API_KEY", "k")
        (tmp_path / "a.md").write_text("The ferry leaves at noon.")
        with Website(Answer(b"{}", 500)) as site:
            brave = BraveSearch(base_url=site.url, allowed_hosts=["127.0.0.1"])
            assert run(SearchTool.over(brave, FolderSearch(tmp_path)), "ferry") == "[1] a.md\nThe ferry leaves at noon."

    @pytest.mark.parametrize(
        ("providers", "options", "problem"),
        [
            ([], {}, "at least one provider"),
            (["brave"], {}, "'brave' is no search provider"),
            ([Told()], {"k": 0}, "k must be a whole number"),
            ([Told()], {"timeout_s": 0}, "timeout_s is 0; it must be a number of seconds above 0"),
        ],
    )
    def test_mistakes_are_refused(self, providers: list[Any], options: dict[str, Any], problem: str) -> None:
        with pytest.raises(SettingError, match=problem):
            SearchTool.over(*providers, **options)


class TestFusing:
    def test_agreement_of_rankings_wins(self) -> None:
        fused = fuse([[A, B], [C, B]], k=3)
        assert [snippet.source for snippet in fused] == ["b", "a", "c"]
        assert [snippet.score for snippet in fused] == pytest.approx([1 / 62 + 1 / 62, 1 / 61, 1 / 61])

    def test_a_snippet_counts_once_in_a_ranking(self) -> None:
        assert fuse([[A, A, A], [B], [B]], k=1)[0].source == "b"

    @given(st.lists(st.lists(st.sampled_from([A, B, C])), max_size=4), st.integers(1, 4))
    def test_nothing_is_lost_or_made_up(self, rankings: list[list[Snippet]], k: int) -> None:
        fused = fuse(rankings, k)
        every = {snippet.source for ranking in rankings for snippet in ranking}
        assert len(fused) == min(k, len(every))
        assert {snippet.source for snippet in fused} <= every

    def test_providers_are_fused(self) -> None:
        assert [snippet.source for snippet in FusedSearch(Told(A, B), Told(B)).search("q", 2)] == ["b", "a"]
        with pytest.raises(SettingError):
            FusedSearch()


class Topics(Embeddings):
    """Knows that boats and ferries are alike, and nothing else."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 0.0] if "ferr" in text.lower() or "boat" in text.lower() else [0.0, 1.0]


class TestMeaning:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "a.md").write_text("The ferry leaves at noon.")
        (tmp_path / "b.md").write_text("The library opens at noon.")
        return tmp_path

    def test_finds_what_words_do_not(self, folder: Path) -> None:
        assert FolderSearch(folder).search("boats") == []
        assert [snippet.source for snippet in FolderSearch(folder, Topics()).search("boats")] == ["a.md"]

    def test_and_words_still_count(self, folder: Path) -> None:
        found = FolderSearch(folder, Topics()).search("library boats", k=2)
        assert {snippet.source for snippet in found} == {"a.md", "b.md"}

    @pytest.mark.parametrize("encoder", [FakeEncoder(), DeterministicFakeEmbedding(size=8)])
    def test_takes_encoders_and_any_embeddings(self, folder: Path, encoder: Any) -> None:
        assert SearchTool.from_folder(folder, 1, encoder).invoke({"query": "ferry"}).startswith("[1] a.md")

    @pytest.mark.slow
    def test_with_the_real_encoder(self, folder: Path) -> None:
        (tool,) = build_tools("search", {"folder": str(folder), "encoder": "all-MiniLM-L6-v2", "k": 1})
        assert tool.invoke({"query": "when can I borrow books"}) == "[1] b.md\nThe library opens at noon."


class Shelf(BaseRetriever):
    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:  # noqa: ARG002
        return self.documents


shelf = Shelf(documents=[Document("from the shelf", metadata={"source": "shelf.md"})])


def make_shelf() -> Shelf:
    return shelf


class TestRetriever:
    def test_documents_become_snippets(self, run: Run) -> None:
        documents = [
            Document("  one ", metadata={"source": "a.md", "title": "A"}),
            Document("two", metadata={"url": "https://b.example", "section": "S"}),
            Document("three", id="d3"),
            Document("four"),
            Document("five"),
        ]
        tool = SearchTool.over(RetrieverSearch(Shelf(documents=documents)), k=4)
        assert run(tool, "q") == (
            "[1] a.md (A)\none\n\n[2] https://b.example (S)\ntwo\n\n[3] d3\nthree\n\n[4] document 4\nfour"
        )

    def test_long_documents_are_cut(self) -> None:
        (snippet,) = RetrieverSearch(Shelf(documents=[Document("word " * 2000)])).search("q")
        assert len(snippet.text) <= 1200
        assert snippet.text.endswith("word…")

    def test_any_runnable_will_do(self, run: Run) -> None:
        tool = SearchTool.over(RetrieverSearch(RunnableLambda(lambda query: [Document(query.upper())])))
        assert run(tool, "q") == "[1] document 1\nQ"

    def test_other_things_will_not(self) -> None:
        with pytest.raises(SettingError, match="no LangChain retriever"):
            RetrieverSearch("shelf")  # type: ignore[arg-type]


class TestByName:
    def test_a_retriever_of_a_module(self) -> None:
        for name in ("shelf", "make_shelf"):
            (tool,) = build_tools("search", {"retriever": f"{__name__}:{name}"})
            assert tool.invoke({"query": "q"}) == "[1] shelf.md\nfrom the shelf"

    def test_web_providers_with_their_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OURS", "k")
        with Website(Answer.recorded("brave.json")) as site:
            arguments = {"provider": "brave", "base_url": site.url, "allowed_hosts": ["127.0.0.1"], "key_env": "OURS"}
            (tool,) = build_tools("search", {**arguments, "k": 1})
            assert tool.description.startswith("Searches the web")
            assert tool.invoke({"query": "ferry"}).startswith("[1] https://www.lissay.example/ferries (Ferries to")
        with Website(Answer.recorded("tavily.json")) as site:
            arguments = {**arguments, "provider": "tavily", "base_url": site.url, "options": {"topic": "news"}}
            (tool,) = build_tools("search", arguments)
            assert tool.invoke({"query": "ferry"}).startswith("[1] https://www.lissay.example/ferries")
            assert site.asked[0].body["topic"] == "news"

    def test_a_list_of_them_in_a_pool_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOOGLE_API_KEY", "k")
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "a.md").write_text("The ferry leaves at noon.")
        with Website(Answer(b"down", 503)) as site:
            (tmp_path / "pool.yaml").write_text(
                f"""
models: {{small: {{}}}}
tools:
  web:
    use: search
    arguments:
      k: 1
      provider:
        - {{provider: google, engine_id: e, base_url: "{site.url}", allowed_hosts: [127.0.0.1]}}
        - {{folder: docs}}
"""
            )
            entry = Pool.load(tmp_path / "pool.yaml").tool("web")
            (tool,) = build_tools(str(entry.use), entry.arguments)
            assert tool.description.startswith("Searches the web or documents")
            assert tool.invoke({"query": "ferry"}) == "[1] a.md\nThe ferry leaves at noon."
            assert len(site.asked) == 1

    def test_their_time_limit_is_that_of_the_tool(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BRAVE_SEARCH_API_KEY", "k")
        for arguments in ({"provider": "brave"}, {"provider": ["brave"]}):
            (tool,) = build_tools("search", {**arguments, "timeout_s": 60})
            assert (tool.timeout_s, tool.provider.timeout_s) == (60, 60)
            (tool,) = build_tools("search", arguments)
            assert (tool.timeout_s, tool.provider.timeout_s) == (30, 10)
            with pytest.raises(SettingError, match="timeout_s is 'long'"):
                build_tools("search", {**arguments, "timeout_s": "long"})

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ({"provider": "bing"}, "no search provider 'bing'. Valid: 'brave'"),
            ({"provider": "brave", "folder": "x"}, "'provider' and 'folder'"),
            ({"provider": ["brave"], "base_url": "http://x"}, "'base_url' must stand in the entries"),
            ({"provider": "brave", "engine_id": "x"}, "'brave' does not take 'engine_id'"),
            ({"provider": "brave", "encoder": "x"}, "'brave' does not take 'encoder'"),
            ({"provider": 3}, "'provider' of search is 3; give a name"),
            ({"provider": ["brave", 3]}, "give a name, or a list"),
            ({"provider": "tavily", "options": "news"}, "'options' of search with 'tavily' is 'news'"),
            ({"provider": "searxng", "options": {}}, "'searxng' does not take 'options'"),
            ({"retriever": "nowhere:shelf"}, "Can't find the retriever 'nowhere:shelf'"),
            ({"retriever": f"{__name__}:shelf", "encoder": "x"}, "'retriever' does not take 'encoder'"),
            ({"provider": [{"provider": "brave", "colour": "x"}]}, "'brave' does not take 'colour'"),
        ],
    )
    def test_mistakes_are_named(self, arguments: dict[str, Any], problem: str) -> None:
        with pytest.raises(PoolError, match=problem):
            build_tools("search", arguments)


class TestStandard(ToolsUnitTests):
    """LangChain's own tests, over providers in turn."""

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return SearchTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"provider": Told(error=SearchError("no")), "fallbacks": (Told(A),), "timeout_s": 1.0}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "harbour fees"}
