"""The outcome table: what it refuses and how it says so, what it keeps, and what it lays out."""

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import row, table_of

from langchain_atlas.errors import OutcomeError, PoolError, WritingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.outcomes.columns import COLUMNS, read_jsonl
from langchain_atlas.pool.pool import Pair

A, B = Pair("a"), Pair("b", "python")

GOOD = [row("q1", "a", 1.0, 0.001), row("q1", "b@@python", 0.0, 0.002), row("q2", "a", 0.5, None)]


def arrow(rows: list[dict[str, Any]] = GOOD, **columns: pa.Array) -> pa.Table:
    """Make an Arrow table of rows, with some columns put in place of what they hold."""
    table = OutcomeTable.from_rows(rows).table
    for name, values in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(at, name, values) if values is not None else table.remove_column(at)
    return table


def changed(number: int, **values: Any) -> list[dict[str, Any]]:
    """Return good rows, one of them (counted from 1) with other values."""
    return [{**found, **values} if at == number else found for at, found in enumerate(GOOD, start=1)]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(found) + "\n" for found in rows), encoding="utf-8")
    return path


class TestRefusals:
    @pytest.mark.parametrize("column", [column.name for column in COLUMNS])
    def test_a_missing_column(self, tmp_path: Path, column: str) -> None:
        path = tmp_path / "t.parquet"
        pq.write_table(arrow(**{column: None}), path)
        with pytest.raises(OutcomeError, match=rf"t\.parquet has no column '{column}'\. An outcome table has"):
            OutcomeTable.load(path)

    def test_all_missing_columns_are_named(self) -> None:
        with pytest.raises(OutcomeError, match=r"has no column 'tool' \(and no 'score'\)"):
            OutcomeTable(arrow(tool=None, score=None))

    @pytest.mark.parametrize("column", ["query_id", "query", "domain", "model", "tool"])
    def test_a_null_where_every_row_needs_a_value(self, tmp_path: Path, column: str) -> None:
        path = write_lines(tmp_path / "t.jsonl", changed(2, **{column: None}))
        with pytest.raises(OutcomeError, match=rf"t\.jsonl.* row 2: column '{column}' is empty"):
            OutcomeTable.from_rows(changed(2, **{column: None}), str(path))

    @pytest.mark.parametrize(
        ("column", "values", "row_number", "wanted"),
        [
            ("query", pa.array([1, 2, 3]), 1, "text"),
            ("model", pa.array([None, True, True]), 2, "text"),
            ("score", pa.array(["1", "0", "1"]), 1, "numbers"),
            ("score", pa.array([True, False, True]), 1, "numbers"),
            ("score", pa.array([None, None, [1.0]]), 3, "numbers"),
            ("cost_usd", pa.array([None, "free", None]), 2, "numbers"),
            ("input_tokens", pa.array([1.0, 2.0, 2.5]), 3, "whole numbers"),
            ("input_tokens", pa.array([1.0, float("nan"), 2.0]), 2, "whole numbers"),
            ("input_tokens", pa.array([1.0, 1e300, 2.0]), 2, "whole numbers"),
            ("input_tokens", pa.array([1, 2, 2**64 - 1], pa.uint64()), 3, "whole numbers"),
            ("input_tokens", pa.array([None, "5", None]), 2, "whole numbers"),
            ("tokens_estimated", pa.array([0, 1, 0]), 1, "true or false"),
        ],
    )
    def test_a_mistyped_column(
        self, tmp_path: Path, column: str, values: pa.Array, row_number: int, wanted: str
    ) -> None:
        path = tmp_path / "t.parquet"
        pq.write_table(arrow(**{column: values}), path)
        with pytest.raises(OutcomeError, match=rf"t\.parquet, row {row_number}: column '{column}' holds .* {wanted}"):
            OutcomeTable.load(path)

    @pytest.mark.parametrize(
        ("column", "value", "wanted"),
        [
            ("score", 1.01, "from 0 to 1"),
            ("score", -0.01, "from 0 to 1"),
            ("score", 7, "from 0 to 1"),
            ("score", math.nan, "a finite number"),
            ("score", math.inf, "a finite number"),
            ("cost_usd", -1e-9, "at least 0"),
            ("cost_usd", math.inf, "a finite number"),
            ("cost_usd", math.nan, "a finite number"),
            ("latency_s", -1, "at least 0"),
            ("input_tokens", -1, "at least 0"),
            ("output_tokens", -1, "at least 0"),
        ],
    )
    def test_a_value_out_of_range(self, tmp_path: Path, column: str, value: float, wanted: str) -> None:
        path = write_lines(tmp_path / "t.jsonl", changed(3, **{column: value}))
        with pytest.raises(OutcomeError, match=rf"row 3: column '{column}' is .*; it must be {wanted}"):
            OutcomeTable.from_rows(changed(3, **{column: value}), str(path))

    def test_no_rows(self, tmp_path: Path) -> None:
        pq.write_table(arrow().slice(0, 0), tmp_path / "t.parquet")
        (tmp_path / "t.jsonl").write_text("\n \n")
        for name in ("t.parquet", "t.jsonl"):
            with pytest.raises(OutcomeError, match=f"{name} has no rows"):
                OutcomeTable.load(tmp_path / name)

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and then nothing sensible PAR1", b"\x00" * 100])
    def test_a_corrupt_parquet_file(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "t.parquet"
        path.write_bytes(content)
        with pytest.raises(OutcomeError, match=r"Can't read the outcome table '.*t\.parquet'"):
            OutcomeTable.load(path)

    def test_a_parquet_file_cut_short(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        OutcomeTable.from_rows(GOOD).save(path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(OutcomeError, match="Can't read the outcome table"):
            OutcomeTable.load(path)

    @pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
    def test_no_file(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutcomeError, match=rf"There is no file '.*{name}'"):
            OutcomeTable.load(tmp_path / name)

    @pytest.mark.parametrize("name", ["t.csv", "t", "t.parquet.gz"])
    def test_another_ending(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutcomeError, match=r"is neither '\.parquet' nor '\.jsonl'"):
            OutcomeTable.load(tmp_path / name)
        with pytest.raises(OutcomeError, match=r"must end in '\.parquet' or '\.jsonl'"):
            OutcomeTable.from_rows(GOOD).save(tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{not json", "line 2 is not JSON"),
            ('{"a": 1} x', "line 2 is not JSON"),
            ("[1, 2]", r"line 2 is '\[1, 2\]'; it must be a JSON object"),
            ("null", "line 2 is 'null'; it must be a JSON object"),
            ('{"score": "1"}', "line 2: column 'score' holds '1', but it must hold numbers"),
            ('{"score": true}', "line 2: column 'score' holds True, but it must hold numbers"),
            ('{"query": 5}', "line 2: column 'query' holds 5, but it must hold text"),
            ('{"tool": ["x"]}', r"line 2: column 'tool' holds \['x'\], but it must hold text"),
            ('{"input_tokens": 1.5}', "line 2: column 'input_tokens' holds 1.5, but it must hold whole numbers"),
            ('{"tokens_estimated": 1}', "line 2: column 'tokens_estimated' holds 1, but it must hold true or false"),
            ('{"input_tokens": ' + "9" * 30 + "}", "line 2: column 'input_tokens' holds values that do not fit"),
            ('{"cost_usd": ' + "9" * 400 + "}", "line 2: column 'cost_usd' holds values that do not fit"),
            ('{"cost_usd": ' + "9" * 5000 + "}", "line 2 is not JSON"),
            ('{"query": "\\ud800"}', "line 2: column 'query' holds values that do not fit"),
            ('{"extra": ' + "9" * 30 + "}", "column 'extra' holds values that do not fit"),
            ("[" * 100_000, "line 2 is not JSON"),
        ],
    )
    def test_a_line_that_is_no_outcome(self, tmp_path: Path, line: str, message: str) -> None:
        path = tmp_path / "t.jsonl"
        path.write_text(json.dumps(GOOD[0]) + "\n" + line + "\n", encoding="utf-8")
        with pytest.raises(OutcomeError, match=message) as caught:
            OutcomeTable.load(path)
        assert str(path) in str(caught.value)

    def test_lines_are_counted_with_the_empty_ones(self, tmp_path: Path) -> None:
        path = tmp_path / "t.jsonl"
        path.write_text(json.dumps(GOOD[0]) + "\n\n\n{\n", encoding="utf-8")
        with pytest.raises(OutcomeError, match="line 4 is not JSON"):
            OutcomeTable.load(path)

    def test_jsonl_in_another_encoding(self, tmp_path: Path) -> None:
        path = tmp_path / "t.jsonl"
        path.write_bytes(b'{"query": "\xff"}\n')
        with pytest.raises(OutcomeError, match=r"Can't read the outcome table '.*t\.jsonl'"):
            OutcomeTable.load(path)

    @pytest.mark.parametrize("column", ["query", "context"])
    def test_one_id_for_two_queries(self, column: str) -> None:
        rows = changed(2, **{column: "another"})
        with pytest.raises(OutcomeError, match=rf"the rows, row 2: query_id 'q1' has another {column} than"):
            OutcomeTable.from_rows(rows)

    @pytest.mark.parametrize(("column", "value"), [("model", ""), ("model", "a@@b"), ("tool", "x\ny")])
    def test_a_name_that_cannot_be_in_a_pair(self, column: str, value: str) -> None:
        with pytest.raises(OutcomeError, match=rf"the rows, row 3: .* can't name a {column}"):
            OutcomeTable.from_rows(changed(3, **{column: value}))

    def test_a_column_that_stands_twice(self) -> None:
        table = arrow()
        with pytest.raises(OutcomeError, match="has two columns 'score'"):
            OutcomeTable(table.append_column("score", table["score"]))


class TestAccepted:
    def test_extra_columns_are_kept_behind_the_others(self, tmp_path: Path) -> None:
        rows = [{**found, "seed": number, "tags": ["x"] * number} for number, found in enumerate(GOOD)]
        for name in ("t.parquet", "t.jsonl"):
            OutcomeTable.from_rows(rows).save(tmp_path / name)
            table = OutcomeTable.load(tmp_path / name).table
            assert table.column_names == [*(column.name for column in COLUMNS), "seed", "tags"]
            assert table["seed"].to_pylist() == [0, 1, 2]
            assert table["tags"].to_pylist() == [[], ["x"], ["x", "x"]]

    @pytest.mark.parametrize("column", [column for column in COLUMNS if not column.required], ids=lambda it: it.name)
    def test_a_column_may_be_of_null_type(self, tmp_path: Path, column: Any) -> None:
        path = tmp_path / "t.parquet"
        pq.write_table(arrow(**{column.name: pa.nulls(3)}), path)
        table = OutcomeTable.load(path).table
        assert table[column.name].to_pylist() == ([""] * 3 if column.name == "error" else [None] * 3)
        assert table[column.name].type == OutcomeTable.from_rows(GOOD).table[column.name].type

    @pytest.mark.parametrize(
        ("column", "values", "kept"),
        [
            ("score", pa.array([0, 1, None], pa.int8()), [0.0, 1.0, None]),
            ("score", pa.array([0, 1, None], pa.float32()), [0.0, 1.0, None]),
            ("input_tokens", pa.array([3.0, None, 5.0]), [3, None, 5]),
            ("input_tokens", pa.array([3, None, 5], pa.float16()), [3, None, 5]),
            ("input_tokens", pa.array([3, None, 2**63 - 1], pa.uint64()), [3, None, 2**63 - 1]),
            ("domain", pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
            ("domain", pa.array(["x", "y", "x"], pa.string_view()), ["x", "y", "x"]),
            ("domain", pa.chunked_array([["x"], ["y", "x"]]), ["x", "y", "x"]),
        ],
    )
    def test_types_that_say_the_same(self, column: str, values: pa.Array, kept: list[Any]) -> None:
        assert OutcomeTable(arrow(**{column: values})).table[column].to_pylist() == kept

    def test_rows_may_leave_out_what_is_unknown(self) -> None:
        table = OutcomeTable.from_rows(
            [{"query_id": "q", "query": "Why?", "domain": "d", "model": "a", "tool": "none"}]
        )
        assert table.table["cost_usd"].to_pylist() == [None]
        assert math.isnan(table.matrix("score")[0, 0])

    def test_an_unknown_cost_is_not_0(self) -> None:
        assert math.isnan(OutcomeTable.from_rows(GOOD).matrix("cost_usd")[1, 0])

    @pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r", "\t", '"', "\\"])
    def test_texts_may_hold_characters_that_elsewhere_end_a_line(self, tmp_path: Path, mark: str) -> None:
        text = f"one{mark}two"
        OutcomeTable.from_rows([row("q", "a", 1.0, query=text)]).save(tmp_path / "t.jsonl")
        assert OutcomeTable.load(tmp_path / "t.jsonl").queries[0].text == text

    def test_windows_line_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "t.jsonl"
        path.write_bytes(b"\r\n".join(json.dumps(found).encode() for found in GOOD for found in [{**blank(), **found}]))
        assert len(OutcomeTable.load(path)) == 3


def blank() -> dict[str, None]:
    return {column.name: None for column in COLUMNS}


class TestLayout:
    def test_queries_and_pairs_come_in_order_of_first_appearance(self) -> None:
        table = table_of(
            row("q2", "b@@python", 1.0, domain="x", query="two", context="on offer"),
            row("q1", "a", 1.0, domain="y", query="one"),
            row("q2", "a", 1.0, domain="x", query="two", context="on offer"),
            row("q1", "b", 1.0, domain="y", query="one"),
        )
        assert table.pairs == (B, A, Pair("b"))
        assert table.query_ids == ("q2", "q1")
        assert table.domains == ("x", "y")
        assert [(query.id, query.text, query.context) for query in table.queries] == [
            ("q2", "two", "on offer"),
            ("q1", "one", None),
        ]
        assert (len(table), repr(table)) == (4, "OutcomeTable(4 outcomes, 2 queries, 3 pairs)")

    def test_the_matrix_by_hand(self) -> None:
        table = table_of(
            row("q1", "a", 1.0),
            row("q1", "b@@python", 0.0),
            row("q2", "b@@python", 0.25),
            row("q1", "a", 0.0),  # q1 with a was run three times: (1 + 0 + 0.5) / 3 = 0.5
            row("q1", "a", 0.5),
            row("q3", "a", None),  # run, but not scored
            row("q2", "b@@python", None),  # a run without a score does not count: 0.25 stays
        )
        expected = np.array([[0.5, 0.0], [np.nan, 0.25], [np.nan, np.nan]])
        np.testing.assert_array_equal(table.matrix(), expected)

    def test_columns_of_the_matrix_follow_the_asked_pairs(self) -> None:
        table = table_of(row("q1", "a", 1.0, 0.5), row("q1", "b@@python", 0.0, 0.25))
        np.testing.assert_array_equal(table.matrix("cost_usd", [B, A]), [[0.25, 0.5]])
        with pytest.raises(PoolError, match="Unknown pair 'c@@none': the rows has no outcome of it"):
            table.matrix("score", [Pair("c")])

    def test_an_extra_number_column_can_be_laid_out(self) -> None:
        table = table_of(row("q1", "a", 1.0, seed=3), row("q1", "b@@python", 1.0, seed=None))
        np.testing.assert_array_equal(table.matrix("seed"), [[3, np.nan]])

    def test_only_number_columns_make_a_matrix(self) -> None:
        table = table_of(row("q1", "a", 1.0, response="12"))
        with pytest.raises(OutcomeError, match="column 'response' holds no numbers"):
            table.matrix("response")
        with pytest.raises(OutcomeError, match=r"has no column 'scores'. Did you mean 'score'"):
            table.matrix("scores")

    def test_texts_take_the_last_of_repeated_runs(self) -> None:
        table = table_of(
            row("q1", "a", 1.0, response="first"),
            row("q2", "b@@python", 1.0, response="other"),
            row("q1", "a", 1.0, response="last"),
        )
        assert table.texts("response") == [["last", None], [None, "other"]]
        with pytest.raises(OutcomeError, match=r"has no column 'responses'. Did you mean 'response'"):
            table.texts("responses")

    @given(
        st.lists(
            st.tuples(st.sampled_from("pqr"), st.sampled_from("ab"), st.sampled_from("xy"), st.floats(0, 1)),
            min_size=1,
            max_size=25,
        )
    )
    def test_the_matrix_holds_the_mean_of_each_cell(self, runs: list[tuple[str, str, str, float]]) -> None:
        table = table_of(*(row(query, f"{model}@@{tool}", score) for query, model, tool, score in runs))
        matrix = table.matrix()
        assert matrix.shape == (len({run[0] for run in runs}), len({run[1:3] for run in runs}))
        for at, query in enumerate(table.query_ids):
            for column, pair in enumerate(table.pairs):
                cell = [score for name, *parts, score in runs if (name, Pair(*parts)) == (query, pair)]
                found = matrix[at, column]
                assert math.isnan(found) if not cell else found == pytest.approx(sum(cell) / len(cell))


class TestWrittenPairs:
    """A pair may be given in its written form."""

    def test_wherever_pairs_are_named(self) -> None:
        table = OutcomeTable.from_rows(GOOD)
        assert table.pair_number("b@@python") == table.pair_number(B) == 1
        assert table.select(pairs=["b@@python"]).pairs == (B,)
        np.testing.assert_array_equal(table.matrix("score", ["b@@python", "a"]), table.matrix("score", [B, A]))

    @pytest.mark.parametrize("pairs", ["b@@python", B, [3]])
    def test_what_is_no_list_of_pairs_is_refused(self, pairs: Any) -> None:
        with pytest.raises(PoolError, match=r"in a list, and one too: \['b@@python'\]|A pair is written"):
            OutcomeTable.from_rows(GOOD).select(pairs=pairs)


class TestSelect:
    TABLE = table_of(
        row("q1", "a", 1.0, domain="x"),
        row("q1", "b@@python", 0.0, domain="x"),
        row("q2", "a", 0.5, domain="y"),
        row("q3", "b@@python", 0.25, domain="z"),
    )

    @pytest.mark.parametrize(
        ("asked", "scores"),
        [
            ({}, [1.0, 0.0, 0.5, 0.25]),
            ({"pairs": [A]}, [1.0, 0.5]),
            ({"domains": ["x", "z"]}, [1.0, 0.0, 0.25]),
            ({"query_ids": ["q2", "q1"]}, [1.0, 0.0, 0.5]),
            ({"pairs": [B], "domains": ["x"]}, [0.0]),
            ({"pairs": iter([A]), "query_ids": iter(["q1"])}, [1.0]),
        ],
    )
    def test_rows_keep_their_order(self, asked: dict[str, Any], scores: list[float]) -> None:
        assert self.TABLE.select(**asked).table["score"].to_pylist() == scores

    def test_a_part_numbers_its_own_queries_and_pairs(self) -> None:
        part = self.TABLE.select(domains=["y", "z"])
        assert (part.query_ids, part.pairs) == (("q2", "q3"), (A, B))
        np.testing.assert_array_equal(part.matrix(), [[0.5, np.nan], [np.nan, 0.25]])
        assert len(self.TABLE) == 4

    @pytest.mark.parametrize(
        ("asked", "error", "message"),
        [
            ({"pairs": [Pair("c")]}, PoolError, "Unknown pair 'c@@none'"),
            ({"domains": ["w"]}, OutcomeError, "Unknown domain 'w' in the rows. Valid: 'x', 'y', 'z'"),
            ({"query_ids": ["q9"]}, OutcomeError, "Unknown query_id 'q9'"),
            ({"pairs": [B], "domains": ["y"]}, OutcomeError, "Nothing is left of the rows"),
            ({"pairs": []}, OutcomeError, "Nothing is left of the rows"),
            ({"domains": []}, OutcomeError, "Nothing is left of the rows"),
        ],
    )
    def test_what_is_not_there_is_named(self, asked: dict[str, Any], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            self.TABLE.select(**asked)


class TestJoined:
    def test_the_rows_of_both_are_there(self) -> None:
        one = OutcomeTable.from_rows([row("q1", "a", 1.0)], "one")
        other = OutcomeTable.from_rows([row("q1", "b@@python", 0.0), row("q1", "a", 0.0)], "other")
        both = one.joined(other)
        np.testing.assert_array_equal(both.matrix(), [[0.5, 0.0]])  # a: (1 + 0) / 2
        assert both.source == "one with other"
        assert len(one) == 1

    def test_extra_columns_are_null_where_a_table_lacks_them(self) -> None:
        both = table_of(row("q1", "a", 1.0, left=1)).joined(table_of(row("q2", "a", 1.0, right="r")))
        assert both.table["left"].to_pylist() == [1, None]
        assert both.table["right"].to_pylist() == [None, "r"]

    def test_tables_that_disagree_on_a_query_are_refused(self) -> None:
        with pytest.raises(OutcomeError, match="query_id 'q1' has another query than"):
            table_of(row("q1", "a", 1.0)).joined(table_of(row("q1", "b", 1.0, query="other")))

    def test_tables_that_disagree_on_the_type_of_an_extra_column_are_refused(self) -> None:
        with pytest.raises(OutcomeError, match=r"can't be joined.*seed"):
            table_of(row("q1", "a", 1.0, seed=1)).joined(table_of(row("q2", "a", 1.0, seed="one")))


class TestFiles:
    @pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
    def test_saving_makes_the_folder_and_replaces_the_old_file(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / "new" / name
        table_of(row("q1", "a", 1.0)).save(path)
        table_of(row("q2", "a", 0.5)).save(path)
        assert OutcomeTable.load(path).query_ids == ("q2",)
        assert [found.name for found in path.parent.iterdir()] == [name]

    @pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
    def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        path = tmp_path / name
        table_of(row("q1", "a", 1.0)).save(path)
        before = path.read_bytes()

        def write_half(_: object, target: Path, *__: object, **___: object) -> None:
            Path(target).write_bytes(b"half")
            raise OSError("no space left on device")

        monkeypatch.setattr(pq, "write_table", write_half)
        monkeypatch.setattr(Path, "write_text", lambda target, text, **_: write_half(text, target))
        with pytest.raises(WritingError, match="no space left"):
            table_of(row("q2", "a", 0.5)).save(path)
        assert path.read_bytes() == before
        assert [found.name for found in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
    def test_nulls_and_numbers_survive(self, tmp_path: Path, name: str) -> None:
        table = table_of(row("q1", "a", 1 / 3, 1e-7, input_tokens=3, tokens_estimated=True), row("q2", "a", None, None))
        table.save(tmp_path / name)
        assert OutcomeTable.load(tmp_path / name).table.equals(table.table)


texts = st.text(max_size=12)
values: dict[str, st.SearchStrategy[Any]] = {
    "text": texts,
    "number": st.floats(0, 1) | st.integers(0, 1),
    "integer": st.integers(0, 2**40),
    "boolean": st.booleans(),
}
pair_names = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=4) | st.sampled_from(
    ["a:b", "x/y", "@"]
)
names_of_tools = pair_names
names_of_models = pair_names.filter(lambda name: not name.endswith("@"))


@st.composite
def good_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw rows that keep the contract; each id is one query."""
    asked = draw(st.dictionaries(texts, st.tuples(texts, texts | st.none()), min_size=1, max_size=3))
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        query_id = draw(st.sampled_from(sorted(asked)))
        found: dict[str, Any] = {
            column.name: draw(values[column.kind] | st.none()) for column in COLUMNS if not column.required
        }
        query, context = asked[query_id]
        found.update(query_id=query_id, query=query, context=context, domain=draw(texts))
        found.update(model=draw(names_of_models), tool=draw(names_of_tools))
        rows.append(found)
    return rows


@given(good_rows(), st.sampled_from(["t.parquet", "t.jsonl"]))
def test_any_good_rows_survive_a_trip_through_a_file(rows: list[dict[str, Any]], name: str) -> None:
    table = OutcomeTable.from_rows(rows)
    with tempfile.TemporaryDirectory() as folder:
        table.save(Path(folder) / name)
        again = OutcomeTable.load(Path(folder) / name)
    assert again.table.equals(table.table)
    assert again.pairs == table.pairs
    assert again.queries == table.queries
    written = [{**found, "error": found["error"] or ""} for found in rows]
    assert [{name: found[name] for name in written[0]} for found in again.table.to_pylist()] == written


def table_or_problem(make: Callable[[], OutcomeTable]) -> tuple[OutcomeTable | None, str]:
    """Return what is made, or what our error says; any other error fails the test."""
    try:
        return make(), ""
    except OutcomeError as error:
        return None, str(error)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
odd_rows = st.dictionaries(st.sampled_from([column.name for column in COLUMNS]) | st.text(max_size=3), anything)


@given(good_rows(), st.lists(odd_rows, max_size=2))
def test_any_rows_make_a_table_or_our_error(rows: list[dict[str, Any]], odd: list[dict[str, Any]]) -> None:
    mixed = [*rows, *({**rows[0], **changes} for changes in odd)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_lines(Path(folder) / "t.jsonl", mixed)
        table, problem = table_or_problem(lambda: OutcomeTable.load(path))
    if table is None:
        assert "t.jsonl" in problem
    else:
        assert len(table) == len(mixed)
        assert table.matrix().shape == (len(table.query_ids), len(table.pairs))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from(["t.parquet", "t.jsonl"]))
def test_any_file_makes_a_table_or_our_error(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with pytest.raises(OutcomeError, match=name):
            OutcomeTable.load(path)


column_types: list[Callable[[], pa.Array]] = [
    lambda: pa.array([1, 2], pa.int8()),
    lambda: pa.array([1.5, None]),
    lambda: pa.array([b"x", None]),
    lambda: pa.array([[1], None]),
    lambda: pa.array([{"x": 1}, None]),
    lambda: pa.array([1, 2], pa.timestamp("s")),
    lambda: pa.array(["x", None]),
    lambda: pa.array(["x", "x"]).dictionary_encode(),
    lambda: pa.array([True, None]),
    lambda: pa.array([1, 2], pa.decimal128(5)),
    lambda: pa.array([1, 0.5], pa.float16()),
    lambda: pa.nulls(2),
]


@given(st.dictionaries(st.sampled_from([column.name for column in COLUMNS]), st.sampled_from(column_types), max_size=3))
def test_any_types_of_column_make_a_table_or_our_error(changes: dict[str, Callable[[], pa.Array]]) -> None:
    table = arrow(GOOD[:2], **{name: made() for name, made in changes.items()})
    checked, problem = table_or_problem(lambda: OutcomeTable(table, "t.parquet"))
    if checked is None:
        assert "t.parquet, row" in problem
    else:
        assert checked.table.schema.names == [column.name for column in COLUMNS]


class TestSharedData:
    def test_the_figures_of_its_readme_come_out(self, shared_data: Path) -> None:
        table = OutcomeTable.load(shared_data / "bfcl_pairs.parquet")
        assert len(table.pairs) == 71
        assert len(table.query_ids) == 1020
        assert len(set(table.domains)) == 12
        pairs = [Pair("mistral-large-2407", "prompt"), Pair("mistral-large-2407", "fc-any")]
        simple = table.select(domains=["simple"]).matrix("score", pairs)
        # The README's 24% and 94% are of all queries; 60% of them are here.
        assert np.nanmean(simple, axis=0) == pytest.approx([0.24, 0.94], abs=0.05)
        assert np.nanmean(table.select(domains=["relevance"]).matrix("score", pairs[1:])) == 0

    @pytest.mark.parametrize("name", ["bfcl_pairs", "reasoning_pairs", "routerbench", "routerdc"])
    def test_every_row_of_the_file_is_in_the_table(self, shared_data: Path, name: str) -> None:
        path = shared_data / f"{name}.parquet"
        raw = pq.read_table(path, columns=["query_id", "model", "tool", "score"])
        cells = raw.group_by(["query_id", "model", "tool"]).aggregate([("score", "mean")])["score_mean"].drop_null()
        matrix = OutcomeTable.load(path).matrix()
        assert matrix.shape == (
            len(raw["query_id"].unique()),
            raw.group_by(["model", "tool"]).aggregate([]).num_rows,
        )
        assert np.count_nonzero(~np.isnan(matrix)) == len(cells)
        assert np.nansum(matrix) == pytest.approx(sum(cells.to_pylist()))


def test_read_jsonl_passes_over_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('\n{"query_id": "q"}\n \n', encoding="utf-8")
    assert read_jsonl(path).to_pylist() == [{"query_id": "q"}]


def test_repeated_outcomes_of_a_query_and_a_pair_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{**GOOD[0], "query_id": f"q{number}", "query": f"{number}?"} for number in (0, 0, 0, 1, 2, 2)]
    path = tmp_path / "t.jsonl"
    OutcomeTable.from_rows(rows).save(path)
    table = OutcomeTable.load(path)
    pair = table.pairs[0]
    assert table.repeats == {("q0", pair): 3, ("q2", pair): 2}
    (said,) = caplog.messages
    assert said.startswith(f"{path}: 3 of 6 rows repeat the outcome of a query and a pair: query 'q0' by {pair} (3), ")
    assert "query 'q2'" in said


def test_many_repeats_are_said_in_short(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{**GOOD[0], "query_id": f"q{number // 2}", "query": f"{number // 2}?"} for number in range(40)]
    OutcomeTable.from_rows(rows).save(tmp_path / "t.parquet")
    OutcomeTable.load(tmp_path / "t.parquet")
    assert "20 of 40 rows" in caplog.messages[0]
    assert "17 more" in caplog.messages[0]
    assert len(caplog.messages[0]) < 600


def test_a_table_joined_with_itself_says_so(caplog: pytest.LogCaptureFixture) -> None:
    table = OutcomeTable.from_rows(GOOD)
    both = table.joined(table)
    assert set(both.repeats.values()) == {2}
    assert "repeat the outcome" in caplog.messages[0]


def test_a_table_without_repeats_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    OutcomeTable.from_rows(GOOD).save(tmp_path / "t.parquet")
    assert OutcomeTable.load(tmp_path / "t.parquet").repeats == {}
    assert not caplog.messages
