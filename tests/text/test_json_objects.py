"""Objects amid text, and what is almost JSON."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_atlas.text.json_objects import first_object, loose_object, objects_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": "he said "hi" there"}', {"a": 'he said "hi" there'}),
        ('{"a": 1 // one\n}', {"a": 1}),
        ('{"a": 1 "b": 2}', {"a": 1, "b": 2}),
        ("{'a': True, 'b': None}", {"a": True, "b": None}),
        ("{a: [1, 2,],}", {"a": [1, 2]}),
        ('{"a": "x\ny"}', {"a": "x\ny"}),
        ('{"a": {"b": 1}', {"a": {"b": 1}}),
    ],
)
def test_almost_json_is_mended(text: str, found: dict[str, Any]) -> None:
    assert first_object(f"So: {text}") == found


@pytest.mark.parametrize(
    "text", ['{"a": "cut off', '{"path": "/tmp", "content": "half of i', "{hello world}", "{", "{{{"]
)
def test_what_breaks_off_in_a_text_or_says_nothing_is_left_alone(text: str) -> None:
    assert list(objects_in(text)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('"\\"{\\\\\\"a\\\\\\": 1}\\""', {"a": 1}),
        ("{}", {}),
        ('{"a": 1', {"a": 1}),
        ('"Oslo"', None),
        ("5", None),
        ("null", None),
        ("[1]", None),
        ("", None),
    ],
)
def test_an_object_encoded_as_a_text_is_decoded(text: str, found: dict[str, Any] | None) -> None:
    assert loose_object(text) == found


@pytest.mark.parametrize("text", ["{'" * 25_000, "{a:'" * 10_000, '{"a" ' * 10_000, '{"a":' * 10_000])
def test_hostile_text_takes_no_time(text: str) -> None:
    assert len(list(objects_in(text))) < 65


@pytest.mark.parametrize("text", ['{"a": (4 - 12) ** 0.5}', '{"a": Math.sqrt(2)}', '{"a": 10 / 4}'])
def test_an_expression_is_no_value_and_its_digits_are_no_numbers(text: str) -> None:
    assert first_object(text) is None
