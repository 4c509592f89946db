"""The journal keeps every outcome it has taken, once, through kills, torn lines and a second run."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_atlas.errors import OutcomeError, WritingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.outcomes import journal as journal_module
from langchain_atlas.outcomes.journal import Journal


def outcome(query_id: str = "q1", model: str = "m1", **values: Any) -> dict[str, Any]:
    return {
        "query_id": query_id,
        "query": f"text of {query_id}",
        "context": None,
        "domain": "d",
        "model": model,
        "tool": "none",
        "score": 1.0,
        "input_tokens": 3,
        "output_tokens": 4,
        "cost_usd": 0.5,
        "latency_s": 0.1,
        "response": "yes",
        "error": "",
        "tokens_estimated": False,
        **values,
    }


def rows(path: Path) -> list[tuple[str, str, float]]:
    table = OutcomeTable.load(path).table
    return list(zip(*(table[name].to_pylist() for name in ("query_id", "model", "score")), strict=True))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "table.parquet"


def test_outcomes_are_on_disk_line_by_line_and_merged_at_the_end(out: Path) -> None:
    with Journal(out) as journal:
        journal.append(outcome("q1"))
        assert [json.loads(line) for line in journal.path.read_text().splitlines()] == [outcome("q1")]
        journal.append(outcome("q2", score=0.0))
        assert not out.exists()
        journal.merge()
    assert rows(out) == [("q1", "m1", 1.0), ("q2", "m1", 0.0)]
    assert [path.name for path in out.parent.iterdir()] == ["table.parquet"]


def test_leaving_without_a_merge_keeps_the_journal_for_the_next_run(out: Path) -> None:
    def interrupted() -> None:
        with Journal(out) as journal:
            journal.append(outcome("q1"))
            journal.append(outcome("q2", error="Timeout: late"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with Journal(out) as journal:
        assert ("q1", "m1", "none") in journal
        assert ("q1", "m2", "none") not in journal
        assert len(journal) == 2
        assert journal.failed(("q2", "m1", "none"))
        assert not journal.failed(("q1", "m1", "none"))
        assert journal.query("q1") == ("text of q1", None, "d")
        journal.append(outcome("q3"))
        journal.merge()
    assert [row[0] for row in rows(out)] == ["q1", "q2", "q3"]


def test_an_unused_journal_leaves_nothing_behind(out: Path) -> None:
    with Journal(out):
        pass
    assert list(out.parent.iterdir()) == []


def test_a_later_outcome_takes_the_place_of_an_earlier_one(out: Path) -> None:
    for score in (0.0, 0.25):
        with Journal(out) as journal:
            journal.append(outcome(score=score, error="Timeout: late"))
            journal.merge()
    with Journal(out) as journal:
        assert journal.failed(("q1", "m1", "none"))
        journal.append(outcome(score=0.5))
        journal.append(outcome(score=0.75))
        assert not journal.failed(("q1", "m1", "none"))
        journal.merge()
    assert rows(out) == [("q1", "m1", 0.75)]


def test_the_earlier_table_keeps_its_other_rows_and_columns(out: Path) -> None:
    earlier = [outcome("q1", note="a"), outcome("q1", score=0.0, note="b"), outcome("q2", note="c")]
    OutcomeTable.from_rows(earlier).save(out)
    with Journal(out) as journal:
        journal.append(outcome("q2", score=0.5))
        journal.append(outcome("q3"))
        journal.merge()
    assert rows(out) == [("q1", "m1", 1.0), ("q1", "m1", 0.0), ("q2", "m1", 0.5), ("q3", "m1", 1.0)]
    assert OutcomeTable.load(out).table["note"].to_pylist() == ["a", "b", None, None]


def test_rows_are_sorted_as_asked_and_unnamed_ones_stand_before(out: Path) -> None:
    with Journal(out) as journal:
        for query_id in ("q3", "q9", "q1", "q2"):
            journal.append(outcome(query_id))
        journal.merge([(name, "m1", "none") for name in ("q1", "q2", "q3")])
    assert [row[0] for row in rows(out)] == ["q9", "q1", "q2", "q3"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(cut=st.integers(min_value=0))
def test_a_kill_at_any_byte_loses_no_whole_line(tmp_path: Path, cut: int) -> None:
    out = tmp_path / "table.parquet"
    whole = [json.dumps(outcome(f"q{number}", response="\u2028 \U0001f600")).encode() + b"\n" for number in range(4)]
    content = b"".join(whole)
    left = content[: cut % (len(content) + 1)]
    path = tmp_path / "table.parquet.journal.jsonl"
    path.write_bytes(left)
    with Journal(out) as journal:
        assert len(journal) == left.count(b"\n")
        for number in range(len(journal), 4):
            journal.append(outcome(f"q{number}", response="\u2028 \U0001f600"))
        assert path.read_bytes() == content
    path.unlink()


def test_a_torn_line_longer_than_a_block_is_dropped(out: Path) -> None:
    with Journal(out) as journal:
        journal.append(outcome("q1"))
    with journal.path.open("ab") as file:
        file.write(b'{"query_id": "q2", "response": "' + b"x" * 200_000)
    with Journal(out) as again:
        assert len(again) == 1
        again.append(outcome("q2"))
        again.merge()
    assert [row[0] for row in rows(out)] == ["q1", "q2"]


def test_a_kill_between_table_and_deletion_doubles_nothing(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, Journal(out) as journal:
        journal.append(outcome("q1"))
        patched.setattr(journal_module, "_flush_folder", die)
        with pytest.raises(KeyboardInterrupt):
            journal.merge()
    assert out.exists()
    assert journal.path.exists()
    with Journal(out) as journal:
        assert len(journal) == 1
        journal.merge()
    assert rows(out) == [("q1", "m1", 1.0)]
    assert not journal.path.exists()


def test_a_second_run_on_the_same_table_is_refused(out: Path) -> None:
    with Journal(out) as journal:
        journal.append(outcome("q1"))
        with pytest.raises(OutcomeError, match=r"Another run is writing to '.*table\.parquet'"):
            Journal(out)
        journal.append(outcome("q2"))
    with Journal(out) as journal:
        assert len(journal) == 2


def test_a_journal_deleted_while_the_lock_was_awaited_is_opened_anew(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = journal_module.lock
    held = Journal(out)
    held.append(outcome("q1"))

    def slow_lock(file: Any) -> bool:
        monkeypatch.setattr(journal_module, "lock", lock)
        held.merge()
        return lock(file)

    monkeypatch.setattr(journal_module, "lock", slow_lock)
    with Journal(out) as journal:
        assert ("q1", "m1", "none") in journal
        journal.append(outcome("q2"))
        assert journal.path.exists()
        journal.merge()
    assert [row[0] for row in rows(out)] == ["q1", "q2"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"score": 1.5}, "score"),
        ({"score": float("nan")}, "score"),
        ({"cost_usd": -1.0}, "cost_usd"),
        ({"input_tokens": "3"}, "input_tokens"),
        ({"domain": None}, "domain"),
        ({"query": "another"}, "'q1' already belongs to 'text of q1'"),
    ],
)
def test_an_outcome_that_the_table_would_refuse_is_not_taken(out: Path, changes: dict[str, Any], problem: str) -> None:
    with Journal(out) as journal:
        journal.append(outcome("q1"))
        before = journal.path.read_bytes()
        with pytest.raises(OutcomeError, match=problem):
            journal.append(outcome("q1", model="m2", **changes))
        assert journal.path.read_bytes() == before
        assert len(journal) == 1


def test_a_full_disk_leaves_no_half_line(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with Journal(out) as journal:
        journal.append(outcome("q1"))
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(WritingError, match="No space"):
                journal.append(outcome("q2"))
        assert len(journal) == 1
        journal.append(outcome("q3"))
        journal.merge()
    assert [row[0] for row in rows(out)] == ["q1", "q3"]


@pytest.mark.parametrize("line", [b"garbage", b"[1]", b"null", b'{"query_id": "q2"}', b'{"query_id": 7}'])
def test_a_line_that_is_no_outcome_is_named(out: Path, line: bytes) -> None:
    with Journal(out) as journal:
        journal.append(outcome("q1"))
    with journal.path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(OutcomeError, match=r"table\.parquet\.journal\.jsonl, line 2 is no outcome"):
        Journal(out)
    assert journal.path.read_bytes().endswith(line + b"\n")


@pytest.mark.parametrize("name", ["table.csv", "table", "."])
def test_only_outcome_tables_have_journals(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutcomeError, match="can't be an outcome table"):
        Journal(tmp_path / name)


def test_an_unreadable_table_is_left_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "table.parquet"
    out.write_bytes(b"something else")
    with pytest.raises(OutcomeError, match="Can't read the outcome table"):
        Journal(out)
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]
    assert out.read_bytes() == b"something else"


def test_a_folder_that_can_not_be_made_is_an_outcome_error(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(OutcomeError, match="Can't write the journal"):
        Journal(tmp_path / "file" / "table.parquet")


def test_nothing_to_merge_is_an_error_and_an_earlier_table_is_not(out: Path) -> None:
    with Journal(out) as journal, pytest.raises(OutcomeError, match="no outcome to write"):
        journal.merge()
    OutcomeTable.from_rows([outcome("q1")]).save(out)
    before = out.stat().st_mtime_ns
    with Journal(out) as journal:
        assert len(journal.merge()) == 1
    assert out.stat().st_mtime_ns == before
