"""Calls in the markup of model families, also where a model leaves tags out or writes them twice."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_atlas import Query
from langchain_atlas.answers import AnswerAgreement, read_answer
from langchain_atlas.text.finding_calls import find_calls
from langchain_atlas.text.signatures import Signature

TEXT = {"type": "string"}
NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
WEATHER = Signature.of("weather", {"properties": {"city": TEXT, "days": {"type": "integer"}}, "required": ["city"]})
VERSIONS = Signature.of(
    "versions",
    {
        "properties": {
            "version": NULLABLE,
            "listed": {"type": ["string", "null"]},
            "chosen": {"enum": ["3.10", "3.11", None]},
            "referred": {"$ref": "#/$defs/Version"},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "number": {"type": "number"},
            "several": {"type": "array", "items": TEXT},
            "inner": {"type": "object", "properties": {"version": NULLABLE}},
            "free": {},
        },
        "$defs": {"Version": {"type": "string"}},
    },
)
PING = Signature.of("ping", {"type": "object"})
OFFERED = [WEATHER, VERSIONS, PING]


def read(text: str, offered: Any = OFFERED) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in find_calls(text, offered)]


@pytest.mark.parametrize(
    "text",
    [
        # DeepSeek V3.2 and V4
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="weather">\n<｜DSML｜parameter name="city" string="true">Oslo</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',  # noqa: E501, RUF001
        'I look.\n<｜DSML｜tool_calls><｜DSML｜invoke name="weather"><｜DSML｜parameter name="city" string="true">Oslo</｜DSML｜parameter><｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>',  # noqa: E501, RUF001
        '<｜DSML｜tool_calls><｜DSML｜invoke name="weather">{"city": "Oslo", "days": 2}</｜DSML｜invoke></｜DSML｜tool_calls>',  # noqa: E501, RUF001
        "<|DSML|tool_calls><|DSML|invoke name=weather><|DSML|parameter name=city string=true>Oslo</|DSML|parameter><|DSML|parameter name=days>2</|DSML|parameter></|DSML|invoke>",  # noqa: E501
        # Kimi K2
        '<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{"city": "Oslo", "days": 2}<|tool_call_end|><|tool_calls_section_end|>',  # noqa: E501
        '<|tool_call_begin|> functions.weather:12 <|tool_call_argument_begin|> {"city": "Oslo", "days": 2}',
        # Gemma
        '<|tool_call>call:weather{city:<|"|>Oslo<|"|>,days:2}<tool_call|>',
        "<start_function_call>call:weather{city:<escape>Oslo<escape>,days:2}<end_function_call>",
        "<|tool_call>call:weather{city:Oslo, days:2}<tool_call|><|tool_response>",
        "```tool_code\nweather(city='Oslo', days=2)\n```",
        # arguments as one object
        'weather({"city": "Oslo", "days": 2})',
        "weather({city: 'Oslo', days: 2})",
        'Sure: weather({"city": "Oslo", "days": 2}) it is.',
        'weather{"city": "Oslo", "days": 2}',
        # GLM, with tags left out, doubled or astray
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
        "<tool_call>weather<arg_key>city</arg_key></arg_key><arg_value>Oslo</arg_value><arg_key>days</arg_key><arg_value>2</arg_value>",
        "<tool_call>weather<arg_key><arg_key>city</arg_key><arg_value>Oslo</arg_value><arg_key>days</arg_key><arg_value>2</arg_value></tool_call>",
        "<tool_call>weather<arg_key>city</arg_key>Oslo</arg_value><arg_key>days</arg_key>2</arg_value></tool_call>",
        "<tool_call>weather<arg_key>city</arg_key><arg_value>Oslo<arg_key>days</arg_key><arg_value>2</tool_call>",
        "<tool_call>weather<arg_key>city<arg_value>Oslo</arg_value><arg_key>days<arg_value>2</arg_value></tool_call>",
        "<tool_call>weathercity</arg_key><arg_value>Oslo</arg_value><arg_key>days</arg_key><arg_value>2</arg_value></tool_call>",
        "<tool_call>weather city</arg_key><arg_value>Oslo</arg_value><arg_key>days</arg_key><arg_value>2</arg_value></tool_call>",  # noqa: E501
        "<tool_call>weather<tool_call>city</arg_key><arg_value>Oslo</arg_value><arg_key>days</arg_key><arg_value>2</arg_value></tool_call>",
        "weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value></arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>",
        # others
        '<function name="weather">{"city": "Oslo", "days": 2}</function>',
        '<xai:function_call name="weather"><parameter name="city">Oslo</parameter><parameter name="days">2</parameter></xai:function_call>',  # noqa: E501
        '<|tool_call_start|>[weather(city="Oslo", days=2)]<|tool_call_end|>',
        '<|python_start|>[weather(city="Oslo", days=2)]<|python_end|>',
        '<|action_start|><|plugin|>{"name": "weather", "parameters": {"city": "Oslo", "days": 2}}<|action_end|>',
        '<TOOLCALL>[{"name": "weather", "arguments": {"city": "Oslo", "days": 2}}]</TOOLCALL>',
        "<tool_call>weather<arg_key>city</arg_key><arg_value>Oslo</arg_value><arg_key>days</arg_key><arg_value>2",
        # MiniMax
        '<minimax:tool_call><invoke name="weather"><parameter name="city">Oslo</parameter><parameter name="days">2</parameter></invoke></minimax:tool_call>',  # noqa: E501
    ],
)  # fmt: skip
def test_a_call_is_read_in_the_markup_of_its_family(text: str) -> None:
    assert read(text) == [("weather", {"city": "Oslo", "days": 2})]


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>ping</tool_call>",
        "<|tool_call_begin|>functions.ping:0<|tool_call_argument_begin|>{}<|tool_call_end|>",
        "<|tool_call>call:ping{}<tool_call|>",
        '<｜DSML｜tool_calls><｜DSML｜invoke name="ping"></｜DSML｜invoke></｜DSML｜tool_calls>',  # noqa: RUF001
        '{"tool": "ping"}',
        '{"tool": "ping", "arguments": {}}',
        '{"tool": "ping", "arguments": ""}',
        "ping()",
        "Action: ping\nAction Input:\n",
        "Action: ping\nAction Input: {}",
    ],
)  # fmt: skip
def test_a_tool_whose_schema_has_no_properties_takes_no_arguments(text: str) -> None:
    assert read(text) == [("ping", {})]


def test_several_calls_of_a_family_are_read_in_their_order() -> None:
    kimi = "".join(
        f'<|tool_call_begin|>functions.weather:{n}<|tool_call_argument_begin|>{{"city": "{city}"}}<|tool_call_end|>'
        for n, city in enumerate(("Oslo", "Rome"))
    )
    gemma = "".join(f'<|tool_call>call:weather{{city:<|"|>{city}<|"|>}}<tool_call|>' for city in ("Oslo", "Rome"))
    glm = "".join(
        f"<tool_call>weather<arg_key>city</arg_key><arg_value>{c}</arg_value></tool_call>" for c in ("Oslo", "Rome")
    )
    for text in (kimi, gemma, glm):
        assert read(text) == [("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"})]


@pytest.mark.parametrize("name", ["version", "listed", "chosen", "referred", "either"])
@pytest.mark.parametrize(
    "form",
    [
        "<function=versions><parameter={}>3.10</parameter></function>",
        "<tool_call>versions<arg_key>{}</arg_key><arg_value>3.10</arg_value></tool_call>",
        '<invoke name="versions"><parameter name="{}">3.10</parameter></invoke>',
        '<tool_call>{{"name": "versions", "arguments": {{"{}": 3.10}}}}</tool_call>',
        "versions({}=3.10)",
        '<tool_call>{{"name": "versions", "arguments": {{"{}": "3.10"}}}}</tool_call>',
    ],
)
def test_a_text_that_may_be_left_out_stays_text(form: str, name: str) -> None:
    if name == "either" and ("{}=3.10" in form or ": 3.10}" in form):
        pytest.skip("a number was written where one is allowed")
    assert read(form.format(name)) == [("versions", {name: "3.10"})]


def test_texts_inside_of_lists_and_objects_stay_texts() -> None:
    text = '{"name": "versions", "arguments": {"several": [3.10, "a"], "inner": {"version": 3.10}, "number": 3.10}}'
    assert read(text) == [("versions", {"several": ["3.10", "a"], "inner": {"version": "3.10"}, "number": 3.1})]
    assert type(read(text)[0][1]["number"]) is float


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("version", "null", None),
        ("referred", "null", "null"),
        ("number", "3.10", 3.1),
        ("number", "many", "many"),
        ("free", "3.10", 3.1),
        ("free", "True", True),
        ("free", "{'a': 1}", {"a": 1}),
        ("version", "true", "true"),
        ("version", "007", "007"),
        ("several", '["3.10"]', ["3.10"]),
    ],
)
def test_values_in_tags_are_read_as_their_schema_has_them(name: str, written: str, value: Any) -> None:
    text = f"<function=versions>\n<parameter={name}>\n{written}\n</parameter>\n</function>"
    assert read(text) == [("versions", {name: value})]


def test_answers_in_different_markup_say_the_same() -> None:
    schema = '[{"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}]'
    query = Query(text="Oslo?", context=schema)
    forms = [
        '[{"weather": "{\\"city\\": \\"Oslo\\"}"}]',
        'weather({"city": "Oslo"})',
        '<think>weather(city="Rome")?</think>weather(city="Oslo")',
        '<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{"city": "Oslo"}<|tool_call_end|>',
        "<tool_call>\n{'name': 'weather', 'arguments': {'city': 'Oslo'}}\n</tool_call>",
    ]
    readings = [read_answer(form.replace("functions.", ""), query) for form in forms]
    assert set(AnswerAgreement().groups(readings, query)) == {0}
