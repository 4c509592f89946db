"""Requests and answers, without a model."""

import json
from typing import Any

import pytest

from langchain_atlas.errors import ExecutionError, InvalidInputError, SettingError
from langchain_atlas.local import MODELS
from langchain_atlas.local.requests import EngineRequest, PromptTooLongError, Reader, build_request

GEMMA = MODELS["gemma-3-270m"]
MESSAGES = [{"role": "user", "content": "2 + 2?"}]
TOOLS = [
    {"type": "function", "function": {"name": "sum", "description": "Adds.", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "now"}},
]


def body(**options: Any) -> Any:
    return build_request(GEMMA, MESSAGES, options).body


def test_left_alone_an_answer_is_greedy_and_bounded() -> None:
    asked = body()
    assert (asked["temperature"], asked["max_tokens"], asked["stop"]) == (0, 256, ["\nQuestion:", "\nAnswer:"])


def test_options_reach_the_engine() -> None:
    asked = body(temperature=0.7, max_tokens=5, stop="x", seed=3, top_p=0.9, user="ignored")
    expected = {"temperature": 0.7, "max_tokens": 5, "stop": ["x", "\nQuestion:", "\nAnswer:"], "seed": 3, "top_p": 0.9}
    assert expected.items() <= asked.items()
    assert "user" not in asked


def test_the_newer_name_of_the_token_limit_counts() -> None:
    assert body(max_completion_tokens=7, max_tokens=9)["max_tokens"] == 7


def test_a_schema_constrains_and_nothing_cuts_the_json_short() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    asked = body(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}, stop="}")
    assert schema.items() <= asked["json_schema"].items()
    assert "stop" not in asked


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_tools_that_are_not_forced_are_left_out(choice: str | None) -> None:
    assert body(tools=TOOLS, tool_choice=choice) == body()


@pytest.mark.parametrize("choice", ["now", {"type": "function", "function": {"name": "now"}}])
def test_a_named_tool_is_the_only_one_to_call(choice: Any) -> None:
    asked = body(tools=TOOLS, tool_choice=choice)
    assert asked["json_schema"]["properties"]["name"] == {"const": "now"}
    assert "Adds." not in asked["prompt"]


def test_a_required_call_may_be_of_any_tool() -> None:
    asked = body(tools=TOOLS, tool_choice="required")
    names = [call["properties"]["name"]["const"] for call in asked["json_schema"]["anyOf"]]
    assert names == ["sum", "now"]
    assert "sum: Adds.\nnow" in asked["prompt"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n": 2}, "n=2"),
        ({"logprobs": True}, "logprobs=True"),
        ({"response_format": {"type": "xml"}}, "'xml'"),
        ({"response_format": {"type": "json_schema"}}, "json_schema"),
        ({"tools": TOOLS, "tool_choice": "later"}, r"\['sum', 'now'\]"),
        ({"tool_choice": "required"}, "names no tool"),
    ],
)
def test_what_is_not_supported_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        body(**options)


def piece(text: str, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"text": text, "finish_reason": finish_reason}], **more}


def test_text_is_shown_as_it_comes_without_white_space_around_it() -> None:
    reader = Reader(EngineRequest({}))
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
    pieces = [piece(" "), piece("Hel"), piece("lo \n"), piece("you"), piece("\n"), piece("", "stop", usage=usage)]
    assert [reader.read(each) for each in pieces] == ["", "Hel", "lo", " \nyou", "", ""]
    answer = reader.finish()
    assert (answer.text, answer.finish_reason) == ("Hello \nyou", "stop")
    assert (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens) == (5, 3, 2)


def test_a_tool_call_is_shown_whole() -> None:
    reader = Reader(EngineRequest({}, is_json=True, is_tool_call=True))
    assert reader.read(piece('{"name": "sum", "arguments": {"of": [1]}}', "stop")) == ""
    answer = reader.finish()
    assert (answer.text, answer.finish_reason) == (None, "tool_calls")
    assert answer.tool_call["function"]["name"] == "sum"
    assert json.loads(answer.tool_call["function"]["arguments"]) == {"of": [1]}


def test_a_tool_call_that_was_cut_off_is_not_a_tool_call() -> None:
    reader = Reader(EngineRequest({}, is_json=True, is_tool_call=True))
    reader.read(piece('{"name": "su', "length"))
    answer = reader.finish()
    assert (answer.text, answer.tool_call, answer.finish_reason) == ('{"name": "su', None, "length")


@pytest.mark.parametrize(("text", "reason"), [("Sure!", "stop"), ("Sure! I", "length"), ('{"a"', "stop")])
def test_a_schema_that_the_engine_dropped_does_not_go_unnoticed(text: str, reason: str) -> None:
    reader = Reader(EngineRequest({}, is_json=True))
    reader.read(piece(text, reason))
    with pytest.raises(SettingError, match="schema"):
        reader.finish()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 400, "type": "exceed_context_size_error", "message": "m"}, PromptTooLongError),
        ({"code": 400, "message": "m"}, InvalidInputError),
        ({"code": 500, "message": "m"}, ExecutionError),
    ],
)
def test_errors_of_the_engine_are_told_apart(error: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match="m"):
        Reader(EngineRequest({})).read({"error": error})


def test_an_answer_that_was_stopped_is_an_error() -> None:
    reader = Reader(EngineRequest({}))
    reader.read(piece("Hel"))
    with pytest.raises(ExecutionError, match="stopped"):
        reader.finish()
