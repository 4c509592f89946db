"""JSON objects amid other text, also those that are not quite JSON, as models write them."""

from __future__ import annotations

import ast
import json
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_TRIES = 64
_MOST_MENDED = 4
_CLOSING = {"{": "}", "[": "]", "(": ")"}
_WORDS = {"true": True, "false": False, "null": None}


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in a text, in their order; those inside of others are left alone.

    Line ends in texts, single quotes, bare keys, commas too many, comments at the end and brackets that were never
    closed are understood.
    """
    # Models write programs into their arguments, and forget to write line ends as \n.
    decoder, mended, start = json.JSONDecoder(strict=False), 0, text.find("{")
    for _ in range(_MOST_TRIES):
        if start < 0:
            return
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            value, end = None, start + 1
            if mended < _MOST_MENDED:
                mended += 1
                value, end = _mended(text, start)
        if isinstance(value, dict):
            yield value
        start = text.find("{", end)


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


def _mended(text: str, start: int) -> tuple[Any, int]:
    """Read what begins with a brace and is not JSON, by way of Python; none where that is no object either."""
    end, missing = _extent(text, start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a model writes may hold invalid escapes
            tree = ast.parse(text[start:end] + missing, mode="eval")
        return _value(tree.body), end
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None, start + 1


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


def _value(node: ast.expr) -> Any:
    """Return what an expression stands for.

    Raises:
        ValueError: it is neither an object, a list nor a literal.
    """
    if isinstance(node, ast.Dict):
        keys = [key.id if isinstance(key, ast.Name) else ast.literal_eval(key) for key in node.keys if key is not None]
        return {str(key): _value(item) for key, item in zip(keys, node.values, strict=True)}
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    return ast.literal_eval(node)
