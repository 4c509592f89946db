"""Files of logs, entry by entry: CSV, JSONL, JSON and parquet, also compressed with gzip. Pickles are refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from langchain_atlas.errors import OutcomeError
from langchain_atlas.outcomes.importers.base import Ledger, shown
from langchain_atlas.text_files import decoded, why

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PICKLES = frozenset({".pkl", ".pickle", ".pk", ".joblib", ".pt", ".pth", ".npy", ".npz", ".dill"})
_PICKLE = re.compile(rb"\x80[\x01-\x05]|\(dp\d|\(lp\d|\]\x94|c[\w.]+\n[\w.]+\n|\(i[\w.]+\n")
_LINES = frozenset({".jsonl", ".ndjson"})
_TABLES = {".csv": None, ".tsv": "\t"}
_KNOWN = _LINES | set(_TABLES) | {".json", ".parquet"}
_MOST_BYTES = 4 << 30
_LONGEST_CELL = (1 << 31) - 1
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Entry:
    """One row, line or item of a file."""

    place: str
    """File and line, item or row, counted from 1."""
    value: Any
    """A mapping of columns for rows; any JSON for items."""
    has_decimal_commas: bool = False
    """Whether a comma in a number is a decimal one, as in files whose cells are parted by semicolons."""


def files_of(source: str | Path, ledger: Ledger, suffixes: Sequence[str] = ()) -> list[Path]:
    """Return the files of a source: the file itself, or those in a folder and its folders that can be read.

    Args:
        source: a file or a folder.
        ledger: notes the files of a folder that are not read.
        suffixes: endings of further files that the importer reads itself.

    Raises:
        OutcomeError: there is nothing at that place, or it is a pickle.
    """
    path = Path(source)
    if path.is_file():
        if reason := pickle_reason(path):
            raise OutcomeError(f"{path} {reason}")
        return [path]
    if not path.is_dir():
        raise OutcomeError(f"There is no file or folder {str(source)!r} to import.")
    found = []
    for inner in sorted(path.rglob("*")):
        if not inner.is_file() or any(part.startswith(".") for part in inner.relative_to(path).parts):
            continue
        if reason := pickle_reason(inner):
            ledger.reject(str(inner), reason)
        elif _suffix(inner) in _KNOWN or inner.suffix in suffixes:
            found.append(inner)
        else:
            ledger.reject(str(inner), f"is not read: it ends in {inner.suffix!r}, which is no log of this kind.")
    if not found:
        raise OutcomeError(
            f"The folder {str(source)!r} has no file that can be imported ({', '.join(sorted(_KNOWN))})."
        )
    return found


def pickle_reason(path: Path) -> str | None:
    """Return why a file is refused, if it is a pickle: by its ending, or by its first bytes."""
    with path.open("rb") as file:
        start = file.read(256)
    if start.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as file:
                start = file.read(256)
        except (OSError, EOFError):
            start = b""
    if not _PICKLES.intersection(suffix.lower() for suffix in path.suffixes) and not _PICKLE.match(start):
        return None
    return (
        "is a pickle, which may run any program when it is read, so it is refused. Convert it where you trust it: "
        "pandas.read_pickle(FILE).to_parquet('outcomes.parquet')"
    )


def entries(path: Path, ledger: Ledger, lists: Sequence[str] = ("data",)) -> Iterator[Entry]:
    """Yield the entries of a file, and note in the ledger what is broken.

    Args:
        path: the file.
        ledger: notes broken lines and rows.
        lists: names under which a JSON file may hold its items, if it is an object.

    Raises:
        OutcomeError: the file can't be read at all.
    """
    suffix = _suffix(path)
    if _starts(path, b"PK\x03\x04"):
        raise OutcomeError(f"{path} is an archive or a workbook. Unpack it, or save the sheet as CSV.")
    try:
        if suffix == ".parquet":
            yield from _parquet(path)
            return
        text = decoded(_bytes(path))
    except (OSError, UnicodeError, EOFError, pa.ArrowException) as error:
        raise OutcomeError(f"Can't read {str(path)!r}: {why(error)}.") from error
    if suffix in _TABLES:
        yield from _csv(path, text, _TABLES[suffix], ledger)
    elif suffix in _LINES or not text.lstrip().startswith(("[", "{")):
        yield from _lines(path, text, ledger)
    else:
        yield from _json(path, text, lists, ledger)


def _starts(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _suffix(path: Path) -> str:
    return (Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix).lower()


def _bytes(path: Path) -> bytes:
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    with gzip.open(path) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OutcomeError(f"{path} holds more than {_MOST_BYTES >> 30} GiB when unpacked; split it.")
    return data


def _parquet(path: Path) -> Iterator[Entry]:
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield Entry(f"{path}, row {number}", row)


def _lines(path: Path, text: str, ledger: Ledger) -> Iterator[Entry]:
    # Not splitlines: texts may contain U+2028 and other characters that it treats as line ends.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            yield Entry(place, json.loads(line))
        except (ValueError, RecursionError) as error:
            ledger.read += 1
            ledger.reject(place, f"is not JSON: {error}")


def _json(path: Path, text: str, lists: Sequence[str], ledger: Ledger) -> Iterator[Entry]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if _is_json(text.lstrip().partition("\n")[0]):  # JSONL in a file that ends in .json
            yield from _lines(path, text, ledger)
            return
        if (several := _documents(text)) is not None:
            for number, item in enumerate(several, start=1):
                yield Entry(f"{path}, item {number}", item)
            return
        raise OutcomeError(f"{path} is not JSON: {error}.") from error
    if isinstance(value, dict):
        value = next((value[name] for name in lists if isinstance(value.get(name), list)), [value])
    for number, item in enumerate(value, start=1):
        yield Entry(f"{path}, item {number}", item)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _documents(text: str) -> list[Any] | None:
    """Return JSON documents that follow one another, as console exporters print them; None if one is broken."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while (start := re.compile(r"\s*").match(text, place)) and start.end() < len(text):
        try:
            item, place = decoder.raw_decode(text, start.end())
        except (ValueError, RecursionError):
            return None
        found.append(item)
    return found


def _csv(path: Path, text: str, delimiter: str | None, ledger: Ledger) -> Iterator[Entry]:
    header_line = next((line for line in text.split("\n") if line.strip()), "")
    if delimiter is None:
        delimiter = max(_DELIMITERS, key=header_line.count)
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = rows.line_num + 1
        place = f"{path}, line {line}"
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            ledger.read += 1
            lost = f"; a quote may not be closed, and lines {line} to {rows.line_num} are not read"
            ledger.reject(place, f"is not CSV: {error}{lost if rows.line_num > line else ''}")
            continue
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = _header(path, row)
            continue
        if len(row) != len(header):
            ledger.read += 1
            ends = f"; it goes on to line {rows.line_num}, so a quote may not be closed" if rows.line_num > line else ""
            ledger.reject(
                place,
                f"has {len(row)} cells where the header has {len(header)}{ends}; it begins with {shown(row[0][:60])}",
            )
            continue
        yield Entry(place, dict(zip(header, row, strict=True)), has_decimal_commas=delimiter == ";")


def _header(path: Path, row: Sequence[str]) -> list[str]:
    names = [name.strip() for name in row]
    doubled = [name for name in names if names.count(name) > 1 and name]
    if doubled:
        raise OutcomeError(f"{path} has two columns {doubled[0]!r}; names of columns must differ.")
    return [name or f"column {number}" for number, name in enumerate(names, start=1)]
