"""Function calls in the forms that models write: Python calls, several forms of JSON, native calls, with wrappers."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_atlas.text.json_objects import (
    json_value,
    loose_object,
    parsed_python,
    python_object,
    python_value,
    values_in_row,
)
from langchain_atlas.text.signatures import Signature, folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST = 20_000
_FENCE = re.compile(r"```[a-zA-Z_]*\s*\n?(.*?)(?:```|$)", re.DOTALL)
_TAGS = re.compile(r"<\|?/?(?:tool_?calls?|function_?calls?|functioncall|im_start|im_end|eot_id)\|?>", re.IGNORECASE)
_NAMED_JSON = re.compile(r"^([A-Za-z_][\w.\-]*)\s*[:\n]?\s*(\{.*\})$", re.DOTALL)
_BRACKETED = re.compile(r"\[\s*[A-Za-z_][\w.\\]*\s*\(.*\)\s*\]", re.DOTALL)
_ESCAPED = re.compile(r"\\([_*\[\]])")
_POSITION = "#"
_NAMES = ("name", "tool", "function", "tool_name", "function_name", "action", "recipient_name", "api")
_ARGUMENTS = (
    "arguments", "parameters", "args", "kwargs", "params", "input", "tool_input", "action_input", "properties",
)  # fmt: skip


@dataclass(frozen=True)
class WrittenCall:
    """One call of a function, as written."""

    name: str
    """Name of the function, in normal form (see `folded`)."""
    arguments: dict[str, Any]
    """Arguments by name; positional ones are named ``#0``, ``#1``."""
    source: str = field(default="", compare=False, repr=False)
    """The source text, with its original spacing and quotes."""
    problem: str | None = field(default=None, compare=False)
    """Why its arguments can't be used; None if they can."""


def read_calls(text: str) -> tuple[tuple[WrittenCall, ...], str]:
    """Find the function calls that an answer consists of.

    Args:
        text: the answer.

    Returns:
        The calls, empty if there are none; and their form, such as ``python-list``, ``native`` or ``json``, prefixed
        with ``fenced-``, ``tagged-`` or ``amid-text-`` if they are surrounded by something.
    """
    bare = text.strip()[:_LONGEST]
    for wrapper, inner in _unwrapped(bare):
        style, found = _whole(inner)
        if found:
            listed = "-list" if style == "python" and inner.startswith("[") else ""
            return tuple(found), f"{wrapper}{style}{listed}"
    return (), "none"


def whole_calls(text: str) -> list[WrittenCall]:
    """Find the calls in a text that consists only of calls."""
    return _whole(text.strip()[:_LONGEST])[1]


def _whole(text: str) -> tuple[str, list[WrittenCall]]:
    for style, reader in (("native", _native), ("json", _json), ("python", _python), ("named", _named)):
        found = reader(text)
        if found:
            return style, found
    return "none", []


def _unwrapped(text: str) -> Iterator[tuple[str, str]]:
    """Yield the whole answer, then the content of each wrapper in it, each with a prefix that names the wrapper."""
    yield "", text
    if "\\" in text:
        yield "escaped-", _ESCAPED.sub(r"\1", text)
    if "```" in text:
        yield "fenced-", "\n".join(part.strip() for part in _FENCE.findall(text)).strip()
    if _TAGS.search(text):
        parts = [part.strip() for part in _TAGS.split(text)]
        for count in (len(parts), 2, 1):
            inside = [part for part in parts[:count] if part]
            if inside:
                yield "tagged-", "\n".join(inside)
    found = _BRACKETED.search(text)
    if found and found.group() != text:
        yield "amid-text-", found.group()


def _native(text: str) -> list[WrittenCall]:
    """Read ``[{"name": "{json arguments}"}, ...]``, which is how native calls are recorded."""
    value = json_value(text)
    entries = value if isinstance(value, list) else []
    calls = []
    for entry in entries:
        if not (isinstance(entry, dict) and len(entry) == 1):
            return []
        name, arguments = next(iter(entry.items()))
        if isinstance(arguments, str):
            arguments = loose_object(arguments) or python_object(arguments)
        if not isinstance(arguments, dict):
            return []
        calls.append(WrittenCall(folded(name), arguments, _written(entry)))
    return calls


def _json(text: str) -> list[WrittenCall]:
    """Read JSON objects that name a function and its arguments: a single one, a list, or several in a row."""
    value = json_value(text)
    values = values_in_row(text) if value is None else value if isinstance(value, list) else [value]
    if len(values) == 1 and isinstance(values[0], dict) and isinstance(values[0].get("tool_calls"), list):
        values = values[0]["tool_calls"]
    if len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], dict):  # noqa: PLR2004  # name, arguments
        return [WrittenCall(folded(values[0]), values[1], _written(values))]
    calls = [call_in(entry) for entry in values]
    return [call for call in calls if call is not None] if None not in calls else []


def call_in(entry: Any, offered: Sequence[Signature] = ()) -> WrittenCall | None:
    """Read an object that names a function, with its arguments in a separate field or next to the name.

    Args:
        entry: the object.
        offered: the available tools, one of which it must name; if empty, any name is accepted.
    """
    if not isinstance(entry, dict):
        return None
    inner = entry["function"] if isinstance(entry.get("function"), dict) else entry
    for key in _NAMES:
        name = inner.get(key)
        meant = next((one for one in offered if isinstance(name, str) and one.is_meant_by(folded(name))), None)
        if isinstance(name, str) and (meant is not None or not offered):
            return _of_fields(name, key, inner, meant)
    if len(inner) == 1 and not offered:
        only, arguments = next(iter(inner.items()))
        return WrittenCall(folded(only), arguments, _written(entry)) if isinstance(arguments, dict) else None
    return None


def _of_fields(name: str, key: str, inner: dict[str, Any], meant: Signature | None) -> WrittenCall:
    source = _written(inner)
    given = next((inner[one] for one in _ARGUMENTS if one in inner), None)
    if meant is None:
        given = loose_object(given) if isinstance(given, str) else given
        return WrittenCall(folded(name), given if isinstance(given, dict) else {}, source)
    if given is None:
        beside = {one: item for one, item in inner.items() if one != key and one in meant.properties}
        return WrittenCall(folded(meant.name), beside, source)
    return call_with(given, meant, source)


def call_with(given: Any, meant: Signature, source: str) -> WrittenCall:
    """Return a call with arguments given as an object, an object in a string, a list, or the tool's only value.

    If they are none of these, `WrittenCall.problem` says so.
    """
    arguments: dict[str, Any] = {}
    problem = None
    if isinstance(given, str) and given.lstrip().startswith(("{", '"{', "'{")):
        given = loose_object(given) or given
    if isinstance(given, dict):
        arguments = given
    elif isinstance(given, list):
        arguments = {f"{_POSITION}{place}": value for place, value in enumerate(given)}
    elif given not in (None, ""):
        if meant.only_argument is not None:
            arguments = {meant.only_argument: given}
        elif meant.properties:
            problem = f"its arguments are {str(given)[:80]!r}, which is no object"
    return WrittenCall(folded(meant.name), arguments, source, problem)


def _python(text: str) -> list[WrittenCall]:
    """Read Python calls: a single call, a list of calls, or several statements."""
    bare = text.strip().rstrip(";")
    tree = parsed_python(bare)
    if tree is None:
        return []
    nodes: list[ast.expr] = []
    for statement in tree.body:
        if not isinstance(statement, ast.Expr | ast.Assign) or statement.value is None:
            return []
        value = statement.value
        nodes.extend(value.elts if isinstance(value, ast.List | ast.Tuple) else [value])
    calls = [_from_node(node, bare) for node in nodes]
    return [call for call in calls if call is not None] if calls and None not in calls else []


def _from_node(node: ast.expr, text: str) -> WrittenCall | None:
    if isinstance(node, ast.Await):
        node = node.value
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
        return None
    arguments = {f"{_POSITION}{place}": python_value(argument, text) for place, argument in enumerate(node.args)}
    for keyword in node.keywords:
        value = python_value(keyword.value, text)
        if keyword.arg is not None:
            arguments[keyword.arg] = value
        elif isinstance(value, dict):
            arguments.update({str(key): item for key, item in value.items()})
    return WrittenCall(folded(ast.unparse(node.func)), arguments, ast.unparse(node))


def _named(text: str) -> list[WrittenCall]:
    """Read ``name`` followed by JSON arguments."""
    match = _NAMED_JSON.match(text)
    arguments = json_value(match.group(2)) if match else None
    if match is None or not isinstance(arguments, dict):
        return []
    return [WrittenCall(folded(match.group(1)), arguments, text)]


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
