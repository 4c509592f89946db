"""A pool file that would grow without end, or take for ever, is refused at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_atlas.errors import PoolError
from langchain_atlas.pool.files import read_pool

if TYPE_CHECKING:
    from pathlib import Path

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)
NESTED_MAPS = "b0: &b0 {x: 1, y: 2}\n" + "".join(f"b{n}: &b{n} {{x: *b{n - 1}, y: *b{n - 1}}}\n" for n in range(1, 60))
MERGES = "b0: &b0 {x: 1}\n" + "".join(f"b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}]}}\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(LAUGHS, "more than 50,000 values", id="aliases of lists"),
        pytest.param(NESTED_MAPS, "more than 50,000 values", id="aliases of maps"),
        pytest.param(MERGES, "more than 50,000 values", id="merges"),
        pytest.param(f"pairs:\n  a:\n    options:\n      {LAUGHS}".replace("]\n", "]\n      "), "50,000", id="deep in"),
        pytest.param("models: &m {a: *m}", "part of itself", id="a map in itself"),
        pytest.param("models: &m [*m]", "part of itself", id="a list in itself"),
        pytest.param("? &k [*k]\n: 1", "part of itself", id="a key in itself"),
        pytest.param("models: &m {<<: *m}", "part of itself", id="merged with itself"),
        pytest.param("a: &a {b: {c: *a}}", "part of itself", id="a circle"),
        pytest.param("[" * 50_000, "nested more than 40 deep", id="brackets"),
        pytest.param("{a: " * 5_000, "nested more than 40 deep", id="braces"),
        pytest.param("- " * 5_000 + "x", "nested more than 40 deep", id="dashes"),
        pytest.param("? " * 50_000, "nested more than 40 deep", id="keys"),
        pytest.param(f"tools:\n  t: {{arguments: {'{a: ' * 60}1{'}' * 61}", "nested more than 40", id="arguments"),
        pytest.param("models: 1" + ":1" * 200_000, "number or date of 400,001 characters", id="base 60"),
        pytest.param("models: 0x" + "f" * 400_000, "number or date of", id="hexadecimal"),
        pytest.param("models: " + "9" * 400_000, "number or date of", id="decimal"),
        pytest.param("#" * 600_000, "larger than 500,000 bytes", id="size"),
        pytest.param("models: !!timestamp abc", "Can't read the pool file", id="a date that is none"),
        pytest.param("models: {<<: 3}", "Can't read the pool file", id="merged with a number"),
        pytest.param("models: !!python/object:os.system {}", "could not determine a constructor", id="a Python object"),
    ],
)  # fmt: skip
def test_what_grows_or_never_ends_is_refused_at_once(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(content, encoding="utf-8")
    started = time.perf_counter()
    with pytest.raises(PoolError, match=problem) as caught:
        read_pool(path)
    assert time.perf_counter() - started < 3
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_a_value_of_the_wrong_kind_is_shown_in_short(tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text("models: " + "x" * 400_000, encoding="utf-8")
    with pytest.raises(PoolError, match="maps names to entries") as caught:
        read_pool(path)
    assert len(str(caught.value)) < 1_000


def test_a_file_that_does_not_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool.yaml").symlink_to("/dev/zero")
    with pytest.raises(PoolError, match="larger than"):
        read_pool(tmp_path / "pool.yaml")


def test_aliases_that_save_writing_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(
        "models:\n  a: &a {litellm: openai/x, options: &o {temperature: 0}}\n  b: {<<: *a, litellm: openai/y}\n"
        "  c: {litellm: openai/z, options: *o}\n",
        encoding="utf-8",
    )
    models = read_pool(path).models
    assert [model.options for model in models] == [{"temperature": 0}] * 3
    assert [model.litellm for model in models] == ["openai/x", "openai/y", "openai/z"]


@given(st.lists(st.sampled_from("[]{}:,-?&*!|>'\"%@#\n ab1.~<="), max_size=60).map("".join))
def test_any_text_is_a_pool_or_a_pool_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PoolError):
        read_pool(path)
