"""Rows of any shape, with columns recognised by their usual names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import Draft, Ledger, shown
from langchain_atlas.outcomes.importers.reading.fields import aliased, taken
from langchain_atlas.outcomes.importers.reading.sources import entries, files_of

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.outcomes.importers.reading.sources import Entry

LISTS = ("data", "rows", "items", "records", "logs", "results")
"""Names under which a JSON file may hold its rows."""
NUMBERS = frozenset(
    {"score", "score_confidence", "input_tokens", "output_tokens", "cost_usd", "latency_s", "propensity"}
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def read_rows(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield the rows of files of any shape."""
    used: dict[str, str] = {}
    for source in sources:
        for path in files_of(source, ledger):
            owners = _owners(path)
            for entry in entries(path, ledger, LISTS):
                ledger.read += 1
                draft = ledger.attempt(entry.place, _draft, entry, ledger, used, owners)
                if draft is not None:
                    yield draft
    renamed = [f"{column} from {name}" for column, name in used.items() if column != name]
    if renamed:
        ledger.note(f"columns by their names: {', '.join(renamed)}", ledger.read)


def _owners(path: Path) -> dict[str, str]:
    """Return the column of each name in a file whose rows may leave out some: in all rows a name is the same column."""
    if path.name.removesuffix(".gz").endswith((".csv", ".tsv", ".parquet")):
        return {}  # every row has all of them
    names: dict[str, None] = {}
    for entry in entries(path, Ledger(), LISTS):
        if isinstance(entry.value, Mapping):
            names.update(dict.fromkeys(entry.value))
    return {name: column for column, name in aliased(names).items()}


def _draft(entry: Entry, ledger: Ledger, used: dict[str, str], owners: Mapping[str, str]) -> Draft | None:
    row: Any = entry.value
    if not isinstance(row, Mapping):
        ledger.reject(entry.place, f"is {shown(row)}; it must be an object of columns")
        return None
    names = {column: name for column, name in aliased(row).items() if owners.get(name, column) == column}
    names |= {owners[name]: name for name in row if name in owners}
    used.update(names)
    ledger.leave(name for name in row if name not in names.values())
    values = taken(row, names)
    if entry.has_decimal_commas:
        _read_decimal_commas(values, ledger)
    return Draft(entry.place, values, row, names, score_name=names.get("score", "score"))


def _read_decimal_commas(values: dict[str, Any], ledger: Ledger) -> None:
    """Put a point in the place of the comma of numbers."""
    for column in NUMBERS & values.keys():
        value = values[column]
        if isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value.strip()):
            values[column] = value.strip().replace(",", ".")
            ledger.note("a comma in a number is a decimal one, as cells are parted by semicolons")
