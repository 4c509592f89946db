"""Reads the function calls that a model wrote in plain text, in whatever format it chose."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_atlas.agreement.calls import Call, read_calls
from langchain_atlas.agreement.functions import folded
from langchain_atlas.execution.invocations.base import InvocationError, ToolCall
from langchain_atlas.execution.invocations.dialects import plainly_marked
from langchain_atlas.execution.invocations.loose_json import objects_in, outside_quotes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.tools import BaseTool

_LONGEST = 20_000
_MOST_TRIES = 64
_THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_BLOCK = re.compile(r"<(tool_call|function_call|tool_code)>(.*?)(?:</\1>|(?=<\1>)|\Z)", re.DOTALL | re.IGNORECASE)
_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|(?=<function=)|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\s]+)>(.*?)(?:</parameter>|(?=<parameter=)|\Z)", re.DOTALL)
_MISTRAL = re.compile(r"\[TOOL_CALLS\](.*?)(?:\[/TOOL_CALLS\]|(?=\[TOOL_CALLS\])|</s>|\Z)", re.DOTALL)
_MISTRAL_ARGUMENTS = re.compile(r"\[CALL_ID\][^\[{]*|\[ARGS\]")
_PYTHON_TAG = re.compile(r"<\|python_tag\|>(.*?)(?:<\|e[ow]m_id\|>|<\|eot_id\|>|\Z)", re.DOTALL)
_REACT = re.compile(
    r"^[ \t>*]*Action[ \t*]*:[ \t*]*([^\n]+?)[ \t*]*\n+[ \t>*]*Action Input[ \t*]*:[ \t*]*"
    r"(.*?)(?=\n[ \t>*]*(?:Observation|Thought|Action|Final Answer)[ \t*]*:|\Z)",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
_REACT_BRACKETS = re.compile(
    r"^[ \t>*]*Action[ \t*]*:[ \t*]*([\w.-]+)\[([^\n]*)\][ \t*]*$", re.MULTILINE | re.IGNORECASE
)
_FINAL = re.compile(r"^[ \t>*]*Final Answer[ \t*]*:[ \t*]*", re.MULTILINE | re.IGNORECASE)
_FENCE = re.compile(r"```[a-zA-Z_]*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_BEGINS_WITH_JSON = re.compile(r"\{|\[\s*\{")
_NAMES = ("name", "tool", "function", "tool_name", "function_name", "action", "recipient_name", "api")
_ARGUMENTS = ("arguments", "parameters", "args", "kwargs", "params", "input", "tool_input", "action_input")
_NAMESPACES = ("functions", "function", "tools", "tool", "default_api")


class NoCallError(InvocationError):
    """There is nothing in the text that looks like a call."""


def read_tool_calls(text: str, tools: Sequence[BaseTool], *, noun: str = "call") -> tuple[ToolCall, ...]:
    """Find the calls in what a model wrote, whatever stands around them.

    All formats of `formats.FORMATS` are read, and some more; thoughts in ``<think>`` are passed over.

    Args:
        text: what it wrote.
        tools: the tools on offer.
        noun: what a call is called where there is none.

    Returns:
        At least one call.

    Raises:
        NoCallError: there is none.
        InvocationError: there is one, of a tool that is not on offer.
    """
    bare = plainly_marked(without_thoughts(text)[:_LONGEST])
    problem: InvocationError | None = None
    for found in _readings(bare, tools):
        if not found:
            continue
        try:
            return tuple(_resolved(call, tools, bare) for call in found)
        except InvocationError as error:
            problem = problem or error
    raise problem or NoCallError(f"no {noun} in {text[:80]!r}.")


def check_arguments(call: ToolCall) -> None:
    """Make sure that a call gives what its tool requires.

    Raises:
        InvocationError: it does not; the message names what is missing.
    """
    required = described(call.tool)["parameters"].get("required") or ()
    missing = [repr(name) for name in required if name not in call.arguments]
    if missing:
        raise InvocationError(f"the call of {call.tool.name!r} lacks {', '.join(missing)}.")


def final_answer(text: str) -> str:
    """Return what a model answered, without its thoughts and the ``Final Answer:`` before it."""
    bare = without_thoughts(text) or text.strip()
    found = list(_FINAL.finditer(bare))
    return (bare[found[-1].end() :].strip() or bare) if found else bare


def without_thoughts(text: str) -> str:
    """Return what a model wrote without its thoughts, whose beginning stands in the prompt of some models."""
    return _THOUGHTS.sub("", text).rpartition("</think>")[2].strip()


def described(tool: BaseTool) -> dict[str, Any]:
    """Return a tool's name, description and parameters as providers take them."""
    schema: dict[str, Any] = convert_to_openai_tool(tool)["function"]
    return {**schema, "parameters": schema.get("parameters") or {"type": "object", "properties": {}}}


def _resolved(call: Call, tools: Sequence[BaseTool], text: str) -> ToolCall:
    """Find the tool that is meant, and give positional arguments their names."""
    meant = [tool for tool in tools if _names(call.name, tool)]
    if not meant:
        names = ", ".join(repr(tool.name) for tool in tools)
        raise InvocationError(f"no tool named {call.name!r}; there are {names}.")
    tool = next((one for one in meant if one.name in text), meant[0])
    places = list(tool.args)
    arguments: dict[str, Any] = {}
    for key, value in call.arguments.items():
        place = int(key[1:]) if key.startswith("#") and key[1:].isdecimal() else len(places)
        arguments[places[place] if place < len(places) else key] = value
    texts = _text_arguments(tool).intersection(places)
    return ToolCall(tool, {key: _as_text(value) if key in texts else value for key, value in arguments.items()})


def _names(name: str, tool: BaseTool) -> bool:
    """Whether a folded name is a tool's, as it stands, in a namespace such as ``functions.``, or with ``.call``."""
    own = folded(tool.name)
    return name in (own, f"{own}_call") or name in [f"{space}_{own}" for space in _NAMESPACES]


def _text_arguments(tool: BaseTool) -> set[str]:
    """Return the names of the arguments that take a text and nothing else."""
    properties = described(tool)["parameters"].get("properties", {})
    return {key for key, told in properties.items() if isinstance(told, dict) and told.get("type") == "string"}


def _as_text(value: Any) -> Any:
    """Return a number that was written without quotes as the text it is."""
    return json.dumps(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _only_argument(tool: BaseTool) -> str | None:
    """Return the argument that a plain text is meant for: the only one, or the only one that is required."""
    for names in (list(tool.args), described(tool)["parameters"].get("required") or []):
        if len(names) == 1:
            return str(names[0])
    return None


def _readings(text: str, tools: Sequence[BaseTool]) -> Iterator[list[Call]]:
    """Yield the calls that each form finds; the more a form says that it is a call, the earlier it is tried."""
    yield _tagged(text, tools)
    yield _marked(text, tools)
    yield _reacted(text, tools)
    yield _leading(text, tools)
    yield list(read_calls(text)[0])
    yield _objects(text, tools)
    yield _python(text, tools)


def _calls(texts: Sequence[str], tools: Sequence[BaseTool]) -> list[Call]:
    found: list[Call] = []
    for text in texts:
        found += _leading(text, tools) or list(read_calls(text.strip())[0])
    return found


def _leading(text: str, tools: Sequence[BaseTool]) -> list[Call]:
    """Read the calls of a text that begins with JSON, fenced or not."""
    bare = text.strip()
    fenced = _FENCE.fullmatch(bare)
    bare = fenced[1].strip() if fenced else bare
    if not _BEGINS_WITH_JSON.match(bare):
        return []
    calls = [_named_object(value, tools) for value in objects_in(bare)]
    return [call for call in calls if call is not None]


def _named_object(value: dict[str, Any], tools: Sequence[BaseTool]) -> Call | None:
    """Read an object that names a tool on offer, with its arguments in a field of their own or beside the name."""
    inner = value["function"] if isinstance(value.get("function"), dict) else value
    for field in _NAMES:
        name = inner.get(field)
        tool = next((one for one in tools if _names(folded(name), one)), None) if isinstance(name, str) else None
        if tool is not None:
            break
    else:
        return None
    given = next((inner[key] for key in _ARGUMENTS if key in inner), None)
    if given is None:
        given = {key: item for key, item in inner.items() if key != field and key in tool.args}
    return Call(folded(tool.name), _arguments(given, tool))


def _arguments(given: Any, tool: BaseTool) -> dict[str, Any]:
    """Return arguments by name: of an object, of one written as text, of a list, or of the one value there is."""
    if isinstance(given, str):
        given = next(objects_in(given), given) if given.lstrip().startswith("{") else given
    if isinstance(given, dict):
        return given
    if isinstance(given, list):
        return {f"#{place}": value for place, value in enumerate(given)}
    only = _only_argument(tool)
    return {} if only is None or given in (None, "") else {only: given}


def _tagged(text: str, tools: Sequence[BaseTool]) -> list[Call]:
    """Read ``<tool_call>`` blocks, and ``<function=name>`` with JSON or with ``<parameter=name>`` inside."""
    functions = [_function(name, inner, tools) for name, inner in _FUNCTION.findall(text)]
    known = [call for call in functions if call is not None]
    return known or _calls([inner for _, inner in _BLOCK.findall(text)], tools)


def _function(name: str, inner: str, tools: Sequence[BaseTool]) -> Call | None:
    tool = next((one for one in tools if _names(folded(name), one)), None)
    parameters = _PARAMETER.findall(inner)
    if parameters:
        texts = set() if tool is None else _text_arguments(tool)
        values = {key: value.strip("\n") if key in texts else _value(value) for key, value in parameters}
        return Call(folded(name), values)
    arguments = _value(inner) if inner.strip() else {}
    return Call(folded(name), arguments) if isinstance(arguments, dict) else None


def _value(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return text.strip("\n")


def _marked(text: str, tools: Sequence[BaseTool]) -> list[Call]:
    """Read what stands after ``[TOOL_CALLS]`` or ``<|python_tag|>``."""
    parts = [_MISTRAL_ARGUMENTS.sub(" ", part) for part in _MISTRAL.findall(text)]
    return _calls([*parts, *_PYTHON_TAG.findall(text)], tools)


def _reacted(text: str, tools: Sequence[BaseTool]) -> list[Call]:
    """Read the first ``Action:`` and ``Action Input:``; later ones were written without knowing what came of it."""
    match = _REACT.search(text) or _REACT_BRACKETS.search(text)
    if match is None:
        return []
    name, given = match[1].strip("`\"' "), match[2].strip()
    found = _calls([given], tools) if "(" in match[1] else []
    if found:
        return found
    tool = next((one for one in tools if _names(folded(name), one)), None)
    fenced = _FENCE.fullmatch(given)
    arguments = _value(fenced[1] if fenced else given) if given else {}
    if tool is not None and not isinstance(arguments, dict):
        arguments = _arguments(arguments, tool)
    return [Call(folded(name), arguments if isinstance(arguments, dict) else {})]


def _objects(text: str, tools: Sequence[BaseTool]) -> list[Call]:
    """Read JSON objects amid other text, if they name a tool; for an only tool, its arguments alone will do."""
    calls = [call for value in objects_in(text) for call in _object_calls(value, tools)]
    names = {folded(tool.name) for tool in tools}
    return [call for call in calls if call.name in names] or calls


def _object_calls(value: dict[str, Any], tools: Sequence[BaseTool]) -> list[Call]:
    named = _named_object(value, tools)
    found = [named] if named is not None else list(read_calls(json.dumps(value, default=str))[0])
    if not found and value and len(tools) == 1 and set(value) <= set(tools[0].args):
        return [Call(folded(tools[0].name), value)]
    return found


def _python(text: str, tools: Sequence[BaseTool]) -> list[Call]:
    """Read Python calls of the tools on offer amid other text."""
    names = "|".join(re.escape(name) for tool in tools for name in (tool.name, folded(tool.name)))
    calls, end = [], 0
    for match in list(re.finditer(rf"(?<![\w.])(?:{names})\s*\(", text))[:_MOST_TRIES]:
        if match.start() >= end:
            end = _closing(text, match.end())
            calls += _calls([text[match.start() : end]], tools)
    return calls


def _closing(text: str, start: int) -> int:
    """Return the place after the bracket that closes the one before `start`, texts in quotes aside."""
    depth = 1
    for at, char in outside_quotes(text, start):
        depth += (char in "([{") - (char in ")]}")
        if not depth:
            return at + 1
    return len(text)
