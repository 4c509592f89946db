"""Finds tool calls in text that a model wrote, in any format and with any surrounding text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_atlas.text.call_syntax import WrittenCall, call_in, call_with, read_calls, whole_calls
from langchain_atlas.text.dialects import plainly_marked
from langchain_atlas.text.json_objects import json_value, loose_object, objects_in, outside_quotes
from langchain_atlas.text.quotes import Quotes
from langchain_atlas.text.signatures import Signature, folded
from langchain_atlas.text.thoughts import without_thoughts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST = 20_000
_MOST_TRIES = 64
_BLOCK = re.compile(r"<(tool_calls?|function_calls?|tool_code)>(.*?)(?:</\1>|(?=<\1>)|\Z)", re.DOTALL | re.IGNORECASE)
_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|(?=<function=)|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\s]+)( text)?>(.*?)(?:</parameter>|(?=<parameter=)|\Z)", re.DOTALL)
_MISTRAL = re.compile(r"\[TOOL_CALLS\](.*?)(?:\[/TOOL_CALLS\]|(?=\[TOOL_CALLS\])|</s>|\Z)", re.DOTALL)
_PYTHON_TAG = re.compile(r"<\|python_tag\|>(.*?)(?:<\|e[ow]m_id\|>|<\|eot_id\|>|\Z)", re.DOTALL)
_REACT = re.compile(
    r"^[ \t>*]*Action[ \t*]*:[ \t*]*([^\n]+?)[ \t*]*\n+[ \t>*]*Action Input[ \t*]*:[ \t*]*"
    r"(.*?)(?=\n[ \t>*]*(?:Observation|Thought|Action|Final Answer)[ \t*]*:|\Z)",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
_REACT_BRACKETS = re.compile(
    r"^[ \t>*]*Action[ \t*]*:[ \t*]*([\w.-]+)\[([^\n]*)\][ \t*]*$", re.MULTILINE | re.IGNORECASE
)
_FENCE = re.compile(r"```[a-zA-Z_]*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_INLINE = re.compile(r"(?<=[^`\s])[ \t]*(?<!`)`[^`\n]+`(?!`)")
"""Inline code in a sentence: the model mentions a call, but does not make it."""
_BEGINS_WITH_JSON = re.compile(r"\{|\[\s*\{")
_LAST_PART = re.compile(r"(?:\A|\n)[ \t]*((?:```|[\[{]|[\w.-]+[ \t]*[({]).*)\Z", re.DOTALL)
"""From a line that may begin a call to the end of the text."""


def find_calls(
    text: str, offered: Sequence[Signature], *, amid_text: bool = True, data: Sequence[str] = ()
) -> list[WrittenCall]:
    """Find the calls in what a model wrote.

    Reasoning is skipped, and so are calls that are only quoted from `data`.

    Args:
        text: the model's text.
        offered: the available tools.
        amid_text: whether a call may be inside a sentence. If not, a call must be marked as one, be the entire text, or
            come at its end.
        data: tool output and documents, which the model may quote.

    Returns:
        The calls, with their arguments by name: those of the first format in which a call names an available tool, or
        else of the first format with any call; empty if there is no call.
    """
    text = without_thoughts(text)[:_LONGEST]
    bare = plainly_marked(text if amid_text else _INLINE.sub("", text), [one.name for one in offered])
    quotes, said = Quotes(data), _Said(data, offered)
    unknown: list[WrittenCall] = []
    for found in _readings(bare, offered, amid_text=amid_text):
        calls = [call for call in found if not quotes.hold(call.source) and not said.holds(call, bare)]
        if calls and all(meant_by(call, offered, bare) is not None for call in calls):
            return [_fitted(call, offered, bare) for call in calls]
        unknown = unknown or calls
    return unknown


class _Said:
    """The calls in tool output and documents, in any format: a model may quote a call in a different one."""

    def __init__(self, data: Sequence[str], offered: Sequence[Signature]) -> None:
        self._data, self._offered = data, offered

    def holds(self, call: WrittenCall, text: str) -> bool:
        """Return whether a call equals one in the data; a call without arguments never counts as quoted."""
        return bool(self._data and call.arguments) and _key(_fitted(call, self._offered, text)) in self._calls

    @cached_property
    def _calls(self) -> set[tuple[str, str]]:
        names = [one.name for one in self._offered]
        texts = [plainly_marked(form[:_LONGEST], names) for text in self._data for form in _unescaped(text)]
        found = [(call, text) for text in texts for calls in _readings(text, self._offered) for call in calls]
        return {_key(_fitted(call, self._offered, text)) for call, text in found}


def _key(call: WrittenCall) -> tuple[str, str]:
    return call.name, json.dumps(call.arguments, sort_keys=True, default=str)


def _unescaped(text: str) -> list[str]:
    """Return a text and, if it is JSON, the strings and objects in it."""
    pieces, waiting = [text], [json_value(text.strip())]
    while waiting and len(pieces) < _MOST_TRIES:
        value = waiting.pop()
        if isinstance(value, str):
            pieces.append(value)
        elif isinstance(value, dict):
            pieces.append(json.dumps(value))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return pieces


def marked_calls(text: str) -> list[WrittenCall]:
    """Find the calls, of any function, that a model marked in the way of its family."""
    bare = plainly_marked(text[:_LONGEST])
    return _tagged(bare, ()) or _marked(bare, ())


def meant_by(call: WrittenCall, offered: Sequence[Signature], text: str = "") -> Signature | None:
    """Return the tool that a call names; of several with similar names, the one whose exact name is in the text."""
    meant = [one for one in offered if one.is_meant_by(call.name)]
    return next((one for one in meant if one.name in text), meant[0] if meant else None)


def _fitted(call: WrittenCall, offered: Sequence[Signature], text: str) -> WrittenCall:
    meant = meant_by(call, offered, text)
    return call if meant is None else replace(call, name=folded(meant.name), arguments=meant.fitted(call.arguments))


def _readings(text: str, offered: Sequence[Signature], *, amid_text: bool = True) -> Iterator[list[WrittenCall]]:
    """Yield the calls found in each format; the more explicit formats are tried first."""
    yield _tagged(text, offered)
    yield _marked(text, offered)
    if not amid_text:
        yield [call for call in _reacted(text, offered) if meant_by(call, offered) is not None]
        yield _alone(text, offered)
        return
    yield _reacted(text, offered)
    yield _leading(text, offered)
    yield list(read_calls(text)[0])
    yield _objects(text, offered)
    yield _python(text, offered)


def _calls(texts: Sequence[str], offered: Sequence[Signature]) -> list[WrittenCall]:
    found: list[WrittenCall] = []
    for text in texts:
        calls = _leading(text, offered) or list(read_calls(text.strip())[0])
        if not calls:
            name = folded(text)
            calls = [WrittenCall(name, {}, text) for one in offered if name and one.is_meant_by(name)][:1]
        found += calls
    return found


def _alone(text: str, offered: Sequence[Signature]) -> list[WrittenCall]:
    """Read calls of available tools that are the entire text, or its last lines."""
    last = _LAST_PART.search(text)
    for part in dict.fromkeys([text, last[1] if last else text]):
        bare = _unfenced(part)
        calls = (_leading(bare, offered) if bare.endswith(("}", "]", ")")) else []) or whole_calls(bare)
        known = [call for call in calls if meant_by(call, offered) is not None]
        if known and len(known) == len(calls):
            return known
    return []


def _unfenced(text: str) -> str:
    """Return the content of a text that is one fenced block, or else the text itself."""
    bare = text.strip()
    fenced = _FENCE.fullmatch(bare)
    return bare if fenced is None or "```" in fenced[1] else fenced[1].strip()


def _leading(text: str, offered: Sequence[Signature]) -> list[WrittenCall]:
    """Read the calls of a text that begins with JSON, fenced or not."""
    bare = _unfenced(text)
    if not _BEGINS_WITH_JSON.match(bare):
        return []
    calls = [call_in(value, offered) for value in objects_in(bare)]
    return [call for call in calls if call is not None]


def _tagged(text: str, offered: Sequence[Signature]) -> list[WrittenCall]:
    """Read ``<tool_call>`` blocks, and ``<function=name>`` with JSON or with ``<parameter=name>`` inside."""
    functions = [_function(found[1], found[2], found[0], offered) for found in _FUNCTION.finditer(text)]
    known = [call for call in functions if call is not None]
    return known or _calls([inner for _, inner in _BLOCK.findall(text)], offered)


def _function(name: str, inner: str, source: str, offered: Sequence[Signature]) -> WrittenCall | None:
    called = WrittenCall(folded(name), {}, source)
    meant = meant_by(called, offered) or Signature(name)
    parameters = _PARAMETER.findall(inner)
    if parameters:
        given = {key: value.strip("\n") if as_text else meant.value(key, value) for key, as_text, value in parameters}
        return replace(called, arguments=given)
    if not inner.strip():
        return called
    arguments = loose_object(inner)
    return None if arguments is None else replace(called, arguments=arguments)


def _marked(text: str, offered: Sequence[Signature]) -> list[WrittenCall]:
    """Read the calls after ``[TOOL_CALLS]`` or ``<|python_tag|>``."""
    return _calls([*_MISTRAL.findall(text), *_PYTHON_TAG.findall(text)], offered)


def _reacted(text: str, offered: Sequence[Signature]) -> list[WrittenCall]:
    """Read the first ``Action:`` and ``Action Input:``; later ones were written without knowing its result."""
    match = _REACT.search(text) or _REACT_BRACKETS.search(text)
    if match is None:
        return []
    name, given = match[1].strip("`\"' "), match[2].strip()
    found = _calls([given], offered) if "(" in match[1] else []
    if found:
        return found
    bare = _unfenced(given)
    meant = meant_by(WrittenCall(folded(name), {}), offered)
    if meant is None:
        return [WrittenCall(folded(name), loose_object(bare) or {}, match[0])]
    return [call_with(_plain(bare, meant), meant, match[0])]


def _plain(text: str, meant: Signature) -> Any:
    """Return the value after ``Action Input:``: an object, or the only argument that the tool takes."""
    found = loose_object(text)
    if found is not None or not text:
        return found
    only = meant.only_argument
    value = meant.value(only or "", text)
    return value[1:-1] if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"' else value


def _objects(text: str, offered: Sequence[Signature]) -> list[WrittenCall]:
    """Read JSON objects within other text if they name a tool; with a single tool, its arguments are enough."""
    calls = [call for value in objects_in(text) for call in _object_calls(value, offered)]
    known = [call for call in calls if meant_by(call, offered) is not None]
    return known or calls


def _object_calls(value: dict[str, Any], offered: Sequence[Signature]) -> list[WrittenCall]:
    named = call_in(value, offered) or call_in(value)
    if named is None and value and len(offered) == 1 and set(value) <= set(offered[0].properties):
        return [call_with(value, offered[0], str(value))]
    return [] if named is None else [named]


def _python(text: str, offered: Sequence[Signature]) -> list[WrittenCall]:
    """Read Python calls of the available tools within other text."""
    names = "|".join(re.escape(name) for one in offered for name in (one.name, folded(one.name)))
    calls, end = [], 0
    for match in list(re.finditer(rf"(?<![\w.])(?:{names})\s*\(", text))[:_MOST_TRIES]:
        if match.start() >= end:
            end = _closing(text, match.end())
            calls += _calls([text[match.start() : end]], offered)
    return calls


def _closing(text: str, start: int) -> int:
    """Return the position after the bracket that closes the one before `start`, ignoring quoted strings."""
    depth = 1
    for at, char in outside_quotes(text, start):
        depth += (char in "([{") - (char in ")]}")
        if not depth:
            return at + 1
    return len(text)
