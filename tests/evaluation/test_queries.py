"""Query files are read as written, and refused with file and line where they are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import data_url, picture

from langchain_atlas.errors import OutcomeError
from langchain_atlas.evaluation.profiling.queries import CheckableQuery, read_queries, stable_id
from langchain_atlas.evaluation.scoring.scorers import NumericScorer


def written(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "queries.jsonl"
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path


def test_every_field_arrives(tmp_path: Path) -> None:
    line = {
        "id": "a-1",
        "query": "What is 2 + 2?",
        "context": "Use base ten.",
        "domain": "sums",
        "answer": 4,
        "scorer": {"kind": "numeric", "tolerance": 0.1},
        "source": "book",
    }
    (item,) = read_queries(written(tmp_path, json.dumps(line)))
    assert (item.query.id, item.query.text, item.query.context) == ("a-1", "What is 2 + 2?", "Use base ten.")
    assert (item.domain, item.answer, item.extra) == ("sums", 4, {"source": "book"})
    assert item.scorer == NumericScorer(tolerance=0.1)


def test_a_query_alone_is_enough(tmp_path: Path) -> None:
    (item,) = read_queries(written(tmp_path, '{"query": "Hello?"}'))
    assert (item.domain, item.answer, item.scorer, item.query.context) == ("default", None, None, None)


def test_ids_stay_when_lines_move_and_tell_contexts_apart(tmp_path: Path) -> None:
    one, two = '{"query": "Hello?"}', '{"query": "Hello?", "context": "in French"}'
    forth = read_queries(written(tmp_path, one, two))
    back = read_queries(written(tmp_path, two, "", one))
    assert [item.query.id for item in forth] == [item.query.id for item in reversed(back)]
    assert len({item.query.id for item in forth}) == 2
    assert forth[0].query.id == stable_id("Hello?", None)


def test_numbers_are_ids_too(tmp_path: Path) -> None:
    assert read_queries(written(tmp_path, '{"id": 17, "query": "Hello?"}'))[0].query.id == "17"


def test_a_byte_order_mark_and_windows_line_ends_are_no_content(tmp_path: Path) -> None:
    path = written(tmp_path, b'\xef\xbb\xbf{"query": "a"}\r', b'{"query": "b"}\r')
    assert [item.query.text for item in read_queries(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "line", "problem"),
    [
        (["query,answer"], 1, "not JSON"),
        (['{"query": "a"}', "{"], 2, "not JSON"),
        ([b"PAR1\xff\xfe"], 1, "UTF-8"),
        (['["a"]'], 1, "not a JSON object"),
        (['{"question": "a"}'], 1, "no 'query' but 'question'"),
        (['{"query": ""}'], 1, "'query' is ''"),
        (['{"query": 7}'], 1, "'query' is 7"),
        (['{"query": "a", "id": ""}'], 1, "'id' is ''"),
        (['{"query": "a", "id": true}'], 1, "'id' is True"),
        (['{"query": "a", "context": {"f": 1}}'], 1, "'context' is"),
        (['{"query": "a", "domain": ["x"]}'], 1, "'domain' is"),
        (['{"query": "a\\ud800"}'], 1, "half of a character"),
        (['{"query": "a", "query": "b"}'], 1, "'query' occurs twice"),
        (['{"query": "a", "answer": NaN}'], 1, "NaN"),
        (["[" * 100_000], 1, "not JSON"),
        (['{"query": "a", "scorer": "numerc"}'], 1, "Did you mean 'numeric'"),
        (['{"query": "a", "scorer": {"kind": "exact", "case": 1}}'], 1, "no setting 'case'"),
        (['{"query": "a", "scorer": "numeric", "answer": "four"}'], 1, "finite number.*'four'"),
        (['{"query": "a", "id": "x"}', "", '{"query": "b", "id": "x"}'], 3, "'x' is already in line 1"),
        (['{"query": "a"}', '{"query": "a"}'], 2, "already in line 1"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, lines: list[str | bytes], line: int, problem: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(OutcomeError, match=rf"queries.jsonl, line {line}: .*{problem}"):
        read_queries(path)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(content)
    with pytest.raises(OutcomeError, match=r"queries.jsonl.* is empty"):
        read_queries(path)


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutcomeError, match="Can't read the query file"):
        read_queries(tmp_path / name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(query=TEXT, context=st.none() | TEXT, answer=JSON, ascii_only=st.booleans())
def test_whatever_json_carries_comes_back(
    tmp_path: Path, query: str, context: str | None, answer: Any, ascii_only: bool
) -> None:
    line = json.dumps({"query": query, "context": context, "answer": answer}, ensure_ascii=ascii_only)
    (item,) = read_queries(written(tmp_path, line.encode("utf-8", "surrogatepass")))
    assert (item.query.text, item.query.context, item.answer) == (query, context, answer)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_queries_or_an_outcome_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(content)
    try:
        assert read_queries(path)
    except OutcomeError as error:
        assert "queries.jsonl" in str(error)  # noqa: PT017  # either outcome is right


def test_queries_are_made_in_python_too() -> None:
    item = CheckableQuery.of("What is 2 + 2?", answer=4, scorer="numeric", source="book")
    assert item.scorer == NumericScorer()
    assert item.extra == {"source": "book"}
    with pytest.raises(OutcomeError, match="finite number"):
        CheckableQuery.of("What is 2 + 2?", answer="four", scorer="numeric")


def test_images_are_read_from_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("a"))
    (tmp_path / "b.png").write_bytes(picture("b"))
    lines = [json.dumps({"query": "What is it?", "images": images}) for images in (["a.png"], ["b.png", "http://x/c"])]
    one, two = read_queries(written(tmp_path, *lines, '{"query": "What is it?"}'))[:2]
    assert one.query.images == (data_url(picture("a")),)
    assert two.query.images == (data_url(picture("b")), "http://x/c")
    assert one.query.id != two.query.id, "the images tell them apart"


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        ("a.png", "'images' is 'a.png'; it must be a list"),
        (["none.png"], "Can't read the image"),
        (["queries.jsonl"], "is not an image that models read"),
        ([3], "this is a int"),
        ({"a": 1}, "must be a list"),
    ],
)
def test_what_is_no_image_is_refused_with_its_line(tmp_path: Path, images: Any, problem: str) -> None:
    path = written(tmp_path, json.dumps({"query": "What is it?", "images": images}))
    with pytest.raises(OutcomeError, match=r"queries\.jsonl, line 1: ") as caught:
        read_queries(path)
    assert problem in str(caught.value)
