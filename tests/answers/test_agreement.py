"""When two answers say the same, whatever the format."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_atlas.answers import MARKS, AnswerAgreement, ParsedAnswer, read_answer
from langchain_atlas.answers.behaviour import examples_in
from langchain_atlas.errors import SettingError
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.tools import shared_sandbox
from langchain_atlas.trajectory import Query

FUNCTIONS = [
    {
        "name": "weather.get",
        "description": "Weather of a city",
        "parameters": {
            "type": "dict",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "description": "How many days; default is 3."},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            },
            "required": ["city"],
        },
    },
    {"name": "time", "parameters": {"type": "dict", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
]
ASK = Query(text="What is the weather in Paris for 5 days?", context=json.dumps(FUNCTIONS))
PLAIN = Query(text="What is 6 times 7?")
AGREEMENT = AnswerAgreement()


def same(first: str | None, second: str | None, query: Query = PLAIN) -> bool:
    return AGREEMENT.same(read_answer(first, query), read_answer(second, query), query)


def mark(answer: str, name: str) -> float:
    return read_answer(answer, ASK).marks[MARKS.index(name)]


FORMATS = [
    'weather.get(city="Paris", days=5)',
    '[weather.get(city="Paris", days=5)]',
    'weather.get(days=5, city="Paris");',
    'weather.get("Paris", 5)',
    '[{"weather_get": "{\\"city\\": \\"Paris\\", \\"days\\": 5}"}]',
    '{"name": "weather.get", "arguments": {"city": "Paris", "days": 5}}',
    '[{"name": "weather_get", "parameters": {"city": "paris", "days": "5"}}]',
    '{"tool_calls": [{"function": {"name": "weather.get", "arguments": "{\\"city\\": \\"Paris\\", \\"days\\": 5}"}}]}',
    '<tool_call>\n{"name": "weather_get", "arguments": {"city": "Paris", "days": 5}}\n</tool_call>',
    '```python\n[weather.get(city="Paris", days=5)]\n```',
    '[weather.get(city="Paris", days=5, unit="celsius")]',
    'weather.get\n{"city": "Paris", "days": 5}',
    '[weather\\_get(city="Paris", days=5)]',
    'I would call [weather.get(city="Paris", days=5)] for that.',
]


@pytest.mark.parametrize("answer", FORMATS)
def test_calls_agree_in_every_format(answer: str) -> None:
    assert same(answer, FORMATS[0], ASK)


@pytest.mark.parametrize(
    "answer",
    [
        '[weather.get(city="London", days=5)]',
        '[weather.get(city="Paris", days=4)]',
        '[time(city="Paris")]',
        '[weather.get(city="Paris", days=5), time(city="Paris")]',
        "It will be fine.",
        "",
    ],
)
def test_other_calls_differ(answer: str) -> None:
    assert not same(answer, FORMATS[0], ASK)


def test_what_only_repeats_a_default_does_not_count() -> None:
    assert same('[weather.get(city="Paris", days=3)]', '[weather.get(city="Paris")]', ASK)


def test_calls_agree_in_any_order() -> None:
    one, other = 'time(city="Rome")', 'weather.get(city="Rome")'
    assert same(f"[{one}, {other}]", f"[{other}, {one}]", ASK)


def test_answers_that_call_nothing_agree() -> None:
    assert same("None of the functions fits.", "I can't help with that.", ASK)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ('[news(city="Paris")]', "unknown_function"),
        ("[weather.get(days=5)]", "missing_argument"),
        ('[weather.get(city="Paris", planet="Mars")]', "unknown_argument"),
        ('[weather.get("Paris")]', "positional_argument"),
        ('[weather.get(city="Paris", days="many")]', "wrong_type"),
        ('[weather.get(city="Paris", unit="kelvin")]', "illegal_choice"),
        ('[weather.get(city="Lisbon")]', "ungrounded"),
    ],
)
def test_marks(answer: str, name: str) -> None:
    assert mark(answer, name) == 1
    assert mark('[weather.get(city="Paris", days=5)]', name) == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("42", "42.0"),
        ("$1,200", "1200"),
        ("The answer is 42.", "42"),
        ("6 * 7 = 42\n#### 42", "42"),
        ("0.33333", "0.3333"),
        ("B", "(B)"),
        ("B", "B) the second"),
        ("The answer is (B)", "B"),
        ("03/04/2020", "03/04/2020"),
        ("True", "true."),
        ("Москва", "москва."),
        ("The final answer is $\\boxed{42}$.", "42"),
        ("so \\boxed{\\frac{1}{2}}", "0.5"),
        ("\\boxed{\\text{(B)}}", "B"),
        ("1/2", "2/4"),
        ("\u22125", "-5"),
        ("-$5", "$-5"),
        ("J. Austen", "j. austen"),
        ("1. find(coke), 2. pick(coke)", "1. find(coke)\n2. pick(coke)"),
        ("def f(a):\n    return a + 1", "```python\ndef add(x):\n    '''Add.'''\n    return x + 1\n```"),
    ],
)
def test_plain_answers_agree(first: str, second: str) -> None:
    assert same(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("42", "43"),
        ("B", "C"),
        ("42", "B"),
        ("x = -2", "x = 2"),
        ("-5 apples", "5 apples"),
        ("2x+3", "2x-3"),
        ("a < b", "a > b"),
        ("Москва", "Париж"),
        ("3 яблока", "3 груши"),
        ("東京2020", "北京2020"),
        ("\\boxed{\\frac{1}{2}}", "\\boxed{\\frac{1}{3}}"),
        ("1/2", "1 2"),
        ("1/2", "0.3"),
        ("U.S.", "U.K."),
        ("J. Austen", "J. Joyce"),
        ("1/2", " ".join(["word"] * 80)),
        ("03/04/2020", "04/03/2020"),
        ("def f(a):\n    return a + 1", "def f(a):\n    return a - 1"),
        ("", ""),
        ("None", "unknown"),
    ],
)
def test_plain_answers_differ(first: str, second: str) -> None:
    assert not same(first, second)


def test_a_letter_with_more_behind_it_is_a_choice_where_the_query_offers_it() -> None:
    offers = Query(text="Which? A. iron B. gold")
    assert same("B. gold", "B", offers)
    assert not same("B. gold", "B")


def test_numbers_of_many_digits_are_told_apart_in_calls() -> None:
    assert not same("[time(city=1234567)]", "[time(city=1234568)]", ASK)
    assert same("[time(city=1234567)]", "[time(city=1234567.0)]", ASK)


def test_a_set_in_a_call_reads_alike_in_every_process() -> None:
    listed = Query(text="do it", context='[{"name": "f", "parameters": {"properties": {"x": {"type": "array"}}}}]')
    assert read_answer("f(x=\"{'b', 'a', 'c'}\")", listed).value == (("f", (("x", "a b c"),)),)


def test_a_failed_call_agrees_with_none() -> None:
    assert not same(None, None)


def test_long_texts_agree_by_words_or_by_an_encoder() -> None:
    text = " ".join(f"word{number}" for number in range(80))
    assert same(text, f"{text} more")
    assert not same(text, " ".join(f"thing{number}" for number in range(80)))
    by_encoder = AnswerAgreement(encoder=FakeEncoder(), similarity=0.9)
    readings = [read_answer(answer, PLAIN) for answer in (text, f"{text} word1 word2")]
    assert by_encoder.same(*readings, PLAIN)


def test_parameters_are_checked() -> None:
    with pytest.raises(SettingError, match="similarity 2"):
        AnswerAgreement(similarity=2)


def test_groups_are_numbered_by_first_appearance() -> None:
    readings = [read_answer(answer, PLAIN) for answer in ("42", "43", "42.0", "", "43", "")]
    assert AGREEMENT.groups(readings, PLAIN) == [0, 1, 0, 2, 1, 3]


VALUES = st.one_of(st.integers(-999, 999), st.text("abcdefgh ", min_size=1, max_size=8).filter(lambda s: s.strip()))


@given(st.dictionaries(st.sampled_from(["alpha", "beta", "gamma"]), VALUES, min_size=1))
def test_one_call_reads_alike_from_every_format(arguments: dict[str, Any]) -> None:
    context = json.dumps([{"name": "f.g", "parameters": {"properties": {key: {} for key in arguments}}}])
    query = Query(text="do it", context=context)
    python = f"[f.g({', '.join(f'{key}={value!r}' for key, value in arguments.items())})]"
    named = json.dumps({"name": "f_g", "arguments": arguments})
    native = json.dumps([{"f_g": json.dumps(arguments)}])
    readings = [read_answer(answer, query) for answer in (python, named, native, f"```json\n{named}\n```")]
    assert all(AGREEMENT.same(readings[0], reading, query) for reading in readings)


@given(
    st.text(), st.text(), st.sampled_from([None, "", "[", '[{"name": 3}]', '[{"name": "f", "parameters": []}]', "{}"])
)
def test_any_text_can_be_read_and_same_is_symmetric(first: str, second: str, context: str | None) -> None:
    query = Query(text="anything", context=context)
    one, two = read_answer(first, query), read_answer(second, query)
    assert isinstance(one, ParsedAnswer)
    assert len(one.marks) == len(MARKS)
    assert AGREEMENT.same(one, two, query) == AGREEMENT.same(two, one, query)
    assert AGREEMENT.same(one, one, query) == (one.kind != "nothing")


DOUBLE = Query(text="Write double(x).\n>>> double(2)\n4\nassert double([1]) == [1, 1]\nassert double")
LOOP = "```python\ndef double(x):\n    return x * 2\n```"
SUM = "Sure:\n```python\ndef double(x):\n    y = x\n    return x + y\n```"
SQUARE = "```python\ndef double(x):\n    return x ** 2\n```"
OTHERWISE = "```python\ndef twice(x):\n    return x * 2\n```"
BROKEN = "```python\ndef double(x:\n```"


def test_examples_are_calls_after_prompts_and_left_of_assertions() -> None:
    assert examples_in(DOUBLE.text) == ("double(2)", "double([1])")
    assert examples_in("assert x\n>>> 4\nassert (\n>>> f(") == ()


@pytest.mark.parametrize(
    ("first", "second", "agree"),
    [
        (LOOP, SUM, True),  # differ as text, do the same
        (LOOP, SQUARE, False),  # same on 2, not on [1]
        (LOOP, OTHERWISE, False),  # can't be run on the examples: compared as text with one that was
        (BROKEN, BROKEN, True),  # can't be run at all: compared as text
    ],
)
def test_code_is_compared_by_what_it_does_on_the_examples(first: str, second: str, agree: bool) -> None:
    agreement = AnswerAgreement(sandbox=shared_sandbox())
    readings = [agreement.read(answer, DOUBLE) for answer in (first, second)]
    assert agreement.same(*readings, DOUBLE) is agree


def test_without_a_sandbox_or_examples_code_is_compared_as_text() -> None:
    assert not same(LOOP, SUM, DOUBLE)
    agreement, plain = AnswerAgreement(sandbox=shared_sandbox()), Query(text="Write double(x).")
    assert not agreement.same(agreement.read(LOOP, plain), agreement.read(SUM, plain), plain)


@given(st.text(max_size=200))
def test_examples_are_found_in_any_text_without_failing(text: str) -> None:
    for call in examples_in(f">>> {text}\nassert {text}"):
        assert "(" in call
