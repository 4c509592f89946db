"""Function calls as models write them: Python calls, JSON in several shapes, native calls, with wrappers around."""

from __future__ import annotations

import ast
import json
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_atlas.agreement.functions import folded

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 20_000
_FENCE = re.compile(r"```[a-zA-Z_]*\s*\n?(.*?)(?:```|$)", re.DOTALL)
_TAGS = re.compile(r"<\|?/?(?:tool_?calls?|function_?calls?|functioncall|im_start|im_end|eot_id)\|?>", re.IGNORECASE)
_NAMED_JSON = re.compile(r"^([A-Za-z_][\w.\-]*)\s*[:\n]?\s*(\{.*\})$", re.DOTALL)
_BRACKETED = re.compile(r"\[\s*[A-Za-z_][\w.\\]*\s*\(.*\)\s*\]", re.DOTALL)
_ESCAPED = re.compile(r"\\([_*\[\]])")
_POSITION = "#"
_NAMES = ("name", "function", "tool", "tool_name", "function_name", "api")
_ARGUMENTS = ("arguments", "parameters", "args", "kwargs", "params", "input", "properties")


@dataclass(frozen=True)
class Call:
    """One call of a function, as written."""

    name: str
    """Name of the function, folded."""
    arguments: dict[str, Any]
    """Arguments by name; positional ones as ``#0``, ``#1``."""


def read_calls(text: str) -> tuple[tuple[Call, ...], str]:
    """Find the function calls that an answer consists of.

    Args:
        text: the answer.

    Returns:
        The calls, none where the answer calls nothing; and how they are written, such as ``python-list``,
        ``native``, ``json``, with ``fenced-``, ``tagged-`` or ``amid-text-`` before it where something is around.
    """
    bare = text.strip()[:_LONGEST]
    for wrapper, inner in _unwrapped(bare):
        for style, reader in (("native", _native), ("json", _json), ("python", _python), ("named", _named)):
            found = reader(inner)
            if found:
                listed = "-list" if style == "python" and inner.startswith("[") else ""
                return tuple(found), f"{wrapper}{style}{listed}"
    return (), "none"


def _unwrapped(text: str) -> Iterator[tuple[str, str]]:
    """Yield the answer as it stands, then what is inside whatever stands around it, with the name of that."""
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


def _native(text: str) -> list[Call]:
    """Read ``[{"name": "{json arguments}"}, ...]``, which is how native calls are recorded."""
    value = _json_value(text)
    entries = value if isinstance(value, list) else []
    calls = []
    for entry in entries:
        if not (isinstance(entry, dict) and len(entry) == 1):
            return []
        name, arguments = next(iter(entry.items()))
        if isinstance(arguments, str):
            inner = _json_value(arguments)
            arguments = inner if isinstance(inner, dict) else _loose_pairs(arguments)
        if not isinstance(arguments, dict):
            return []
        calls.append(Call(folded(name), arguments))
    return calls


def _json(text: str) -> list[Call]:
    """Read JSON objects that name a function and its arguments, alone, in a list, or one after the other."""
    value = _json_value(text)
    values = _json_sequence(text) if value is None else value if isinstance(value, list) else [value]
    if len(values) == 1 and isinstance(values[0], dict) and isinstance(values[0].get("tool_calls"), list):
        values = values[0]["tool_calls"]
    if len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], dict):  # noqa: PLR2004  # name, arguments
        return [Call(folded(values[0]), values[1])]
    calls = []
    for entry in values:
        call = _from_object(entry)
        if call is None:
            return []
        calls.append(call)
    return calls


def _from_object(entry: Any) -> Call | None:
    if not isinstance(entry, dict):
        return None
    inner = entry["function"] if isinstance(entry.get("function"), dict) else entry
    name = next((inner[key] for key in _NAMES if isinstance(inner.get(key), str)), None)
    arguments = next((inner[key] for key in _ARGUMENTS if key in inner), None)
    if name is not None:
        if isinstance(arguments, str):
            arguments = _json_value(arguments)
        return Call(folded(name), arguments) if isinstance(arguments, dict) else Call(folded(name), {})
    if len(inner) == 1:
        only, arguments = next(iter(inner.items()))
        return Call(folded(only), arguments) if isinstance(arguments, dict) else None
    return None


def _python(text: str) -> list[Call]:
    """Read Python calls: a list of them, one, or several as statements."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a model writes may hold invalid escapes
            tree = ast.parse(text.strip().rstrip(";"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    nodes: list[ast.expr] = []
    for statement in tree.body:
        if not isinstance(statement, ast.Expr | ast.Assign) or statement.value is None:
            return []
        value = statement.value
        nodes.extend(value.elts if isinstance(value, ast.List | ast.Tuple) else [value])
    calls = [_from_node(node) for node in nodes]
    return [call for call in calls if call is not None] if calls and None not in calls else []


def _from_node(node: ast.expr) -> Call | None:
    if isinstance(node, ast.Await):
        node = node.value
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
        return None
    arguments = {f"{_POSITION}{number}": _value(argument) for number, argument in enumerate(node.args)}
    for keyword in node.keywords:
        value = _value(keyword.value)
        if keyword.arg is not None:
            arguments[keyword.arg] = value
        elif isinstance(value, dict):
            arguments.update({str(key): item for key, item in value.items()})
    return Call(folded(ast.unparse(node.func)), arguments)


def _value(node: ast.expr) -> Any:
    """Return what an expression stands for: a literal as such, anything else as its text."""
    with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ast.literal_eval(node)
    if isinstance(node, ast.Name):
        return {"true": True, "false": False, "null": None}.get(node.id, node.id)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [None if key is None else _value(key) for key in node.keys]
        return {str(key): _value(item) for key, item in zip(keys, node.values, strict=True)}
    return ast.unparse(node)


def _named(text: str) -> list[Call]:
    """Read ``name`` followed by JSON arguments."""
    match = _NAMED_JSON.match(text)
    arguments = _json_value(match.group(2)) if match else None
    return [Call(folded(match.group(1)), arguments)] if match and isinstance(arguments, dict) else []


def _loose_pairs(text: str) -> dict[str, Any] | None:
    """Read arguments that are almost JSON, such as ``{"current":I}``, by way of Python."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    value = _value(tree.body)
    return value if isinstance(value, dict) else None


def _json_value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json_sequence(text: str) -> list[Any]:
    """Read JSON values that stand one after the other, parted by spaces, commas or semicolons."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text):
        if text[at] in " \n\r\t,;":
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        values.append(value)
    return values
