"""Calls in the formats of the main model families, and amid whatever models write around them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from calling import flip, multiply
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import tool

from langchain_atlas.execution.invocations import InvocationError
from langchain_atlas.execution.invocations.calls.formats import FORMATS
from langchain_atlas.execution.invocations.calls.prompted_calls import (
    NoCallError,
    check_arguments,
    final_answer,
    read_tool_calls,
)


@tool("look-up")
def look_up(topic: str) -> str:
    """Look a topic up."""
    return topic


TOOLS = [multiply, look_up, flip]
NUMBERS = {"first": 6, "second": 7}


def read(text: str, tools: Any = TOOLS) -> list[tuple[str, dict[str, Any]]]:
    return [(call.tool.name, dict(call.arguments)) for call in read_tool_calls(text, tools)]


@pytest.mark.parametrize(
    "text",
    [
        # as asked for, and with something around
        '{"tool": "multiply", "arguments": {"first": 6, "second": 7}}',
        'Sure! {"tool": "multiply", "arguments": {"first": 6, "second": 7}} That is it.',
        '```json\n{"name": "multiply", "arguments": {"first": 6, "second": 7}}\n```',
        '{"name": "multiply", "arguments": "{\\"first\\": 6, \\"second\\": 7}"}',
        '{"type": "function", "function": {"name": "multiply", "arguments": {"first": 6, "second": 7}}}',
        # Hermes and Qwen
        '<tool_call>\n{"name": "multiply", "arguments": {"first": 6, "second": 7}}\n</tool_call>',
        'Let me see.\n<tool_call>{"name": "multiply", "arguments": {"first": 6, "second": 7}}',
        '<think>I could call {"name": "flip"}</think>\n<tool_call>\n{"name": "multiply", "arguments": {"first": 6, "second": 7}}',  # noqa: E501
        "<tool_call>\n<function=multiply>\n<parameter=first>\n6\n</parameter>\n<parameter=second>\n7\n</parameter>\n</function>\n</tool_call>",
        # Llama
        '{"name": "multiply", "parameters": {"first": 6, "second": 7}}',
        '<|python_tag|>{"name": "multiply", "parameters": {"first": 6, "second": 7}}<|eom_id|>',
        "<|python_tag|>multiply(first=6, second=7)",
        "<|python_tag|>multiply.call(first=6, second=7)",
        '<function=multiply>{"first": 6, "second": 7}</function>',
        # Mistral
        '[TOOL_CALLS] [{"name": "multiply", "arguments": {"first": 6, "second": 7}}]',
        '[TOOL_CALLS][{"name": "multiply", "arguments": {"first": 6, "second": 7}}]</s>',
        '[TOOL_CALLS]multiply[ARGS]{"first": 6, "second": 7}',
        '[TOOL_CALLS]multiply[CALL_ID]k9Xa3b[ARGS]{"first": 6, "second": 7}',
        # Python
        "[multiply(first=6, second=7)]",
        "multiply(6, 7)",
        "multiply(6, second=7)",
        "I will call multiply(first=6, second=7) now.",
        "```python\nmultiply(first=6, second=7)\n```",
        "```tool_code\nmultiply(first=6, second=7)\n```",
        # ReAct
        'Thought: multiply.\nAction: multiply\nAction Input: {"first": 6, "second": 7}\nObservation: 13',
        '**Action:** multiply\n**Action Input:** ```json\n{"first": 6, "second": 7}\n```',
        'Action:\n```json\n{"action": "multiply", "action_input": {"first": 6, "second": 7}}\n```',
        # GLM, Claude, DeepSeek, gpt-oss
        "<tool_call>multiply\n<arg_key>first</arg_key>\n<arg_value>6</arg_value>\n<arg_key>second</arg_key>\n<arg_value>7</arg_value>\n</tool_call>",
        '<function_calls>\n<invoke name="multiply">\n<parameter name="first">6</parameter>\n<parameter name="second">7</parameter>\n</invoke>\n</function_calls>',  # noqa: E501
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>multiply\n```json\n{"first": 6, "second": 7}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',  # noqa: E501, RUF001
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>multiply<｜tool▁sep｜>{"first": 6, "second": 7}<｜tool▁call▁end｜>',  # noqa: RUF001
        '<|channel|>commentary to=functions.multiply <|constrain|>json<|message|>{"first": 6, "second": 7}<|call|>',
        # other names of the same things
        '{"tool_name": "multiply", "tool_input": {"first": 6, "second": 7}}',
        '{"action": "multiply", "action_input": {"first": 6, "second": 7}}',
        '{"tool": "multiply", "first": 6, "second": 7}',
        '{"tool": "multiply", "arguments": [6, 7]}',
        '{"tool": "functions.multiply", "arguments": {"first": 6, "second": 7}}',
        '[{"action": "multiply", "action_input": {"first": 6, "second": 7}}]',
        # almost JSON
        '{"tool": "multiply", "arguments": {"first": 6, "second": 7,},}',
        '{"tool": "multiply", "arguments": {"first": 6, "second": 7}',
        "{'tool': 'multiply', 'arguments': {'first': 6, 'second': 7}}",
        '{tool: "multiply", arguments: {first: 6, second: 7}}',
        '<tool_call>\n{"name": "multiply", "arguments": {"first": 6, "second": 7}\n</tool_call>',
        "<tool_call>\n{'name': 'multiply', 'arguments': {'first': 6, 'second': 7}}\n</tool_call>",
        # thoughts that began in the prompt, and long ones
        'I could call {"name": "flip"}.</think>\n{"name": "multiply", "arguments": {"first": 6, "second": 7}}',
        f'<think>{"hm " * 10_000}</think>{{"name": "multiply", "arguments": {{"first": 6, "second": 7}}}}',
    ],
)
def test_one_call_is_read_in_every_format(text: str) -> None:
    assert read(text) == [("multiply", NUMBERS)]


@pytest.mark.parametrize(
    "text",
    [
        '{"tool": "look-up", "arguments": {"topic": "tea"}} {"tool": "flip", "arguments": {}}',
        '<tool_call>{"name": "look-up", "arguments": {"topic": "tea"}}</tool_call>\n<tool_call>{"name": "flip", "arguments": {}}</tool_call>',  # noqa: E501
        '<|python_tag|>{"name": "look-up", "parameters": {"topic": "tea"}}; {"name": "flip", "parameters": {}}',
        '[TOOL_CALLS] [{"name": "look-up", "arguments": {"topic": "tea"}}, {"name": "flip", "arguments": {}}]',
        '[TOOL_CALLS]look-up[ARGS]{"topic": "tea"}[TOOL_CALLS]flip[ARGS]{}',
        'First {"tool": "look-up", "arguments": {"topic": "tea"}}, then {"tool": "flip", "arguments": {}}.',
        "[look_up(topic='tea'), flip()]",
    ],
)
def test_several_calls_are_read_in_their_order(text: str) -> None:
    assert read(text) == [("look-up", {"topic": "tea"}), ("flip", {})]


def test_an_action_is_followed_by_nothing_that_was_made_up() -> None:
    text = "Action: flip\nAction Input: {}\nObservation: heads\nAction: look-up\nAction Input: tea"
    assert read(text) == [("flip", {})]
    assert read("Action: look-up\nAction Input: green tea") == [("look-up", {"topic": "green tea"})]


@tool
def compute(expression: str, precision: int | None = None) -> str:
    """Compute."""
    return expression


@pytest.mark.parametrize(
    "text",
    [
        "Thought: add.\nAction: compute\nAction Input: 2+2",
        'Action: compute\nAction Input: "2+2"',
        "Action: compute[2+2]",
        '{"tool": "compute", "input": "2+2"}',
        '{"action": "compute", "action_input": "2+2"}',
        '{"tool": "compute", "expression": "2+2"}',
    ],
)
def test_a_plain_text_is_the_one_argument_that_is_needed(text: str) -> None:
    assert read(text, [compute, *TOOLS]) == [("compute", {"expression": "2+2"})]


@pytest.mark.parametrize(
    "text",
    [
        "<function=compute>\n<parameter=expression>\n42\n</parameter>\n</function>",
        '{"tool": "compute", "arguments": {"expression": 42}}',
        "Action: compute\nAction Input: 42",
        "compute(42)",
    ],
)
def test_a_number_is_a_text_where_a_text_is_wanted(text: str) -> None:
    assert read(text, [compute, *TOOLS]) == [("compute", {"expression": "42"})]


def test_a_truth_value_stays_one_whatever_is_wanted() -> None:
    assert read('{"tool": "compute", "arguments": {"expression": false}}', [compute]) == [
        ("compute", {"expression": False})
    ]


def test_a_text_keeps_its_form_where_a_text_is_wanted() -> None:
    text = '<function=compute>\n<parameter=expression>\n{"a":  1}\n</parameter>\n</function>'
    assert read(text, [compute]) == [("compute", {"expression": '{"a":  1}'})]


def test_line_ends_may_stand_in_a_text() -> None:
    text = '{"tool": "look-up", "arguments": {"topic": "x = 1\nprint(x)"}}'
    assert read(text) == [("look-up", {"topic": "x = 1\nprint(x)"})]
    assert read(f"<tool_call>{text}</tool_call>") == [("look-up", {"topic": "x = 1\nprint(x)"})]


def test_an_only_tools_arguments_alone_will_do() -> None:
    assert read('So: {"first": 6, "second": 7}', [multiply]) == [("multiply", NUMBERS)]
    with pytest.raises(NoCallError):
        read('{"first": 6, "second": 7}')


def test_brackets_inside_of_texts_do_not_end_a_call() -> None:
    assert read("So I say look_up(topic='a) or \\'b\\'(') now.") == [("look-up", {"topic": "a) or 'b'("})]


@pytest.mark.parametrize(
    "text", ["", "It is 42.", "{", "{}", "[1, 2]", "<tool_call></tool_call>", "<think>multiply(1, 2)"]
)
def test_no_call_is_none(text: str) -> None:
    with pytest.raises(NoCallError, match="no call in"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"tool": "divide", "arguments": {}}',
        '<tool_call>{"name": "divide", "arguments": {}}</tool_call>',
        "divide(1, 2)",
        "Action: divide\nAction Input: {}",
    ],
)
def test_a_call_of_no_tool_on_offer_says_so(text: str) -> None:
    with pytest.raises(
        InvocationError, match="no tool named 'divide'; there are 'multiply', 'look-up', 'flip'"
    ) as info:
        read(text)
    assert not isinstance(info.value, NoCallError)


def test_what_a_call_lacks_is_named() -> None:
    (call,) = read_tool_calls("multiply(first=6)", TOOLS)
    with pytest.raises(InvocationError, match="the call of 'multiply' lacks 'second'"):
        check_arguments(call)
    check_arguments(*read_tool_calls("flip()", TOOLS))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("42", "42"),
        ("<think>hm\nhm</think>\n42", "42"),
        ("hm\nhm</think>\n42", "42"),
        ("hm</think>", ""),
        ("Thought: done\nFinal Answer: 42", "42"),
        ("Final Answer:", "Final Answer:"),
        ("<think>never closed", ""),
    ],
)
def test_an_answer_comes_without_what_leads_to_it(text: str, answer: str) -> None:
    assert final_answer(text) == answer


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text("ab \n'\"\\{}[]()é", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(FORMATS)), VALUES, VALUES)
def test_what_a_format_writes_is_read_back(name: str, first: Any, second: Any) -> None:
    written = FORMATS[name].write("multiply", {"first": first, "second": second})
    assert read(written) == [("multiply", {"first": first, "second": second})]


PIECES = st.sampled_from(
    [
        "<arg_key>", "</arg_value>", "to=multiply<|message|>",
        "<tool_call>", "</tool_call>", "<function=multiply>", "<parameter=first>", "[TOOL_CALLS]", "[ARGS]",
        "<|python_tag|>", "Action: multiply\n", "Action Input: ", "multiply(", ")", '{"name": "multiply"', "}",
        '"arguments": {', "first=6", "```json\n", "```", "<think>", "</think>", "[", "]", "\n", "'", '"',
    ]
)  # fmt: skip


@given(st.text(max_size=60) | st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join))
def test_any_text_is_calls_of_tools_on_offer_or_an_error(text: str) -> None:
    try:
        calls = read_tool_calls(text, TOOLS)
    except InvocationError:
        return
    assert calls
    for call in calls:
        assert call.tool in TOOLS
        assert all(isinstance(key, str) for key in call.arguments)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 50_000,
        "{'" * 50_000,
        "[" * 50_000,
        '{"a":' * 9_000,
        "multiply(" * 5_000,
        "<tool_call>" * 5_000,
        "<tool_call>a<arg_key>" * 2_000,
        '<invoke name="a">' * 2_000,
        "to=a<|message|>" * 2_000,
        "<｜tool▁call▁begin｜>a" * 1_000,  # noqa: RUF001
    ],
)
def test_long_nonsense_is_read_in_no_time(text: str) -> None:
    with pytest.raises(InvocationError):
        read_tool_calls(text, TOOLS)


def test_json_of_a_value_that_is_no_call_is_left_alone() -> None:
    text = f"{json.dumps({'data': {'x': 1}})} so multiply(first=6, second=7)"
    assert read(text) == [("multiply", NUMBERS)]
