"""A table too large for memory, in parts: each has all outcomes of its queries, which are a random sample of all."""

from __future__ import annotations

import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from langchain_atlas.errors import OutcomeError
from langchain_atlas.outcomes.columns import COLUMNS
from langchain_atlas.outcomes.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.progress import Progress

NEEDED = ("query_id", "query", "context", "domain", "model", "tool", "score", "cost_usd", "latency_s")
"""The columns of the parts; the others are null in them."""

_BATCH = 65_536
_MOST_PARTS = 500
"""Parts are written at the same time, each to a file of its own."""


@dataclass(frozen=True)
class Parts:
    """The parts of a table, on disk; they are read one at a time."""

    paths: tuple[Path, ...]
    """Their files; there is at least one."""
    source: str
    """The table's name in messages."""
    n_outcomes: int
    """Number of outcomes in all parts."""
    unmarked: int
    """Number of outcomes that were left out because they have no score."""

    def __iter__(self) -> Iterator[OutcomeTable]:
        """Read the parts."""
        return map(self.read, self.paths)

    def read(self, path: Path) -> OutcomeTable:
        """Read one of the parts.

        Raises:
            OutcomeError: it violates the contract of an outcome table.
        """
        table = pq.read_table(path)
        for column in COLUMNS:
            if column.name not in NEEDED:
                table = table.append_column(column.name, pa.nulls(table.num_rows))
        return OutcomeTable(table, f"a part of {self.source}")


def rows_of(path: Path) -> int:
    """Return the number of outcomes in a parquet file without reading it; 0 if it is not one."""
    try:
        return int(pq.read_metadata(path).num_rows) if path.suffix == ".parquet" else 0
    except (OSError, pa.ArrowException):
        return 0  # whoever loads it says what is wrong


@contextmanager
def parted(
    path: Path,
    *,
    pairs: Collection[Pair] | None = None,
    domains: Collection[str] | None = None,
    rows: int = 200_000,
    progress: Progress | None = None,
) -> Iterator[Parts]:
    """Divide a parquet file by query, in bounded memory; the parts are deleted at the end.

    Args:
        path: the file; its rows may be in any order.
        pairs: the pairs to keep; None keeps all.
        domains: the domains to keep; None keeps all.
        rows: number of outcomes in a part, about.
        progress: called with the number of rows read, and of all.

    Raises:
        OutcomeError: the file lacks a column, or nothing is left of it.
    """
    with pq.ParquetFile(path) as file:
        yield from _parted(file, path, partial(_chosen, pairs=pairs, domains=domains), rows, progress)


def _parted(
    file: pq.ParquetFile, path: Path, chosen: Callable[[pa.Table], pa.Table], rows: int, progress: Progress | None
) -> Iterator[Parts]:
    missing = [name for name in NEEDED if name not in file.schema_arrow.names]
    if missing:
        raise OutcomeError(
            f"{path} has no column {missing[0]!r}. An outcome table has the columns "
            f"{', '.join(column.name for column in COLUMNS)}; one without values is all null."
        )
    total = file.metadata.num_rows
    n_parts = min(max(1, round(total / rows)), _MOST_PARTS)
    with TemporaryDirectory(prefix="outcomes-") as folder:
        paths = [Path(folder) / f"{number}.parquet" for number in range(n_parts)]
        writers: dict[int, pq.ParquetWriter] = {}
        read, kept, unmarked = 0, 0, 0
        with ExitStack() as stack:
            for batch in file.iter_batches(batch_size=_BATCH, columns=list(NEEDED)):
                if batch.column("query_id").null_count:
                    raise OutcomeError(f"{path} has rows without a query_id. Each row needs the id of its query.")
                wanted = chosen(pa.Table.from_batches([batch]))
                marked = wanted.filter(pc.is_valid(wanted["score"]))
                unmarked, kept = unmarked + len(wanted) - len(marked), kept + len(marked)
                for number, part in _divided(marked, n_parts):
                    if number not in writers:
                        writers[number] = stack.enter_context(pq.ParquetWriter(paths[number], part.schema))
                    writers[number].write_table(part)
                read += len(batch)
                if progress is not None:
                    progress(read, total)
        if not writers:
            raise OutcomeError(f"Nothing with a score is left of {path} after selecting pairs and domains.")
        yield Parts(tuple(paths[number] for number in sorted(writers)), str(path), kept, unmarked)


def _chosen(table: pa.Table, *, pairs: Collection[Pair] | None, domains: Collection[str] | None) -> pa.Table:
    if domains is not None:
        wanted = pa.array(sorted(domains)).cast(table.schema.field("domain").type)
        table = table.filter(pc.is_in(table["domain"], value_set=wanted))
    if pairs is not None:
        sides = (table[part].cast(pa.large_string()) for part in ("model", "tool"))
        named = pc.binary_join_element_wise(*sides, pa.scalar("@@", pa.large_string()))
        table = table.filter(pc.is_in(named, value_set=pa.array([*map(str, pairs)], pa.large_string())))
    return table


def _divided(table: pa.Table, n_parts: int) -> Iterator[tuple[int, pa.Table]]:
    """Divide rows by a hash of their queries' ids."""
    ids = table["query_id"].combine_chunks().dictionary_encode()
    hashes = [zlib.crc32(str(name).encode("utf-8", "replace")) % n_parts for name in ids.dictionary.to_pylist()]
    part = np.array(hashes, dtype=np.int64)[ids.indices.to_numpy(zero_copy_only=False)] if hashes else np.empty(0)
    order = np.argsort(part, kind="stable")
    ends = np.searchsorted(part[order], np.arange(n_parts + 1))
    ordered = table.take(pa.array(order))
    for number, (start, stop) in enumerate(pairwise(ends.tolist())):
        if stop > start:
            yield number, ordered.slice(start, stop - start)
