"""Search finds words of any language, however they are written."""

import unicodedata
from pathlib import Path

import pytest

from langchain_atlas.tools.search import FolderSearch, SearchTool

DOCUMENTS = {
    "chinese.txt": "法国的首都是巴黎。",
    "japanese.txt": "東京タワーは東京にあります。猫が好きです。",
    "thai.txt": "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย",
    "lao.txt": "ວຽງຈັນເປັນນະຄອນຫຼວງ",
    "korean.txt": "대한민국의 수도는 서울입니다.",
    "hindi.txt": "दिल्ली भारत की राजधानी है",
    "german.txt": "Donaudampfschifffahrtsgesellschaft.\n\nDie Krankenversicherungskarte.\n\nDer Fahrplan.\n\nStraße.",
    "dutch.txt": "De arbeidsongeschiktheidsverzekering betaalt.",
    "decomposed.txt": unicodedata.normalize("NFD", "Das Café in Málaga öffnet um acht."),
    "vietnamese.txt": "Hà Nội là thủ đô của Việt Nam",
    "program.md": "Call `getUserName()` or read `user_email_address` on HTTPServer2.",
    "wide.txt": "ＡＢＣ株式会社",
}


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> FolderSearch:
    folder = tmp_path_factory.mktemp("languages")
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return FolderSearch(folder)


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("巴黎", "chinese.txt"),
        ("法国首都", "chinese.txt"),
        ("猫", "japanese.txt"),
        ("タワー", "japanese.txt"),
        ("เมืองหลวง", "thai.txt"),
        ("ไทย", "thai.txt"),
        ("ວຽງຈັນ", "lao.txt"),
        ("서울", "korean.txt"),
        ("राजधानी", "hindi.txt"),
        ("Dampfschiff", "german.txt"),
        ("Versicherung", "german.txt"),
        ("Krankenversicherung", "german.txt"),
        ("Fahrplanauskunft", "german.txt"),
        ("STRASSE", "german.txt"),
        ("verzekering", "dutch.txt"),
        ("café", "decomposed.txt"),
        ("cafe", "decomposed.txt"),
        ("MALAGA", "decomposed.txt"),
        ("Ha Noi", "vietnamese.txt"),
        ("user name", "program.md"),
        ("get_user_name", "program.md"),
        ("userEmailAddress", "program.md"),
        ("http server", "program.md"),
        ("abc", "wide.txt"),
    ],
)
def test_words_are_found_in_any_script_and_spelling(search: FolderSearch, query: str, source: str) -> None:
    assert search.search(query, k=1)[0].source == source


@pytest.mark.parametrize("query", ["भ", "ferry", "犬", "report"])
def test_what_is_not_there_is_not_found(search: FolderSearch, query: str) -> None:
    assert search.search(query, k=3) == []


def test_a_whole_word_comes_before_a_compound(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Der Dampfschiffhafen.\n\nDas Schiff legt ab.", encoding="utf-8")
    assert [snippet.text for snippet in FolderSearch(tmp_path).search("Schiff", k=2)] == [
        "Das Schiff legt ab.",
        "Der Dampfschiffhafen.",
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_documents_of_other_encodings_are_decoded(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes("Die Fähre fährt über den Fluß.".encode(encoding))
    assert [snippet.text for snippet in FolderSearch(tmp_path).search("Fähre")] == ["Die Fähre fährt über den Fluß."]


@pytest.mark.parametrize("encoding", ["gbk", "shift_jis", "koi8-r", "euc-kr"])
def test_documents_that_can_not_be_decoded_are_named_with_the_reason(tmp_path: Path, encoding: str) -> None:
    text = {"gbk": "法国的首都", "shift_jis": "日本語の文", "koi8-r": "Привет, мир", "euc-kr": "한국어 문장"}[encoding]
    (tmp_path / "old.txt").write_bytes(text.encode(encoding))
    (tmp_path / "new.txt").write_text("The ferry leaves at noon.", encoding="utf-8")
    search = FolderSearch(tmp_path)
    assert [snippet.source for snippet in search.search("ferry")] == ["new.txt"]
    assert "not UTF-8" in search.left_out["old.txt"]
    answer = SearchTool.over(search).invoke({"query": "submarine"})
    assert answer.endswith("Not searched, as they can't be read: old.txt.")
