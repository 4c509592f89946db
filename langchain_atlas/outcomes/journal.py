"""The journal: outcomes are written to disk one by one as they are made, and merged into the table at the end.

A run of hours may be killed at any moment. An outcome in the journal is on disk, complete, and is not run again.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
import pyarrow as pa

from langchain_atlas.errors import OutcomeError
from langchain_atlas.files import writing
from langchain_atlas.outcomes.locks import lock
from langchain_atlas.outcomes.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Key = tuple[str, str, str]
"""Identifies an outcome: query id, model, tool."""

_KEY_COLUMNS = ("query_id", "model", "tool")


class Journal:
    """An append-only file of outcomes next to the table that they will be merged into.

    It contains one JSON object per line. A later outcome of a query and a pair replaces an earlier one. While a journal
    is open, no other can be opened for the same table. Use it as a context manager: leaving it closes the file and
    keeps it, so that the next run can continue; `merge` deletes it.

    Args:
        out: the outcome table, ``.parquet`` or ``.jsonl``; the journal's name is this with ``.journal.jsonl`` appended.

    Raises:
        OutcomeError: the file name ends differently, the table or the journal can't be read or written, or another run
            has the journal open.
    """

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out)
        if self.out.suffix not in (".parquet", ".jsonl") or self.out.is_dir():
            raise OutcomeError(
                f"{str(out)!r} can't be an outcome table; give a file that ends in '.parquet' or '.jsonl'."
            )
        self.path = self.out.with_name(f"{self.out.name}.journal.jsonl")
        self._file = self._open()
        try:
            self._drop_torn_line()
            self._failed: dict[Key, bool] = {}
            self._queries: dict[str, tuple[str, str | None, str]] = {}
            for row in self._earlier():
                self._note(row)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __contains__(self, key: object) -> bool:
        return key in self._failed

    def __len__(self) -> int:
        return len(self._failed)

    def failed(self, key: Key) -> bool:
        """Return whether the recorded outcome of `key` is an error; False when there is none."""
        return self._failed.get(key, False)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the outcomes that were recorded when the journal was opened, in order."""
        return self._earlier()

    def unfinished(self) -> Iterator[dict[str, Any]]:
        """Yield the outcomes of a call that was stopped before its outcomes were merged into the table."""
        return self._lines()

    def query(self, query_id: str) -> tuple[str, str | None, str] | None:
        """Return text, context and domain of a query that has an outcome; None when it has none."""
        return self._queries.get(query_id)

    def append(self, row: Mapping[str, Any]) -> None:
        """Record an outcome. It is on disk when this returns.

        Args:
            row: values by the names of `COLUMNS`.

        Raises:
            OutcomeError: the row violates the contract of the columns, or its query id belongs to another query;
                nothing is
                written.
            WritingError: it could not be written, for example because the disk is full; no part of it is kept.
        """
        OutcomeTable.from_rows([dict(row)], f"{self.path}, new outcome")  # the merge must not fail hours later
        known = self.query(row["query_id"])
        if known is not None and known[:2] != (row["query"], row.get("context")):
            raise OutcomeError(f"Query id {row['query_id']!r} already belongs to {known[0]!r}; one id is one query.")
        line = json.dumps(dict(row)).encode() + b"\n"
        with writing(self.path):
            end = self._file.seek(0, os.SEEK_END)
            try:
                while line:
                    line = line[self._file.write(line) :]
                os.fsync(self._file.fileno())
            except BaseException:
                self._file.truncate(end)  # an incomplete line would corrupt the next one
                raise
        self._note(row)

    def merge(self, order: Iterable[Key] = ()) -> OutcomeTable:
        """Merge the earlier table and the journal into the table, then delete the journal and close.

        The table is replaced atomically. Rows of the earlier table are kept, except where the journal has a newer
        outcome. If the process is killed in between, the next journal finds the same outcomes.

        Args:
            order: how to sort the rows; rows it does not mention come first, in the order of recording.

        Returns:
            The written table.

        Raises:
            OutcomeError: there are no outcomes.
            WritingError: the table can't be written; the journal is kept.
        """
        rows = {_key(row): row for row in self._lines()}
        if rows:
            merged = _sorted(self._merged(rows), order)
            merged.save(self.out)
            with writing(self.out):
                _flush_folder(self.out.parent)  # the table must be there before the journal goes
        elif self.out.exists():
            merged = OutcomeTable.load(self.out)
        else:
            raise OutcomeError(f"There is no outcome to write to {str(self.out)!r}.")
        self._delete()
        return merged

    def close(self) -> None:
        """Close and release the lock; the file is kept, unless it is empty."""
        if self._file.closed:
            return
        if self._file.seek(0, os.SEEK_END) == 0:
            self._delete()
        self._file.close()

    def _note(self, row: Mapping[str, Any]) -> None:
        self._failed[_key(row)] = bool(row.get("error"))
        self._queries.setdefault(row["query_id"], (row["query"], row.get("context"), row["domain"]))

    def _earlier(self) -> Iterator[dict[str, Any]]:
        if self.out.exists():
            columns = [*_KEY_COLUMNS, "query", "context", "domain", "error", "cost_usd", "score"]
            for batch in OutcomeTable.load(self.out).table.select(columns).to_batches(max_chunksize=1000):
                yield from batch.to_pylist()
        yield from self._lines()

    def _lines(self) -> Iterator[dict[str, Any]]:
        with os.fdopen(os.dup(self._file.fileno()), "rb") as lines:
            lines.seek(0)
            for number, line in enumerate(lines, start=1):
                try:
                    row = json.loads(line)
                    complete = all(isinstance(row[name], str) for name in (*_KEY_COLUMNS, "query", "domain"))
                except (ValueError, TypeError, KeyError, RecursionError):
                    complete = False
                if not complete:
                    raise OutcomeError(
                        f"{self.path}, line {number} is no outcome: {line[:60]!r}. Something else wrote there; "
                        "delete that line and run again."
                    )
                yield row

    def _merged(self, rows: Mapping[Key, dict[str, Any]]) -> OutcomeTable:
        new = OutcomeTable.from_rows(list(rows.values()), str(self.path))
        if not self.out.exists():
            return new
        old = OutcomeTable.load(self.out)
        kept = old.table.filter(pa.array([key not in rows for key in _keys(old)]))
        return OutcomeTable(kept, old.source).joined(new) if kept.num_rows else new

    def _drop_torn_line(self) -> None:
        """Truncate an incomplete line of a killed run; its outcome was not recorded."""
        end = self._file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            self._file.seek(start)
            found = self._file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        self._file.truncate(end)

    def _open(self) -> BinaryIO:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = _locked(self.path)
        except OSError as error:
            raise OutcomeError(f"Can't write the journal {str(self.path)!r}: {error}.") from error
        if file is None:
            raise OutcomeError(
                f"Another run is writing to {str(self.out)!r}; wait until it ends, or give another file."
            )
        return file

    def _delete(self) -> None:
        if sys.platform == "win32":
            self._file.close()  # an open file can't be deleted there
            self.path.unlink(missing_ok=True)
        elif _is_at(self._file, self.path):
            self.path.unlink()  # while it is locked, so that no other run opens a file that is about to be deleted
        self._file.close()


def _key(row: Mapping[str, Any]) -> Key:
    query_id, model, tool = (row[name] for name in _KEY_COLUMNS)
    return query_id, model, tool


def _keys(table: OutcomeTable) -> Iterator[Key]:
    return zip(*(table.table[name].to_pylist() for name in _KEY_COLUMNS), strict=True)


def _sorted(table: OutcomeTable, order: Iterable[Key]) -> OutcomeTable:
    ranks = {key: number for number, key in enumerate(order)}
    positions = np.argsort([ranks.get(key, -1) for key in _keys(table)], kind="stable")
    return OutcomeTable(table.table.take(pa.array(positions)), table.source)


def _locked(path: Path) -> BinaryIO | None:
    """Open and lock the file at `path`; None if another process has locked it."""
    while True:
        file = path.open("a+b", buffering=0)
        try:
            locked = lock(file)
            current = _is_at(file, path)
        except BaseException:
            file.close()
            raise
        if locked and current:
            return file
        file.close()
        if not locked:
            return None
        # The process that had it locked has deleted it meanwhile; the next round creates a new one.


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _flush_folder(folder: Path) -> None:
    if sys.platform != "win32":  # there a folder can't be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
