"""A large table in parts: complete queries, any order of rows, bounded memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from asking import sums

from langchain_atlas.errors import OutcomeError
from langchain_atlas.outcomes.parts import parted, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.outcomes import OutcomeTable

TABLE = sums(count=120, domains=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write the table with its rows in another order: pair by pair, so that no query stands together."""
    order = pa.compute.sort_indices(TABLE.table, sort_keys=[("tool", "ascending"), ("model", "ascending")])
    pq.write_table(TABLE.table.take(order), tmp_path / "large.parquet", row_group_size=50)
    return tmp_path / "large.parquet"


def rows(table: OutcomeTable) -> Counter[tuple[object, ...]]:
    names = ["query_id", "query", "model", "tool", "score", "cost_usd", "latency_s"]
    return Counter(tuple(row.values()) for row in table.table.select(names).to_pylist())


def test_the_parts_have_every_outcome_once_and_all_outcomes_of_a_query_together(path: Path) -> None:
    with parted(path, rows=60) as parts:
        tables = list(parts)
        assert len(tables) > 3
        assert parts.n_outcomes == len(TABLE) == rows_of(path)
    assert sum(map(rows, tables), Counter()) == rows(TABLE)
    ids = [name for table in tables for name in table.query_ids]
    assert len(ids) == len(set(ids)) == len(TABLE.query_ids)


def test_nothing_is_left_on_the_disk(path: Path) -> None:
    with parted(path, rows=60) as parts:
        folder = parts.paths[0].parent
        assert folder.is_dir()
    assert not folder.exists()


def test_pairs_and_domains_are_chosen_and_unmarked_outcomes_left_out_and_counted(path: Path) -> None:
    pair, domain = TABLE.pairs[0], TABLE.domains[0]
    expected = rows(TABLE.select(pairs=[pair], domains=[domain]))
    table = pq.read_table(path)
    score = pa.array([None, *table["score"].to_pylist()[1:]], pa.float64())
    pq.write_table(table.set_column(table.column_names.index("score"), "score", score), path)
    with parted(path, pairs=[pair], domains=[domain], rows=60) as parts:
        found = sum(map(rows, parts), Counter())
    assert found <= expected
    assert expected.total() - found.total() == parts.unmarked <= 1
    with parted(path) as parts:
        assert (parts.unmarked, parts.n_outcomes) == (1, len(TABLE) - 1)


def test_a_missing_column_and_an_empty_choice_are_refused(path: Path) -> None:
    with pytest.raises(OutcomeError, match="Nothing with a score is left"), parted(path, domains=["nowhere"]):
        pass
    whole = pq.read_table(path)
    ids = whole["query_id"].to_pylist()
    at = whole.column_names.index("query_id")
    pq.write_table(whole.set_column(at, "query_id", pa.array([None, *ids[1:]], whole.schema.field(at).type)), path)
    with pytest.raises(OutcomeError, match="rows without a query_id"), parted(path):
        pass
    pq.write_table(whole.drop_columns(["latency_s"]), path)
    with pytest.raises(OutcomeError, match="no column 'latency_s'"), parted(path):
        pass


def test_a_file_that_is_no_parquet_has_no_rows_to_part(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_text("no table")
    assert rows_of(tmp_path / "broken.parquet") == rows_of(tmp_path / "missing.parquet") == 0
    assert rows_of(tmp_path / "rows.jsonl") == 0
