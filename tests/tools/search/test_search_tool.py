"""The search tool: passages of a folder, best first."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import BaseTool
from langchain_tests.unit_tests import ToolsUnitTests

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.search import MAX_PASSAGE, FolderSearch, SearchProvider, SearchTool, Snippet, split_passages

GUIDE = """# Harbour guide

The harbour opens at dawn.

## Fees

Boats under ten metres pay 12 crowns a night.

Larger boats pay 30 crowns.

```
# not a heading

fee = 12
```

## Ferries

The ferry to Lissay leaves every hour.
"""


class FixedProvider:
    """Gives the same snippets for every query, and remembers what it was asked."""

    def __init__(self, snippets: list[Snippet]) -> None:
        self.snippets = snippets
        self.asked: list[tuple[str, int]] = []

    def search(self, query: str, k: int) -> list[Snippet]:
        self.asked.append((query, k))
        return self.snippets[:k]


class TestStandard(ToolsUnitTests):
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return SearchTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"provider": FixedProvider([]), "k": 2}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "harbour fees"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "guide.md").write_text(GUIDE, encoding="utf-8")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "light.txt").write_text("The lighthouse was lit in 1871.\n\n# 4 keepers lived there.")
    (tmp_path / "image.png").write_bytes(b"\x89PNG harbour")
    (tmp_path / ".hidden.md").write_text("The secret harbour.")
    return tmp_path


def test_answers_with_passage_source_and_heading(folder: Path) -> None:
    answer = SearchTool.from_folder(folder, k=1).invoke({"query": "When does the ferry leave?"})
    assert answer == "[1] guide.md (Harbour guide > Ferries)\nThe ferry to Lissay leaves every hour."


def test_finds_files_in_subfolders(folder: Path) -> None:
    answer = SearchTool.from_folder(folder).invoke({"query": "lighthouse"})
    assert answer == "[1] notes/light.txt\nThe lighthouse was lit in 1871."


@pytest.mark.parametrize("query", ["ferry", "FERRY", "ferries", "the ferries of"])
def test_case_plurals_and_common_words_make_no_difference(folder: Path, query: str) -> None:
    best = FolderSearch(folder).search(query, k=1)
    assert [snippet.text for snippet in best] == ["The ferry to Lissay leaves every hour."]


def test_best_comes_first_and_at_most_k(folder: Path) -> None:
    snippets = FolderSearch(folder).search("larger boats pay crowns", k=2)
    assert [snippet.text for snippet in snippets] == [
        "Larger boats pay 30 crowns.",
        "Boats under ten metres pay 12 crowns a night.",
    ]
    assert snippets[0].score > snippets[1].score > 0


@pytest.mark.parametrize("query", ["submarine", "the of and", "", "?!"])
def test_no_matching_word_is_said(folder: Path, query: str) -> None:
    answer = SearchTool.from_folder(folder).invoke({"query": query})
    assert answer == f"Nothing was found for {query!r}. Try other words."


def test_other_and_hidden_files_are_left_out(folder: Path) -> None:
    sources = {snippet.source for snippet in FolderSearch(folder).search("harbour secret", k=50)}
    assert sources == {"guide.md"}


def test_a_missing_folder_is_refused_at_construction(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"there is no folder .*nowhere"):
        SearchTool.from_folder(tmp_path / "nowhere")


def test_a_folder_without_documents_is_refused_at_construction(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b")
    with pytest.raises(SettingError, match=r"has no documents: no file ends in \.md or \.txt"):
        SearchTool.from_folder(tmp_path)


@pytest.mark.parametrize("k", [0, -1, "3"])
def test_k_must_be_a_positive_number(folder: Path, k: Any) -> None:
    with pytest.raises(SettingError, match="k must be a whole number of passages from 1"):
        SearchTool.from_folder(folder, k)


def test_documents_are_read_at_the_first_search(folder: Path) -> None:
    search = FolderSearch(folder)
    (folder / "late.md").write_text("A submarine was seen.")
    assert [snippet.source for snippet in search.search("submarine", k=3)] == ["late.md"]
    (folder / "later.md").write_text("Another submarine was seen.")
    assert [snippet.source for snippet in search.search("submarine", k=3)] == ["late.md"]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"the of", b"caf\xe9 au lait"])
def test_odd_files_do_no_harm(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.txt").write_bytes(content)
    search = FolderSearch(tmp_path)
    assert search.search("submarine", k=3) == []
    assert len(search.search("lait", k=3)) == (b"lait" in content)


def test_headings_and_fences_shape_the_passages() -> None:
    passages = [(snippet.heading, snippet.text) for snippet in split_passages(GUIDE, "guide.md")]
    assert passages == [
        ("Harbour guide", "The harbour opens at dawn."),
        ("Harbour guide > Fees", "Boats under ten metres pay 12 crowns a night."),
        ("Harbour guide > Fees", "Larger boats pay 30 crowns."),
        ("Harbour guide > Fees", "```\n# not a heading\n\nfee = 12\n```"),
        ("Harbour guide > Ferries", "The ferry to Lissay leaves every hour."),
    ]


def test_plain_text_has_no_headings() -> None:
    passages = list(split_passages("# 4 keepers\n\nlived here", "a.txt", headings=False))
    assert [(snippet.heading, snippet.text) for snippet in passages] == [("", "# 4 keepers"), ("", "lived here")]


@given(st.text(st.sampled_from("ab #`\n"), max_size=300) | st.text(max_size=300))
def test_splitting_keeps_every_word_of_plain_text(text: str) -> None:
    snippets = list(split_passages(text, "a.txt", headings=False))
    assert " ".join(snippet.text for snippet in snippets).split() == text.split()
    assert all(0 < len(snippet.text) <= MAX_PASSAGE for snippet in snippets)


def test_long_paragraphs_are_split_between_words() -> None:
    text = " ".join(f"word{number}" for number in range(1000))
    snippets = list(split_passages(text, "a.txt"))
    assert len(snippets) > 5
    assert all(len(snippet.text) <= MAX_PASSAGE for snippet in snippets)
    assert " ".join(snippet.text for snippet in snippets) == text
    assert "".join(snippet.text for snippet in split_passages("x" * 3000, "a.txt")) == "x" * 3000


def test_any_provider_works_behind_the_tool() -> None:
    provider = FixedProvider([Snippet("first", "a"), Snippet("second", "b", heading="B")])
    assert isinstance(provider, SearchProvider)
    assert SearchTool(provider=provider, k=2).invoke({"query": "q"}) == "[1] a\nfirst\n\n[2] b (B)\nsecond"
    assert provider.asked == [("q", 2)]


def test_threads_share_one_index(folder: Path) -> None:
    search = FolderSearch(folder)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: search.search("ferry", 1), range(16)))
    assert all(result == results[0] for result in results)


def test_nothing_is_written_to_the_terminal(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    SearchTool.from_folder(folder).invoke({"query": "ferry"})
    assert capfd.readouterr() == ("", "")


async def test_async_gives_the_same_answer(folder: Path) -> None:
    tool = SearchTool.from_folder(folder)
    assert await tool.ainvoke({"query": "ferry"}) == tool.invoke({"query": "ferry"})
