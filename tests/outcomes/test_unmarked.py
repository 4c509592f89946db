"""Outcomes without a score, and the optional columns of a table."""

from pathlib import Path

import pytest
from recorded import row

from langchain_atlas.errors import OutcomeError
from langchain_atlas.outcomes import OPTIONAL_COLUMNS, OutcomeTable

ROWS = [row("q1", "a", 1.0), row("q2", "a", None), row("q2", "b", None), row("q3", "b", 0.0)]


class TestMarked:
    def test_unmarked_outcomes_are_counted_and_left_out(self) -> None:
        table = OutcomeTable.from_rows(ROWS)
        assert table.unmarked == 2
        assert table.marked().query_ids == ("q1", "q3")
        assert table.marked().unmarked == 0

    def test_a_marked_table_is_returned_unchanged(self) -> None:
        table = OutcomeTable.from_rows([ROWS[0], ROWS[3]])
        assert table.marked() is table

    def test_a_table_without_any_score_is_refused(self) -> None:
        with pytest.raises(OutcomeError, match=r"no outcome with a score; there is nothing to learn from.*atlas score"):
            OutcomeTable.from_rows(ROWS[1:3]).marked()


class TestOptionalColumns:
    def test_they_are_checked_where_they_are_there(self, tmp_path: Path) -> None:
        more = {
            "propensity": 0.5,
            "score_source": "human",
            "score_confidence": 1,
            "recorded_at": "2026-05-01T12:00:00Z",
            "verdict": "passed",
        }
        OutcomeTable.from_rows([ROWS[0] | more, ROWS[3]]).save(tmp_path / "t.parquet")
        table = OutcomeTable.load(tmp_path / "t.parquet")
        assert {column.name for column in OPTIONAL_COLUMNS} <= set(table.table.column_names)
        assert table.table["score_confidence"].to_pylist() == [1.0, None]

    def test_no_table_needs_them(self) -> None:
        names = OutcomeTable.from_rows(ROWS).table.column_names
        assert not {column.name for column in OPTIONAL_COLUMNS} & set(names)

    @pytest.mark.parametrize(
        ("column", "value", "wanted"),
        [
            ("propensity", 0.0, "above 0"),
            ("propensity", 1.5, "above 0 to 1"),
            ("score_confidence", -0.1, "from 0 to 1"),
            ("score_confidence", 1.1, "from 0 to 1"),
            ("recorded_at", 5, "must hold text"),
        ],
    )
    def test_what_they_refuse(self, column: str, value: object, wanted: str) -> None:
        with pytest.raises(OutcomeError, match=wanted):
            OutcomeTable.from_rows([ROWS[0] | {column: value}])
