"""What an answer says, and how it is written: the form in which answers are compared."""

from __future__ import annotations

import ast
import hashlib
import math
import re
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from langchain_atlas.answers.functions import OfferedFunction, fits, folded_value, functions_of, typed
from langchain_atlas.answers.texts import (
    choice_of,
    final_part,
    fraction_of,
    length_of,
    number_of,
    said_in,
    says_nothing,
    words_of,
)
from langchain_atlas.text.call_syntax import WrittenCall, read_calls
from langchain_atlas.text.finding_calls import marked_calls
from langchain_atlas.text.signatures import by_name
from langchain_atlas.text.thoughts import without_thoughts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_atlas.trajectory import Query

Kind = Literal["calls", "no-call", "number", "choice", "code", "text", "nothing"]

MARKS = (
    "unknown_function",
    "missing_argument",
    "unknown_argument",
    "positional_argument",
    "wrong_type",
    "illegal_choice",
    "ungrounded",
    "calls",
    "offered_left_out",
)
"""Names of the numbers in `Reading.marks`, in order."""

SHORT = 60
"""Maximum number of words of a text that is compared word by word."""

_CODE = re.compile(r"```[a-zA-Z0-9]*\s*\n(.*?)```", re.DOTALL)
_MOST_KEPT = 8192
"""Number of answers that are kept parsed."""
_LONGEST_KEPT = 4000
"""Characters of the longest answer that is kept parsed."""
_NO_MARKS = (0.0,) * len(MARKS)


@dataclass(frozen=True)
class ParsedAnswer:
    """An answer, parsed for comparison."""

    kind: Kind
    """Its kind; ``no-call`` is a text although functions were available, ``nothing`` an empty or failed answer."""
    value: Any
    """What it says, equal for answers that say the same; a number for ``number`` and for a fraction."""
    style: str
    """How it is written, such as ``fenced-python-list`` or ``text``."""
    marks: tuple[float, ...] = _NO_MARKS
    """How its calls fit the available functions, in the order of `MARKS`; shares run from 0 to 1."""
    text: str = field(default="", repr=False)
    """The answer itself, if comparing `value` may not be enough."""

    @property
    def key(self) -> int:
        """A number that represents what is said, from 0 to below 2**63; the same in every process.

        Numbers are distinguished by four digits. Answers that are merely similar have different keys.
        """
        said = f"{self.value:.4g}" if self.kind == "number" else repr(self.value)
        digest = hashlib.blake2b(f"{self.kind} {said}".encode(errors="surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1


def read_answer(answer: str | None, query: Query) -> ParsedAnswer:
    """Parse an answer to a query.

    Args:
        answer: the answer; None for a failed call.
        query: the query; its context contains the available functions.
    """
    if answer is None:
        return ParsedAnswer("nothing", "", "failed")
    parse = _parse if len(answer) > _LONGEST_KEPT else _parse_once
    return parse(answer, query.text, query.context)


def _parse(answer: str, text: str, context: str | None) -> ParsedAnswer:
    """Parse an answer, given the text and the context of its query."""
    answer = without_thoughts(answer)
    functions = functions_of(context)
    if functions:
        calls, style = read_calls(answer)
        if not calls:
            calls, style = tuple(marked_calls(answer)), "tagged-native"
        if calls:
            read = [_resolved(call, functions) for call in calls]
            return ParsedAnswer("calls", _said(read), style, _marks(read, functions, text), answer)
        return ParsedAnswer("no-call", "", "text" if answer.strip() else "empty", text=answer)
    return _read_text(answer, text)


_parse_once = lru_cache(maxsize=_MOST_KEPT)(_parse)
"""At every turn of a query, and at every setting of a router, its earlier answers are read again."""


def _read_text(answer: str, asked: str) -> ParsedAnswer:
    if says_nothing(answer):
        return ParsedAnswer("nothing", "", "empty")
    code = _structure_of(answer)
    if code is not None:
        return ParsedAnswer("code", code, "fenced" if "```" in answer else "code", text=answer)
    final = final_part(answer)
    style = "bare" if final == answer.strip() else "explained"
    choice, number = choice_of(final, asked), number_of(final)
    if choice is not None:
        return ParsedAnswer("choice", choice, style)
    if number is not None:
        return ParsedAnswer("number", number, style)
    fraction = fraction_of(final)  # or a day: it counts as a text, and agrees with the number that it may be
    if fraction is not None:
        return ParsedAnswer("text", fraction, style, text=answer)
    return ParsedAnswer("text", said_in(final) or final, "long" if length_of(final) > SHORT else style, text=answer)


@dataclass(frozen=True)
class _Resolved:
    """A call with the function that it names; None if that is not available."""

    call: WrittenCall
    function: OfferedFunction | None
    arguments: Mapping[str, Any]


def _resolved(call: WrittenCall, functions: Sequence[OfferedFunction]) -> _Resolved:
    function = next((one for one in functions if one.name == call.name), None)
    if function is None:  # a method may be called without its class
        tails = [one for one in functions if one.name.endswith(f"_{call.name}") or call.name.endswith(f"_{one.name}")]
        function = tails[0] if len(tails) == 1 else None
    names = list(function.types) if function else []
    types = function.types if function else {}
    arguments = {key: typed(value, types.get(key, "")) for key, value in by_name(call.arguments, names).items()}
    return _Resolved(call, function, arguments)


def _said(calls: Sequence[_Resolved]) -> tuple[Any, ...]:
    """Return what calls say, unordered; an argument that only repeats the default is left out."""
    said = []
    for one in calls:
        defaults = one.function.defaults if one.function else {}
        values = ((key, folded_value(value)) for key, value in one.arguments.items())
        given = sorted((key, value) for key, value in values if value and value not in defaults.get(key, ()))
        said.append((one.function.name if one.function else one.call.name, tuple(given)))
    return tuple(sorted(said))


def _marks(calls: Sequence[_Resolved], functions: Sequence[OfferedFunction], asked: str) -> tuple[float, ...]:
    flagged = dict.fromkeys(MARKS[:6], 0)
    text = f" {words_of(asked)} "
    values, ungrounded = 0, 0
    for one in calls:
        function = one.function
        if function is None:
            flagged["unknown_function"] += 1
            continue
        given = set(one.arguments)
        flagged["missing_argument"] += bool(function.required - given)
        flagged["unknown_argument"] += any(key not in function.types and not key.startswith("#") for key in given)
        flagged["positional_argument"] += any(key.startswith("#") for key in one.call.arguments)
        flagged["wrong_type"] += any(
            not fits(value, function.types.get(key, "")) for key, value in one.arguments.items()
        )
        flagged["illegal_choice"] += any(
            key in function.choices and folded_value(value) not in function.choices[key]
            for key, value in one.arguments.items()
            if not isinstance(value, list | dict)
        )
        for value in one.arguments.values():
            for leaf in _leaves(value):
                values += 1
                ungrounded += f" {folded_value(leaf).replace('.', ' ')} " not in text
    named = {one.function.name for one in calls if one.function}
    shares = [flagged[name] / len(calls) for name in MARKS[:6]]
    return (
        *shares,
        ungrounded / max(values, 1),
        math.log(len(calls)),
        1 - len(named) / len(functions),
    )


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [] if value is None or isinstance(value, bool) else [value]


def code_of(answer: str) -> str:
    """Return the code in an answer: its fenced blocks, or all from its first function on; empty if it has none."""
    blocks = _CODE.findall(answer)
    if blocks:
        return "\n".join(blocks)
    return answer[answer.index("def ") :] if "def " in answer else ""


def _structure_of(answer: str) -> str | None:
    """Return an answer's Python as text, independent of names and layout; None if it contains none."""
    source = code_of(answer)
    if not source:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a model writes may hold invalid escapes
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return words_of(source) if "```" in answer else None
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    _rename(tree, functions)
    return "\n".join(ast.dump(node) for node in functions) or ast.dump(tree)


def _rename(tree: ast.Module, functions: Sequence[ast.FunctionDef]) -> None:
    """Number the names that code gives, in order of appearance; leave out docstrings and annotations."""
    names: dict[str, str] = {}
    for node in functions:
        for name in (node.name, *(argument.arg for argument in node.args.args)):
            names.setdefault(name, f"n{len(names)}")
        if ast.get_docstring(node) is not None and len(node.body) > 1:
            node.body = node.body[1:]
        node.name, node.returns = names[node.name], None
    for part in ast.walk(tree):
        if isinstance(part, ast.Name):
            if isinstance(part.ctx, ast.Store):
                names.setdefault(part.id, f"n{len(names)}")
            part.id = names.get(part.id, part.id)
        elif isinstance(part, ast.arg):
            part.arg, part.annotation = names.get(part.arg, part.arg), None
