"""Rows of any shape, with columns recognised by their usual names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import Draft, Ledger, shown
from langchain_atlas.outcomes.importers.reading.fields import aliased, taken
from langchain_atlas.outcomes.importers.reading.sources import entries, files_of

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.reading.sources import Entry

LISTS = ("data", "rows", "items", "records", "logs", "results")
"""Names under which a JSON file may hold its rows."""


def read_rows(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield the rows of files of any shape."""
    used: dict[str, str] = {}
    for source in sources:
        for path in files_of(source, ledger):
            for entry in entries(path, ledger, LISTS):
                ledger.read += 1
                draft = ledger.attempt(entry.place, _draft, entry, ledger, used)
                if draft is not None:
                    yield draft
    renamed = [f"{column} from {name}" for column, name in used.items() if column != name]
    if renamed:
        ledger.note(f"columns by their names: {', '.join(renamed)}", ledger.read)


def _draft(entry: Entry, ledger: Ledger, used: dict[str, str]) -> Draft | None:
    row: Any = entry.value
    if not isinstance(row, Mapping):
        ledger.reject(entry.place, f"is {shown(row)}; it must be an object of columns")
        return None
    names = aliased(row)
    used.update(names)
    ledger.leave(name for name in row if name not in names.values())
    return Draft(entry.place, taken(row, names), row, names, score_name=names.get("score", "score"))
