"""Files that people wrote are read whatever their editor made of them, or refused with what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.evaluation.profiling.queries import read_queries
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.files import read_pool
from langchain_atlas.pool.pairs import read_pairs
from langchain_atlas.text_files import decoded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROW = {
    "query_id": "q", "query": "Wo fährt die Fähre?", "context": None, "domain": "d", "model": "größe", "tool": "none",
    "score": 1.0, "input_tokens": 1, "output_tokens": 1, "cost_usd": 0.1, "latency_s": 1.0, "response": "a",
    "error": None, "tokens_estimated": False,
}  # fmt: skip
POOL = "models:\n  größe: {litellm: openai/gpt-4o-mini}\n"

READERS: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "questions": ("q.jsonl", '{"query": "Wo fährt die Fähre?"}\n', read_queries),
    "table": ("t.jsonl", json.dumps(ROW, ensure_ascii=False) + "\n", OutcomeTable.load),
    "pool": ("pool.yaml", POOL, read_pool),
    "pairs": ("pairs.txt", "größe@@none\n", read_pairs),
}
MARKED = ("utf-8-sig", "utf-16", "utf-32")


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("encoding", ["utf-8", *MARKED, "utf-16-le", "utf-16-be"])
def test_byte_order_marks_and_utf_16_are_taken_everywhere(tmp_path: Path, kind: str, encoding: str) -> None:
    name, text, read = READERS[kind]
    plain, other = tmp_path / name, tmp_path / f"other-{name}"
    plain.write_text(text, encoding="utf-8")
    other.write_bytes(text.encode(encoding))
    seen = [value.queries if isinstance(value, OutcomeTable) else value for value in map(read, (plain, other))]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("encoding", ["cp1252", "mac-roman"])
def test_other_encodings_of_data_are_refused_with_the_place_and_what_to_do(
    tmp_path: Path, kind: str, encoding: str
) -> None:
    name, text, read = READERS[kind]
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    with pytest.raises(InvalidInputError, match=rf"{name}.*line \d+: byte 0x.. at \d+ is not UTF-8") as caught:
        read(path)
    assert str(caught.value).rstrip(".").endswith("Save the file as UTF-8")
    assert encoding != "cp1252" or "It may be Windows-1252" in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"\xff\xfea", b"\xfe\xff\xd8", b"\xff\xfe\0\0abc", b"\xef\xbb\xbf\xff", b"PAR1\0\xff"]
)
def test_what_is_not_what_its_mark_says_is_refused(data: bytes) -> None:
    with pytest.raises(UnicodeError, match="Save the file as UTF-8"):
        decoded(data)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Fähre über den Fluß „gut“", "cp1252"), ("naïve café", "latin-1"), ("5 € each", "cp1252")],
)
def test_western_texts_are_decoded_where_guessing_does_no_harm(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding), western=True) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("法国的首都", "gbk"), ("Привет", "cp1251"), ("日本語", "shift_jis"), ("กรุงเทพ", "cp874"), ("Ελλάδα", "cp1253")],
)
def test_other_languages_are_not_taken_for_western_ones(text: str, encoding: str) -> None:
    with pytest.raises(UnicodeError, match="not UTF-8"):
        decoded(text.encode(encoding), western=True)


@given(st.text(), st.sampled_from(["utf-8", *MARKED]))
def test_every_text_comes_back(text: str, encoding: str) -> None:
    if encoding != "utf-8" or ("\0" not in text and not text.startswith("\ufeff")):
        assert decoded(text.encode(encoding)) == text


@given(st.binary(), st.booleans())
def test_any_bytes_are_text_or_an_error_that_says_why(data: bytes, western: bool) -> None:
    said = "UTF-8"
    try:
        decoded(data, western=western)
    except UnicodeError as error:
        said = str(error)
    assert "UTF-8" in said
