"""JSON objects amid other text, also those that are not quite JSON, as models write them."""

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
"""json-repair takes time that grows with the square of the length where a text is hostile."""
_CLOSING = {"{": "}", "[": "]", "(": ")"}
_ENDS = ("}", "]", ")", "`")
_COMMENT = re.compile(r"//[^\n]*$", re.MULTILINE)
_WORDS = {"true": True, "false": False, "null": None}


class WrittenFloat(float):
    """A number with a point, that also knows how it was written: ``3.10`` is a version where a text is wanted."""

    written: str

    @classmethod
    def of(cls, written: str) -> WrittenFloat:
        """Read a number."""
        number = cls(written)
        number.written = written
        return number


# Models write programs into their arguments, and forget to write line ends as \n.
DECODER = json.JSONDecoder(strict=False, parse_float=WrittenFloat.of)


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in a text, in their order; those inside of others are left alone.

    Line ends in texts, single quotes, bare keys, commas too many, comments, quotes inside of quotes and brackets that
    were never closed are understood. What breaks off in the middle of a text is left alone: nobody knows the rest.
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
            if value is None or (missing and not value):  # a brace alone is no object
                value, end = None, start
        if isinstance(value, dict):
            yield value
        start = text.find("{", max(end, start + 1))


def first_object(text: str) -> dict[str, Any] | None:
    """Return the first object in a text, or None."""
    return next(objects_in(text), None)


def json_at(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value at a place and the place after it; None and the same place where there is none."""
    try:
        return DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):  # the first also for whole numbers of thousands of digits
        return None, start


def json_value(text: str) -> Any:
    """Return the JSON value that a text is; None where it is none."""
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def values_in_row(text: str) -> list[Any]:
    """Return the JSON values that stand one after the other, parted by spaces, commas or semicolons; else nothing."""
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
    """Return the object that a text is, or is meant to be; None where it is something else.

    An object that was encoded as a text, once or more often, is decoded.
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
    """Yield the places and characters of a text from a place on, without those that stand in quotes."""
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
    """Return a text as Python; None where it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a model writes may hold invalid escapes
            return ast.parse(text)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def python_value(node: ast.expr, source: str) -> Any:
    """Return what an expression is: a literal as such, anything else as its text.

    Args:
        node: the expression.
        source: the text that it was read from.
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
    """Return the object that a text is in Python, where expressions are texts; None where it is none."""
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
    """Read an object that is nearly JSON; None where nothing is sure.

    Python's own objects, with single quotes, ``True`` or bare keys, are read as they are. An expression to work out is
    no value: json-repair would make numbers of its digits.
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
    """Whether an expression is made of literals and bare words alone."""
    if isinstance(node, ast.Dict):
        keys = all(isinstance(key, ast.Constant | ast.Name) for key in node.keys)
        return keys and all(map(_is_plain, node.values))
    if isinstance(node, ast.List | ast.Tuple):
        return all(map(_is_plain, node.elts))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub | ast.UAdd) and isinstance(node.operand, ast.Constant)
    return isinstance(node, ast.Constant | ast.Name)


def _repaired(text: str) -> dict[str, Any] | None:
    """Read an object that only json-repair makes sense of; None where it finds something else, or nothing."""
    import json_repair

    try:
        value = json_repair.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value else None


def _extent(text: str, start: int) -> tuple[int, str]:
    """Return where the brace at a place is closed, and the brackets that are missing at the end of the text."""
    waiting: list[str] = []
    for at, char in outside_quotes(text, start):
        if char in _CLOSING:
            waiting.append(_CLOSING[char])
        elif waiting and char == waiting[-1]:
            waiting.pop()
            if not waiting:
                return at + 1, ""
    return len(text), "".join(reversed(waiting))
