"""The outcome table: one row for every recorded run of a pair on a query."""

from __future__ import annotations

import json
import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from langchain_atlas.errors import OutcomeError, PoolError, suggest
from langchain_atlas.files import atomic_path
from langchain_atlas.outcomes.columns import COLUMNS, OPTIONAL_COLUMNS, checked, read_jsonl, table_of
from langchain_atlas.pool.pairs import as_pair, as_pairs
from langchain_atlas.pool.pool import Pair
from langchain_atlas.text_files import why
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["COLUMNS", "OPTIONAL_COLUMNS", "OutcomeTable"]

_LOG = logging.getLogger(__name__)
_NAMED = 3


class OutcomeTable:
    """Recorded outcomes, checked at construction. Immutable: every change returns a new table.

    Queries and pairs are numbered in order of first appearance; arrays over queries or pairs follow that order.

    Args:
        table: an Arrow table with the columns of `COLUMNS`; other columns are kept.
        source: the table's name in messages, usually the file.

    Raises:
        OutcomeError: the table violates the contract; the message names column, row and source.
    """

    def __init__(self, table: pa.Table, source: str = "the outcome table") -> None:
        self.table: pa.Table = checked(table, source)
        self.source = source
        self._check_queries()

    @classmethod
    def load(cls, path: str | Path) -> OutcomeTable:
        """Read a parquet or JSONL file, by its file extension, or a store, by its address (``sqlite:///atlas.db``).

        Raises:
            OutcomeError: the file or the store is missing, unreadable, or violates the contract.
        """
        if isinstance(path, str) and "://" in path:
            from langchain_atlas.outcomes.store.loading import load_outcomes

            return load_outcomes(path)
        path = Path(path)
        if (path / "config.json").is_file():
            raise OutcomeError(f"{str(path)!r} is a saved router, it seems; an outcome table is a file.")
        if path.is_dir():
            raise OutcomeError(f"{str(path)!r} is a folder; an outcome table is a file.")
        if path.suffix not in (".parquet", ".jsonl"):
            raise OutcomeError(f"{str(path)!r} is neither '.parquet' nor '.jsonl'; outcome tables are one of these.")
        if not path.is_file():
            raise OutcomeError(f"There is no file {str(path)!r}; 'langchain-atlas profile' writes outcome tables.")
        try:
            table = pq.read_table(path) if path.suffix == ".parquet" else read_jsonl(path)
        except (OSError, UnicodeError, pa.ArrowException) as error:
            raise OutcomeError(f"Can't read the outcome table {str(path)!r}: {why(error)}") from error
        loaded = cls(table, str(path))
        loaded._tell_of_repeats()
        return loaded

    @classmethod
    def from_rows(cls, rows: Sequence[dict[str, Any]], source: str = "the rows") -> OutcomeTable:
        """Make a table of dicts, one per row; columns that no row has are null, except the required ones.

        Raises:
            OutcomeError: a row violates the contract.
        """
        table = table_of(rows, source)
        for column in COLUMNS:
            if column.name not in table.column_names and not column.required:
                table = table.append_column(column.name, pa.nulls(table.num_rows))
        return cls(table, source)

    def save(self, path: str | Path) -> None:
        """Write a parquet or JSONL file, by its file extension, atomically.

        Raises:
            OutcomeError: the file extension is neither.
            WritingError: it can't be written, for example because the disk is full.
        """
        path = Path(path)
        if path.suffix not in (".parquet", ".jsonl"):
            raise OutcomeError(f"{str(path)!r} must end in '.parquet' or '.jsonl'.")
        with atomic_path(path) as temporary:
            if path.suffix == ".parquet":
                pq.write_table(self.table, temporary, compression="zstd")
            else:
                lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in self.table.to_pylist())
                temporary.write_text("".join(lines), encoding="utf-8")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        return f"OutcomeTable({len(self)} outcomes, {len(self.query_ids)} queries, {len(self.pairs)} pairs)"

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs that were run, in order of first appearance."""
        return self._pair_index[0]

    @cached_property
    def query_ids(self) -> tuple[str, ...]:
        """Ids of the queries, in order of first appearance."""
        return tuple(self._query_index[0])

    @cached_property
    def queries(self) -> tuple[Query, ...]:
        """The queries themselves, shape [n_queries]."""
        columns = zip(self.query_ids, self._per_query("query"), self._per_query("context"), strict=True)
        return tuple(Query(id=name, text=text, context=context) for name, text, context in columns)

    @cached_property
    def repeats(self) -> dict[tuple[str, Pair], int]:
        """Number of rows of each query and pair that has more than one, in order of first appearance.

        They may be separate runs, which are averaged, or one run recorded twice, which then counts double.
        """
        cells = self._query_index[1] * len(self.pairs) + self._pair_index[1]
        found, first, counts = np.unique(cells, return_index=True, return_counts=True)
        order = [place for place in np.argsort(first) if counts[place] > 1]
        named = ((divmod(int(found[place]), len(self.pairs)), int(counts[place])) for place in order)
        return {(self.query_ids[query], self.pairs[pair]): count for (query, pair), count in named}

    def _tell_of_repeats(self) -> None:
        if repeats := self.repeats:
            named = [f"query {name!r} by {pair} ({count})" for (name, pair), count in list(repeats.items())[:_NAMED]]
            more = [f"{len(repeats) - _NAMED} more"] if len(repeats) > _NAMED else []
            _LOG.warning(
                "%s: %d of %d rows repeat the outcome of a query and a pair: %s. Numbers of repeated runs are "
                "averaged, of texts the last counts; drop rows that are one run recorded twice.",
                self.source,
                sum(repeats.values()) - len(repeats),
                len(self),
                ", ".join([*named, *more]),
            )

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """Domain of each query, shape [n_queries]."""
        return tuple(self._per_query("domain"))

    def matrix(self, column: str = "score", pairs: Sequence[Pair | str] | None = None) -> NDArray[np.float64]:
        """Arrange a numeric column as queries by pairs.

        Args:
            column: name of a numeric column.
            pairs: the pairs, in this order; all by default.

        Returns:
            Shape [n_queries, n_pairs]; NaN where nothing is recorded. Repeated runs are averaged.

        Raises:
            OutcomeError: the numeric column does not exist.
            PoolError: a pair has no outcomes here.
        """
        if column not in self.table.column_names:
            raise OutcomeError(f"{self.source} has no column {column!r}. {suggest(column, self.table.column_names)}")
        kind = self.table[column].type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
            raise OutcomeError(f"{self.source}: column {column!r} holds no numbers ({kind}).")
        values = self.table[column].to_numpy().astype(np.float64)
        shape = (len(self.query_ids), len(self.pairs))
        cells = self._query_index[1] * shape[1] + self._pair_index[1]
        known = ~np.isnan(values)
        size = shape[0] * shape[1]
        total = np.bincount(cells[known], weights=values[known], minlength=size)
        count = np.bincount(cells[known], minlength=size)
        with np.errstate(invalid="ignore"):
            full: NDArray[np.float64] = (total / count).reshape(shape)
        return full if pairs is None else full[:, [self.pair_number(pair) for pair in as_pairs(pairs)]]

    def texts(self, column: str) -> list[list[str | None]]:
        """Arrange a text column as queries by pairs; None where nothing is recorded, the last one of repeated runs.

        Raises:
            OutcomeError: the column does not exist.
        """
        if column not in self.table.column_names:
            raise OutcomeError(f"{self.source} has no column {column!r}. {suggest(column, self.table.column_names)}")
        grid: list[list[str | None]] = [[None] * len(self.pairs) for _ in self.query_ids]
        rows = zip(self._query_index[1], self._pair_index[1], self.table[column].to_pylist(), strict=True)
        for query, pair, value in rows:
            grid[query][pair] = value
        return grid

    @cached_property
    def verdicts(self) -> NDArray[np.int8] | None:
        """Verdicts of a verifier on the answers, from the column ``verdict``.

        Shape [n_queries, n_pairs]: 1 passed, 0 failed, -1 unknown. None if the table has no verdict.

        Raises:
            OutcomeError: a verdict is neither ``passed`` nor ``failed``.
        """
        if "verdict" not in self.table.column_names:
            return None
        found = self.texts("verdict")
        unknown = [word for row in found for word in row if word not in (None, "", "unknown", "passed", "failed")]
        if unknown:
            raise OutcomeError(f"{self.source}: a verdict is {unknown[0]!r}; it must be 'passed', 'failed' or empty.")
        numbers = {"passed": 1, "failed": 0}
        array = np.array([[numbers.get(word or "", -1) for word in row] for row in found], dtype=np.int8)
        return array if (array >= 0).any() else None

    def pair_number(self, pair: Pair | str) -> int:
        """Return the index of a pair in `pairs`.

        Raises:
            PoolError: the table has no outcomes of it.
        """
        try:
            return self._pair_numbers[as_pair(pair)]
        except KeyError:
            names = [str(known) for known in self.pairs]
            raise PoolError(
                f"Unknown pair {str(pair)!r}: {self.source} has no outcome of it. {suggest(str(pair), names)}"
            ) from None

    def select(
        self,
        *,
        pairs: Iterable[Pair | str] | None = None,
        domains: Iterable[str] | None = None,
        query_ids: Iterable[str] | None = None,
    ) -> OutcomeTable:
        """Return the rows of some pairs, domains or queries; an omitted argument does not restrict.

        Raises:
            PoolError: a pair has no outcomes here.
            OutcomeError: a domain or query does not occur here, or no row is left.
        """
        keep = np.ones(len(self), dtype=bool)
        if pairs is not None:
            keep &= np.isin(self._pair_index[1], [self.pair_number(pair) for pair in as_pairs(pairs)])
        for column, wanted in (("domain", domains), ("query_id", query_ids)):
            if wanted is None:
                continue
            names = set(wanted)
            unknown = sorted(names - set(pc.unique(self.table[column]).to_pylist()))
            if unknown:
                valid = sorted(pc.unique(self.table[column]).to_pylist())
                raise OutcomeError(f"Unknown {column} {unknown[0]!r} in {self.source}. {suggest(unknown[0], valid)}")
            keep &= pc.is_in(self.table[column], value_set=pa.array(sorted(names), pa.large_string())).to_numpy()
        if not keep.any():
            raise OutcomeError(f"Nothing is left of {self.source} after selecting pairs, domains and queries.")
        return self._of(self.table.filter(pa.array(keep)))

    @property
    def unmarked(self) -> int:
        """Number of outcomes without a score: answered, but not marked yet."""
        return int(self.table["score"].null_count)

    def marked(self) -> OutcomeTable:
        """Return the outcomes that have a score; nothing can be learned or measured of the others.

        Raises:
            OutcomeError: no outcome has a score.
        """
        if not self.unmarked:
            return self
        if self.unmarked == len(self):
            raise OutcomeError(
                f"{self.source} has no outcome with a score; there is nothing to learn from. Mark the answers first: "
                f"langchain-atlas score {self.source} --out scored.parquet"
            )
        return self._of(self.table.filter(pc.is_valid(self.table["score"])))

    def joined(self, other: OutcomeTable) -> OutcomeTable:
        """Return the rows of both tables; extra columns that one lacks are null there.

        Raises:
            OutcomeError: the tables disagree on the text of a query, or on the type of an extra column.
        """
        try:
            table = pa.concat_tables([self.table, other.table], promote_options="permissive")
        except pa.ArrowException as error:
            raise OutcomeError(f"{self.source} and {other.source} can't be joined: {error}.") from error
        both = OutcomeTable(table, f"{self.source} with {other.source}")
        both._tell_of_repeats()
        return both

    def added(self, other: OutcomeTable) -> OutcomeTable:
        """Return the rows of both tables, except those of the other one that are here already.

        A row is here already if all columns of `COLUMNS` but the score agree: it may have been marked meanwhile.

        Raises:
            OutcomeError: as for `joined`.
        """
        names = [column.name for column in COLUMNS if column.name != "score"]
        here = {tuple(row.values()) for row in self.table.select(names).to_pylist()}
        fresh = [tuple(row.values()) not in here for row in other.table.select(names).to_pylist()]
        if not any(fresh):
            return self
        return self.joined(other._of(other.table.filter(pa.array(fresh))))

    def _of(self, table: pa.Table) -> OutcomeTable:
        part = object.__new__(OutcomeTable)  # rows of a checked table need no second check
        part.table, part.source = table, self.source
        return part

    @cached_property
    def _query_index(self) -> tuple[list[str], NDArray[np.int64]]:
        return _encoded(self.table["query_id"])

    @cached_property
    def _pair_index(self) -> tuple[tuple[Pair, ...], NDArray[np.int64]]:
        models, model_codes = _encoded(self.table["model"])
        tools, tool_codes = _encoded(self.table["tool"])
        joint = model_codes * len(tools) + tool_codes
        unique, first, codes = np.unique(joint, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        pairs: list[Pair] = []
        for code, row in zip(unique[order], first[order], strict=True):
            try:
                pairs.append(Pair(models[code // len(tools)], tools[code % len(tools)]))
            except PoolError as error:
                raise OutcomeError(f"{self.source}, row {row + 1}: {error}") from error
        return tuple(pairs), rank[codes]

    @cached_property
    def _pair_numbers(self) -> dict[Pair, int]:
        return {pair: number for number, pair in enumerate(self.pairs)}

    @cached_property
    def _first_rows(self) -> NDArray[np.int64]:
        codes = self._query_index[1]
        rows = np.empty(len(self._query_index[0]), dtype=np.int64)
        rows[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
        return rows

    def _per_query(self, column: str) -> list[Any]:
        values: list[Any] = self.table[column].take(pa.array(self._first_rows)).to_pylist()
        return values

    def _check_queries(self) -> None:
        for column in ("query", "context"):
            first = self.table[column].take(pa.array(self._first_rows[self._query_index[1]]))
            same = pc.equal(pc.fill_null(first, ""), pc.fill_null(self.table[column], ""))
            if not pc.all(same).as_py():
                row = int(np.flatnonzero(~same.to_numpy())[0])
                raise OutcomeError(
                    f"{self.source}, row {row + 1}: query_id {self.table['query_id'][row].as_py()!r} has "
                    f"another {column} than in an earlier row; one id is one query."
                )
        self._pair_index  # noqa: B018  # names that can't form a pair are refused here, not at first use


def _encoded(column: pa.ChunkedArray) -> tuple[list[Any], NDArray[np.int64]]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)
