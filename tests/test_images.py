"""Images in every form become URLs, and what is none is refused with a reason."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from pictures import data_url, picture

from langchain_atlas import Query
from langchain_atlas.errors import InvalidInputError
from langchain_atlas.images import MAX_BYTES, block_url, image_bytes, image_url, kind_of, shown

if TYPE_CHECKING:
    from pathlib import Path

PNG = picture(size=(2, 2))
KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_files_and_bytes_become_data_urls_of_their_kind(name: str, kind: str, tmp_path: Path) -> None:
    data = picture(kind=name, size=(3, 3))
    path = tmp_path / "whatever.dat"
    path.write_bytes(data)
    assert image_url(data) == image_url(path) == image_url(bytearray(data)) == data_url(data, kind)
    assert image_bytes(image_url(path)) == data
    assert kind_of(data) == kind


def test_a_wrong_kind_is_put_right() -> None:
    assert image_url(data_url(PNG, "image/jpeg")) == data_url(PNG)
    assert image_url("data:;base64," + base64.b64encode(PNG).decode()) == data_url(PNG)


@pytest.mark.parametrize("url", ["https://example.org/a.png?x=1", "HTTP://example.org/a"])
def test_web_urls_stay_as_they_are(url: str) -> None:
    assert image_url(url) == url


BASE64 = base64.b64encode(PNG).decode()
BLOCKS = [
    ({"type": "image_url", "image_url": {"url": "http://x/a.png", "detail": "low"}}, "http://x/a.png"),
    ({"type": "image_url", "image_url": "http://x/a.png"}, "http://x/a.png"),
    ({"type": "image_url", "image_url": {"url": data_url(PNG)}}, data_url(PNG)),
    ({"type": "input_image", "image_url": "http://x/a.png"}, "http://x/a.png"),
    ({"type": "image", "url": "http://x/a.png"}, "http://x/a.png"),
    ({"type": "image", "base64": BASE64, "mime_type": "image/png"}, data_url(PNG)),
    ({"type": "image", "base64": BASE64}, data_url(PNG)),
    ({"type": "image", "source_type": "base64", "data": BASE64, "mime_type": "image/png"}, data_url(PNG)),
    ({"type": "image", "source_type": "url", "url": "http://x/a.png"}, "http://x/a.png"),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}}, data_url(PNG)),
    ({"type": "image", "source": {"type": "url", "url": "http://x/a.png"}}, "http://x/a.png"),
    ({"type": "media", "mime_type": "image/png", "data": BASE64}, data_url(PNG)),
]


@pytest.mark.parametrize(("block", "url"), BLOCKS)
def test_content_blocks_give_their_url(block: dict[str, Any], url: str) -> None:
    assert image_url(block) == block_url(block) == url


@pytest.mark.parametrize(("block", "url"), BLOCKS)
def test_and_so_do_the_blocks_that_langchain_makes_of_them(block: dict[str, Any], url: str) -> None:
    (made,) = HumanMessage([block]).content_blocks
    assert image_url(made.get("value", made)) == url


@pytest.mark.parametrize(
    "block", [{}, {"type": "text", "text": "x"}, {"type": "image", "file_id": "f"}, {"type": "audio", "base64": "AA=="}]
)
def test_blocks_without_an_image_are_refused(block: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="holds no image"):
        image_url(block)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("chart.png", r"'chart\.png' is no URL.*pathlib\.Path"),
        ("file:///etc/passwd", "no URL of an image"),
        ("", "no URL of an image"),
        (b"", "is not an image that models read"),
        (b"%PDF-1.7", "begins with b'%PDF-1.7'"),
        (b"<svg xmlns=", "is not an image"),
        (data_url(b"hello"), "The data URL is not an image"),
        ("data:image/png;base64,####", "is not in base64"),
        ("data:image/png;base64,AAA", "is not in base64"),
        ("data:image/svg+xml,<svg/>", "not a data URL in base64"),
        ("data:", "not a data URL in base64"),
        (3, "this is a int"),
        (None, "this is a NoneType"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        image_url(image)


def test_files_that_are_missing_or_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"Can't read the image '.*none\.png': No such file"):
        image_url(tmp_path / "none.png")
    with pytest.raises(InvalidInputError, match="Can't read the image"):
        image_url(tmp_path)
    large = tmp_path / "large.png"
    large.write_bytes(PNG + bytes(MAX_BYTES))
    for image in (large, large.read_bytes(), data_url(large.read_bytes()), data_url(bytes(2 * MAX_BYTES))):
        with pytest.raises(InvalidInputError, match=r"at most 20 MiB|larger than 20 MiB"):
            image_url(image)


@given(st.text() | st.binary().map(data_url) | st.text().map("data:image/png;base64,".__add__))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        url = image_url(text)
    except InvalidInputError:
        return
    assert url.lower().startswith(("http://", "https://")) or kind_of(image_bytes(url)) is not None


def test_a_long_data_url_is_shown_short() -> None:
    assert shown(data_url(bytes(9000))) == f"data:image/png;base64,{'A' * 18}… (12022 characters)"
    assert shown("http://x/a.png") == "http://x/a.png"


def test_a_query_takes_images_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    query = Query(text="?", images=["http://x/a.png", path, PNG, BLOCKS[5][0]])
    assert query.images == ("http://x/a.png", data_url(PNG), data_url(PNG), data_url(PNG))
    assert Query.from_json(query.to_json()) == query
    with pytest.raises(InvalidInputError, match=r"Query field 'images': .*is not an image"):
        Query(text="?", images=[b"hello"])
