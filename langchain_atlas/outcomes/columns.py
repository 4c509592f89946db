"""The columns of an outcome table, and the checks on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from langchain_atlas.errors import OutcomeError
from langchain_atlas.text_files import read_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Kind = Literal["text", "number", "integer", "boolean"]

_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.large_string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}

_MISFITS = (pa.ArrowException, OverflowError, UnicodeEncodeError)
"""The errors that Arrow raises for a value that does not fit a column."""


@dataclass(frozen=True)
class Column:
    """One column of the contract."""

    name: str
    """Name in the file."""
    kind: Kind
    """Type of its values."""
    required: bool = False
    """Whether every row must have a value."""
    low: float | None = None
    """Smallest valid value."""
    high: float | None = None
    """Largest valid value."""
    above: float | None = None
    """Every value must be larger than this."""


COLUMNS: tuple[Column, ...] = (
    Column("query_id", "text", required=True),
    Column("query", "text", required=True),
    Column("context", "text"),
    Column("domain", "text", required=True),
    Column("model", "text", required=True),
    Column("tool", "text", required=True),
    Column("score", "number", low=0, high=1),
    Column("input_tokens", "integer", low=0),
    Column("output_tokens", "integer", low=0),
    Column("cost_usd", "number", low=0),
    Column("latency_s", "number", low=0),
    Column("response", "text"),
    Column("error", "text"),
    Column("tokens_estimated", "boolean"),
)
"""The columns that a table must have; others are kept unchanged. A column without values is all null."""

OPTIONAL_COLUMNS: tuple[Column, ...] = (
    Column("propensity", "number", above=0, high=1),
    Column("score_source", "text"),
    Column("score_confidence", "number", low=0, high=1),
    Column("recorded_at", "text"),
    Column("verdict", "text"),
)
"""Columns with a meaning that a table may have; ``docs/outcome_table.md`` explains them."""


_OURS = b"langchain_atlas."
"""How the keys of metadata begin that a table keeps."""


def checked(table: pa.Table, source: str) -> pa.Table:
    """Return the table with the contract's columns first, cast to their types.

    Args:
        table: any Arrow table.
        source: the table's name in messages, usually the file.

    Raises:
        OutcomeError: a column is missing or mistyped, or a value is missing or out of range; the message names
            column, row (counted from 1) and source.
    """
    if table.num_rows == 0:
        raise OutcomeError(f"{source} has no rows. An outcome table needs at least one recorded outcome.")
    doubled = [name for name in table.column_names if table.column_names.count(name) > 1]
    if doubled:
        raise OutcomeError(f"{source} has two columns {doubled[0]!r}; names of columns must differ.")
    missing = [column.name for column in COLUMNS if column.name not in table.column_names]
    if missing:
        _refuse_questions(table.column_names, source)
        raise OutcomeError(
            f"{source} has no column {missing[0]!r}"
            + (f" (and no {', '.join(map(repr, missing[1:]))})" if len(missing) > 1 else "")
            + f". An outcome table has the columns {', '.join(column.name for column in COLUMNS)}; one without "
            "values is all null."
        )
    arrays = [_checked_column(table[column.name].combine_chunks(), column, source) for column in COLUMNS]
    names = [column.name for column in COLUMNS]
    optional = {column.name: column for column in OPTIONAL_COLUMNS}
    for name in table.column_names:
        if name in names:
            continue
        names.append(name)
        known = optional.get(name)
        arrays.append(table[name] if known is None else _checked_column(table[name].combine_chunks(), known, source))
    told = {key: value for key, value in (table.schema.metadata or {}).items() if key.startswith(_OURS)}
    return pa.table(dict(zip(names, arrays, strict=True)), metadata=told or None)


def _refuse_questions(names: Collection[str], source: str) -> None:
    """Raise a helpful error if the table contains questions instead of outcomes.

    Raises:
        OutcomeError: it contains questions, judging by the names of its columns.
    """
    if "query" in names and {"answer", "scorer"} & set(names) and not {"model", "score"} & set(names):
        raise OutcomeError(
            f"{source} holds questions, and no outcomes of them. Run a pool on them first, which writes outcomes: "
            f"langchain-atlas profile --pool POOL.yaml --queries {source} --out outcomes.parquet"
        )


def _checked_column(array: pa.Array, column: Column, source: str) -> pa.Array:
    array = _cast(array, column, source)
    if column.required and array.null_count:
        raise OutcomeError(
            f"{source}, row {_first(pc.is_null(array)) + 1}: column {column.name!r} is empty; every row needs one."
        )
    if column.name == "error":
        array = pc.fill_null(array, "")
    if column.kind == "number":
        _refuse(array, pc.invert(pc.is_finite(array)), column, source, "a finite number")
    if column.above is not None:
        _refuse(array, pc.less_equal(array, column.above), column, source, f"above {column.above}")
    if column.low is not None:
        wanted = f"from {column.low} to {column.high}" if column.high is not None else f"at least {column.low}"
        _refuse(array, pc.less(array, column.low), column, source, wanted)
    if column.high is not None:
        lowest = f"from {column.low}" if column.low is not None else f"above {column.above}"
        _refuse(array, pc.greater(array, column.high), column, source, f"{lowest} to {column.high}")
    return array


def _cast(array: pa.Array, column: Column, source: str) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    whole = _whole(array)
    fits = {
        "text": pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind),
        "number": pa.types.is_integer(kind) or pa.types.is_floating(kind),
        "integer": bool(whole.all()),
        "boolean": pa.types.is_boolean(kind),
    }
    if not (fits[column.kind] or pa.types.is_null(kind)):
        wrong = pa.array(~whole) if column.kind == "integer" else pc.is_valid(array)
        row = _first(wrong) if pc.any(wrong).as_py() else 0
        raise OutcomeError(
            f"{source}, row {row + 1}: column {column.name!r} holds {array[row].as_py()!r} ({kind}), "
            f"but it must hold {_article(column.kind)}."
        )
    return array.cast(_TYPES[column.kind])


def _whole(array: pa.Array) -> NDArray[np.bool_]:
    """Return which values are whole numbers that fit 64 bits, or null; shape [n]."""
    kind = array.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return np.asarray(pc.is_null(array))
    known = array.cast(pa.float32()) if pa.types.is_float16(kind) else array
    numbers: NDArray[Any] = pc.fill_null(known, 0).to_numpy(zero_copy_only=False)
    if pa.types.is_integer(kind):
        return numbers <= np.iinfo(np.int64).max
    whole: NDArray[np.bool_] = (np.floor(numbers) == numbers) & (np.abs(numbers) < 2.0**63)
    return whole


def _refuse(array: pa.Array, bad: pa.Array, column: Column, source: str, wanted: str) -> None:
    if pc.any(bad).as_py():
        row = _first(bad)
        raise OutcomeError(
            f"{source}, row {row + 1}: column {column.name!r} is {array[row].as_py()!r}; it must be {wanted}."
        )


def _first(mask: pa.Array) -> int:
    return int(np.flatnonzero(pc.fill_null(mask, fill_value=False).to_numpy(zero_copy_only=False))[0])


def _article(kind: Kind) -> str:
    return {"text": "text", "number": "numbers", "integer": "whole numbers", "boolean": "true or false"}[kind]


def read_jsonl(path: Path) -> pa.Table:
    """Read one JSON object per line into a table.

    Raises:
        OutcomeError: a line is not a JSON object, or a value does not fit its column; the message names the line.
    """
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    # Not splitlines: texts may contain U+2028 and other characters that it treats as line ends.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # broken JSON, or too long numbers, or too deep brackets
            raise OutcomeError(f"{path}, line {number} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise OutcomeError(f"{path}, line {number} is {line.strip()[:40]!r}; it must be a JSON object.")
        rows.append(row)
        lines.append(number)
    _refuse_questions({name for row in rows for name in row}, str(path))
    return table_of(rows, str(path), lines)


def table_of(rows: Sequence[dict[str, Any]], source: str, lines: Sequence[int] | None = None) -> pa.Table:
    """Make a table of rows given as dicts.

    Args:
        rows: the rows; a key that a row lacks is null there.
        source: their name in messages.
        lines: line of each row in its file; by default, the row's number.

    Raises:
        OutcomeError: a value does not fit its column.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds = {column.name: column.kind for column in (*COLUMNS, *OPTIONAL_COLUMNS)}
    arrays: dict[str, pa.Array] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if name in kinds:
            _check_values(name, kinds[name], values, source, lines)
        wanted = _TYPES[kinds[name]] if name in kinds else None
        try:
            arrays[name] = pa.array(values, type=wanted)
        except _MISFITS as error:
            where = "" if wanted is None else f", {_place(_first_misfit(values, wanted), lines)}"
            raise OutcomeError(f"{source}{where}: column {name!r} holds values that do not fit: {error}.") from error
    return pa.table(arrays)


def _first_misfit(values: Sequence[Any], wanted: pa.DataType) -> int:
    for index, value in enumerate(values):
        try:
            pa.array([value], type=wanted)
        except _MISFITS:
            return index
    return 0


def _place(index: int, lines: Sequence[int] | None) -> str:
    return f"line {lines[index]}" if lines else f"row {index + 1}"


def _check_values(name: str, kind: Kind, values: Sequence[Any], source: str, lines: Sequence[int] | None) -> None:
    types = {"text": str, "number": int | float, "integer": int | float, "boolean": bool}[kind]
    for index, value in enumerate(values):
        right = isinstance(value, types) and (kind == "boolean" or not isinstance(value, bool))
        if kind == "integer" and isinstance(value, float):
            right = value.is_integer()
        if value is not None and not right:
            raise OutcomeError(
                f"{source}, {_place(index, lines)}: column {name!r} holds {value!r}, but it must hold {_article(kind)}."
            )
