"""Preparing programs for Monty: where it would silently differ from Python, they are corrected or rejected.

Found by running 1,700 snippets in both; ``docs/tools/python.md`` lists what stays different.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_VALUE_NAME = "__atlas_last_value__"

PRELUDE = """
__atlas_iter__, __atlas_round__, __atlas_zip__, __atlas_map__ = iter, round, zip, map
__atlas_filter__, __atlas_enumerate__, __atlas_reversed__ = filter, enumerate, reversed
def round(number, ndigits=None):
    if isinstance(number, float) and ndigits is not None and 0 <= ndigits < 330:
        return float(f"{number:.{ndigits}f}")
    return __atlas_round__(number) if ndigits is None else __atlas_round__(number, ndigits)
def zip(*parts, **settings):
    return __atlas_iter__(__atlas_zip__(*parts, **settings))
def map(*parts):
    return __atlas_iter__(__atlas_map__(*parts))
def filter(*parts):
    return __atlas_iter__(__atlas_filter__(*parts))
def enumerate(*parts, **settings):
    return __atlas_iter__(__atlas_enumerate__(*parts, **settings))
def reversed(part):
    return __atlas_iter__(__atlas_reversed__(part))
def __atlas_stop__(code=None):
    return SystemExit() if code is None or code == 0 else SystemExit(str(code))
def exit(code=None):
    raise __atlas_stop__(code)
quit = exit
def __atlas_sets__(one, other):
    return isinstance(one, set) and isinstance(other, (set, frozenset))
def __atlas_become__(one, result):
    one.clear()
    one.update(result)
    return one
def __atlas_or__(one, other):
    if __atlas_sets__(one, other): one.update(other)
    else: one |= other
    return one
def __atlas_and__(one, other):
    if __atlas_sets__(one, other): return __atlas_become__(one, one & other)
    one &= other
    return one
def __atlas_sub__(one, other):
    if __atlas_sets__(one, other):
        for item in list(other): one.discard(item)
    else: one -= other
    return one
def __atlas_xor__(one, other):
    if __atlas_sets__(one, other): return __atlas_become__(one, one ^ other)
    one ^= other
    return one
def __atlas_add__(one, other):
    if isinstance(one, list): one.extend(other)
    else: one += other
    return one
"""
"""Run before the first program of an interpreter. Monty rounds otherwise, gives lists where Python gives iterators that
are used up, knows no way to end a program, and makes a new set where Python changes the old one."""

_IN_PLACE = {ast.BitOr: "or", ast.BitAnd: "and", ast.BitXor: "xor", ast.Sub: "sub"}
_ITERATORS = ("zip", "map", "filter", "enumerate", "reversed", "range")

PASSED_OVER = re.compile(
    r"^[ \t]+def[ \t]+(__(?:bool|len|ne|format|new|del|get|set|set_name|setattr|getattribute)__)\b", re.MULTILINE
)
"""Methods that Monty passes over without a word, so that an object is compared, shown or changed whatever they say."""


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


def prepared(program: str, limit: int) -> str:
    """Return a program changed so that it hands out the text of its last expression and nothing else.

    The text is made inside the sandbox, whose limits hold for it: a few lines build a nested list with a `repr` of
    terabytes. Lines keep their numbers.

    Args:
        program: the program.
        limit: characters of the text that are wanted.
    """
    tree = _parsed(program)
    if tree is None:
        return f"{program}\nNone"
    places = _Places(program)
    edits = [edit for node in _nodes(tree) for edit in _edits(node, places)]
    last = tree.body[-1] if tree.body else None
    show = "None"
    if isinstance(last, ast.Expr):
        start, end = places.of(last)
        # Around whatever else is put in at the same places.
        edits = [_Edit(start, start, f"{_VALUE_NAME} = ("), *edits, _Edit(end, end, ")")]
        show = f"None if {_VALUE_NAME} is None else f'{{{_VALUE_NAME}!r}}'[:{limit + 1}]"
    return f"{_edited(program, edits)}\n{show}"


def _parsed(program: str) -> ast.Module | None:
    # The parser warns of unknown escapes, and warnings can't be silenced for one thread; without backslashes it has
    # nothing to warn of. Those before a quote, a backslash or a line end decide where a string ends, and stay.
    harmless = re.sub(r"\\(?s:(.))", lambda pair: pair[0] if pair[1] in "\\'\"\n" else f"_{pair[1]}", program)
    if "\r" in program or "\f" in program:  # which count as line ends in one of two places
        return None
    try:
        return ast.parse(harmless)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # Not Python, or nested too deeply: Monty will say so in its own words.
        return None


class _Places:
    """Where nodes stand in a program, in characters."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._lines = program.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def of(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return self._at(node.lineno, node.col_offset), self._at(end_line, end_column)

    def find(self, text: str, start: int) -> int:
        return self._program.index(text, start)

    def _at(self, line: int, column: int) -> int:
        """Characters before a place that `ast` gives as a line, from 1, and a column in bytes of UTF-8."""
        text = self._lines[line - 1]
        return self._starts[line - 1] + (column if text.isascii() else len(text.encode()[:column].decode()))


def _nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes that are what they stand for; places inside f-strings are not told right."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.JoinedStr):
            waiting.extend(ast.iter_child_nodes(node))


def _edits(node: ast.AST, places: _Places) -> Iterator[_Edit]:
    match node:
        case ast.GeneratorExp() if not any(part.is_async for part in node.generators):
            start, end = places.of(node)  # with the brackets around it
            yield _Edit(start + 1, start + 1, "__atlas_iter__([")
            yield _Edit(end - 1, end - 1, "])")
        case ast.AugAssign(target=ast.Name() | ast.Attribute(value=ast.Name()) as target, value=value):
            if name := _in_place(node.op, value):
                sign = places.find("=", places.of(target)[1]) - 1  # only blanks come before it
                yield _Edit(sign, sign + 2, f"= __atlas_{name}__({ast.unparse(target)}, (")
                yield _Edit(places.of(node)[1], places.of(node)[1], "))")
        case ast.Attribute(value=ast.Name("sys"), attr="exit", ctx=ast.Load()):
            yield _Edit(*places.of(node), "exit")
        case ast.Call(func=ast.Name("SystemExit") as stop):
            yield _Edit(*places.of(stop), "__atlas_stop__")
        case _:
            return


def _in_place(operator: ast.operator, value: ast.expr) -> str | None:
    """The function that an assignment is done by, where Monty may do otherwise; counting up and down is not slowed."""
    if isinstance(operator, ast.Add):
        name = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
        return "add" if isinstance(value, ast.GeneratorExp | ast.Tuple) or name in _ITERATORS else None
    if isinstance(operator, ast.Sub) and isinstance(value, ast.Constant):
        return None
    return _IN_PLACE.get(type(operator))


def _edited(program: str, edits: list[_Edit]) -> str:
    pieces, at = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):  # stable: the first inserted is outermost
        pieces += [program[at : edit.start], edit.text]
        at = edit.end
    return "".join([*pieces, program[at:]])
