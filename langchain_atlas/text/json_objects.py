"""JSON objects within other text, including the invalid JSON that models write."""

from __future__ import annotations

import ast
import json
import re
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 50_000
_MOST_TRIES = 64
_MOST_MENDED = 4
_MOST_REPAIRED = 2
_LONGEST_REPAIRED = 2_000
"""On hostile text, json-repair takes time quadratic in the length."""
_CLOSING = {"{": "}", "[": "]", "(": ")"}
_ENDS = ("}", "]", ")", "`")
_COMMENT = re.compile(r"//[^\n]*$", re.MULTILINE)
_WORDS = {"true": True, "false": False, "null": None}


class WrittenFloat(float):
    """A float that remembers how it was written: ``3.10`` is a version where a string is expected."""

    written: str

    @classmethod
    def of(cls, written: str) -> WrittenFloat:
        """Parse a number."""
        number = cls(written)
        number.written = written
        return number


# Models put programs into arguments and forget to escape line breaks as \n.
DECODER = json.JSONDecoder(strict=False, parse_float=WrittenFloat.of)


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in a text, in order; nested objects are not yielded separately.

    Line breaks in strings, single quotes, unquoted keys, extra commas, comments, nested quotes and unclosed brackets
    are tolerated. An object that breaks off in the middle of a string is skipped, because the rest is unknown.
    """
    text = text[:_LONGEST]
    mended, repaired, start = 0, 0, text.find("{")
    for _ in range(_MOST_TRIES):
        if start < 0:
            return
        value, end = json_at(text, start)
        if end == start and mended < _MOST_MENDED:
            mended += 1
            end, missing = _extent(text, start)
            broke_off = not text[:end].rstrip().endswith(_ENDS)
            value = _mended(text[start:end] + missing, repair=repaired < _MOST_REPAIRED and not broke_off)
            repaired += value is None
            if value is None or (missing and not value):  # a lone brace is not an object
                value, end = None, start
        if isinstance(value, dict):
            yield value
        start = text.find("{", max(end, start + 1))


def first_object(text: str) -> dict[str, Any] | None:
    """Return the first object in a text, or None."""
    return next(objects_in(text), None)


def json_at(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value at a position and the position after it; None and the same position if there is none."""
    try:
        return DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):  # ValueError also for integers of thousands of digits
        return None, start


def json_value(text: str) -> Any:
    """Parse a text as JSON; None if it is not JSON."""
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def values_in_row(text: str) -> list[Any]:
    """Return the values of a text of only JSON values, separated by spaces, commas or semicolons; else nothing."""
    values: list[Any] = []
    at = 0
    while at < len(text):
        if text[at] in " \n\r\t,;":
            at += 1
            continue
        value, end = json_at(text, at)
        if end == at:
            return []
        values.append(value)
        at = end
    return values


def loose_object(text: str) -> dict[str, Any] | None:
    """Parse a text as an object, even if it is not quite valid; None if it is something else.

    An object that was encoded as a string, once or several times, is decoded.
    """
    value: Any = text
    for _ in range(_MOST_MENDED):
        if not isinstance(value, str):
            break
        bare = value.strip()
        decoded = json_value(bare)
        value = first_object(bare) if decoded is None and bare.startswith("{") else decoded
    return value if isinstance(value, dict) else None


def outside_quotes(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Yield the positions and characters of a text from a position on, except those in quotes."""
    quote, at = "", start
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            yield at, char
        at += 1


def parsed_python(text: str) -> ast.Module | None:
    """Parse a text as Python; None if it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a model's text may hold invalid escapes
            return ast.parse(text)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def python_value(node: ast.expr, source: str) -> Any:
    """Return the value of an expression: of a literal its value, of anything else its source text.

    Args:
        node: the expression.
        source: the text that it was parsed from.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        written = ast.get_source_segment(source, node) or ""
        with suppress(ValueError):
            return WrittenFloat.of(written.replace("_", ""))
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id, node.id)
    if isinstance(node, ast.List | ast.Tuple):
        values = [python_value(item, source) for item in node.elts]
        return tuple(values) if isinstance(node, ast.Tuple) and _is_literal(node) else values
    if isinstance(node, ast.Dict):
        keys = [None if key is None else python_value(key, source) for key in node.keys]
        return {str(key): python_value(item, source) for key, item in zip(keys, node.values, strict=True)}
    with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ast.literal_eval(node)
    return ast.unparse(node)


def _is_literal(node: ast.expr) -> bool:
    with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        ast.literal_eval(node)
        return True
    return False


def python_object(text: str) -> dict[str, Any] | None:
    """Parse a text as a Python dict, with expressions as texts; None if it is not one."""
    tree = parsed_python(text.strip())
    statement = tree.body[0] if tree is not None and len(tree.body) == 1 else None
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Dict):
        return None
    try:
        value = python_value(statement.value, text.strip())
    except RecursionError:
        return None
    return value if isinstance(value, dict) else None


def _mended(text: str, *, repair: bool) -> dict[str, Any] | None:
    """Read an object that is nearly JSON; None if its content is uncertain.

    Python dicts, with single quotes, ``True`` or unquoted keys, are read as such. An expression to evaluate is not a
    value: json-repair would turn its digits into numbers.
    """
    tree = parsed_python(text)
    statement = tree.body[0] if tree is not None and len(tree.body) == 1 else None
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Dict):
        try:
            if _is_plain(statement.value):
                return python_object(text)
            if not _COMMENT.search(text):
                return None
        except RecursionError:
            return None
    return _repaired(text) if repair and len(text) <= _LONGEST_REPAIRED else None


def _is_plain(node: ast.expr | None) -> bool:
    """Return whether an expression consists only of literals and bare words."""
    if isinstance(node, ast.Dict):
        keys = all(isinstance(key, ast.Constant | ast.Name) for key in node.keys)
        return keys and all(map(_is_plain, node.values))
    if isinstance(node, ast.List | ast.Tuple):
        return all(map(_is_plain, node.elts))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub | ast.UAdd) and isinstance(node.operand, ast.Constant)
    return isinstance(node, ast.Constant | ast.Name)


def _repaired(text: str) -> dict[str, Any] | None:
    """Read an object that only json-repair can parse; None if it finds something else, or nothing."""
    import json_repair

    try:
        value = json_repair.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value else None


def _extent(text: str, start: int) -> tuple[int, str]:
    """Return where the brace at a position is closed, and the brackets that are missing at the end of the text."""
    waiting: list[str] = []
    for at, char in outside_quotes(text, start):
        if char in _CLOSING:
            waiting.append(_CLOSING[char])
        elif waiting and char == waiting[-1]:
            waiting.pop()
            if not waiting:
                return at + 1, ""
    return len(text), "".join(reversed(waiting))
