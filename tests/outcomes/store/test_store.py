"""What goes into a store comes out of it, once, on SQLite and on PostgreSQL."""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from recording import PAIRS, put

from langchain_atlas import OutcomeTable, Store
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.outcomes.store.database import checked_url
from langchain_atlas.outcomes.store.schema import METADATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Store]


def rows_of(url: str, table: str) -> list[dict[str, Any]]:
    engine = sa.create_engine(checked_url(url))
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(sa.text(f"select * from {table}")).mappings()]  # noqa: S608
    engine.dispose()
    return rows


class TestWhatIsStored:
    def test_comes_back_as_outcomes(self, url: str, open_store: Open) -> None:
        store = open_store(url)
        first = put(store, 3, score=1.0)
        put(store, 4, context="About trains.", answer=None, error="Timeout: too late", cost_usd=None)
        assert store.flush()
        before = time.time()
        rows = OutcomeTable.load(url).table.to_pylist()
        assert [row["decision_id"] for row in rows] == [first, "d-4"]
        answered, failed = rows
        assert (answered["query"], answered["context"], answered["domain"]) == ("What is 3 plus 3?", None, "live")
        assert (answered["model"], answered["tool"]) == ("large", "calculator")
        assert (answered["score"], answered["score_source"], answered["propensity"]) == (1.0, "feedback", 0.5)
        assert (answered["response"], answered["error"]) == ("6", "")
        assert (answered["input_tokens"], answered["cost_usd"], answered["latency_s"]) == (3, 0.25, 0.5)
        assert (failed["context"], failed["response"], failed["error"]) == ("About trains.", None, "Timeout: too late")
        assert failed["score"] is None
        assert failed["cost_usd"] is None, "unknown, not free"
        assert abs(rows_of(url, "atlas_decisions")[0]["written_at"] - before) < 60, "the database's own time"

    def test_sums_are_those_of_the_rows(self, url: str, open_store: Open) -> None:
        store = open_store(url)
        for number, score in enumerate((1.0, 0.5, 0.0, None, 1.0)):
            put(store, number, score=score)
        put(store, 6, answer=None, error="Timeout: too late", cost_usd=None)
        store.flush()
        large, small = store.summary()
        assert (large.pair, small.pair) == (PAIRS[1], PAIRS[0])
        assert (small.decisions, small.outcomes, small.failed, small.scored) == (4, 4, 1, 3)
        assert (large.decisions, large.outcomes, large.failed, large.scored) == (2, 2, 0, 1)
        assert small.mean_score == pytest.approx(2 / 3)
        assert (small.cost_usd, large.cost_usd) == (0.75, 0.5)

    def test_is_there_once_however_often_it_is_written(self, url: str, open_store: Open) -> None:
        for _ in range(2):
            store = open_store(url)
            for number in range(5):
                put(store, number, score=1.0)
            store.flush()
        for table in ("atlas_decisions", "atlas_outcomes", "atlas_scores"):
            assert len(rows_of(url, table)) == 5

    def test_score_is_the_latest_one(self, url: str, open_store: Open) -> None:
        store = open_store(url)
        name = put(store, 1, score=0.0)
        store.record(name, score=1.0)
        store.record(name, score=0.5, source="judge:small", confidence=0.75)
        store.flush()
        (row,) = store.table().table.to_pylist()
        assert (row["score"], row["score_source"], row["score_confidence"]) == (0.5, "judge:small", 0.75)
        assert {(each["source"], each["score"]) for each in rows_of(url, "atlas_scores")} == {
            ("feedback", 1.0),
            ("judge:small", 0.5),
        }

    def test_equal_queries_are_one_query_unless_each_is_wanted_apart(self, url: str, open_store: Open) -> None:
        store = open_store(url)
        for number in (0, 2, 4):
            put(store, number, text="Hello?", score=1.0)
        store.flush()
        assert len(store.table().query_ids) == 1
        assert len(store.table(each_apart=True).query_ids) == 3

    def test_may_be_any_text(self, url: str, open_store: Open) -> None:
        store = open_store(url)
        put(store, 0, text="nul \0 and half a pair \ud800 and 😀", answer="x" * 300_000)
        store.flush()
        (row,) = store.table().table.to_pylist()
        assert row["query"] == "nul \ufffd and half a pair ? and 😀"
        assert len(row["response"]) == 100_000
        assert store.counts.refused == 0

    def test_row_that_the_database_refuses_is_counted_and_the_others_are_kept(
        self, open_store: Open, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = request.getfixturevalue("postgres").url("refusing")  # SQLite takes any length
        store = open_store(url)
        put(store, 0)
        put(store, 1, name="n" * 40)
        put(store, 2)
        assert store.flush()
        assert (store.counts.written, store.counts.refused, store.counts.lost) == (4, 2, 0)
        assert "does not take a row" in caplog.text


class TestTextsThatAreNotKept:
    def test_leave_a_hash(self, url: str, open_store: Open) -> None:
        store = open_store(url, keep_texts=False)
        put(store, 0, text="My name is Ada.", context="Born 1815.", score=1.0)
        put(store, 2, text="My name is Ada.", context="Born 1815.", answer=None, error="Bad: My name is Ada.")
        store.flush()
        everything = [rows_of(url, table) for table in ("atlas_decisions", "atlas_outcomes", "atlas_scores")]
        for word in ("Ada", "1815"):
            assert word not in str(everything)
        assert len({row["query_hash"] for row in everything[0]}) == 1
        assert [row["error"] for row in everything[1]] == ["", "Bad"]
        assert store.summary()[0].scored == 1
        with pytest.raises(OutcomeError, match=r"2 outcomes were recorded without texts \(keep_texts=False\)"):
            store.table()


class TestOldRows:
    def test_are_pruned(self, url: str, open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        store, now = open_store(url), time.time()
        with monkeypatch.context() as patched:
            patched.setattr("langchain_atlas.outcomes.store.store.time.time", lambda: now - 10 * 86_400)
            put(store, 0, score=1.0)
            store.flush()
        put(store, 2, score=1.0)
        store.flush()
        assert store.prune(days=5) == 3
        assert [row["id"] for row in rows_of(url, "atlas_decisions")] == ["d-2"]

    def test_are_pruned_by_themselves_if_so_told(
        self, url: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, now = open_store(url), time.time()
        with monkeypatch.context() as patched:
            patched.setattr("langchain_atlas.outcomes.store.store.time.time", lambda: now - 10 * 86_400)
            put(old, 0, score=1.0)
            old.flush()
        store = open_store(url, keep_days=5)
        put(store, 2)
        store.flush()
        store.close()
        assert [row["id"] for row in rows_of(url, "atlas_decisions")] == ["d-2"]

    def test_of_one_person_are_deleted_by_id(self, url: str, open_store: Open) -> None:
        store = open_store(url)
        name = put(store, 0, score=1.0)
        put(store, 2, score=1.0)
        store.flush()
        assert store.forget([name]) == 3
        assert [row["decision_id"] for row in store.table().table.to_pylist()] == ["d-2"]


class TestTables:
    def test_are_made_by_migrations_as_they_are_declared(self, url: str, open_store: Open) -> None:
        store = open_store(url)
        put(store)
        store.flush()
        engine = sa.create_engine(checked_url(url))
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": "atlas_version"})
            assert compare_metadata(context, METADATA) == []
        engine.dispose()

    def test_of_a_newer_version_are_refused(self, url: str, open_store: Open) -> None:
        store = open_store(url)
        put(store)
        store.flush()
        store.close()
        engine = sa.create_engine(checked_url(url))
        with engine.begin() as connection:
            connection.execute(sa.text("update atlas_version set version_num = '9999'"))
        engine.dispose()
        with pytest.raises(SettingError, match=r"version '9999'.*pip install --upgrade langchain-atlas"):
            open_store(url).summary()

    def test_of_sqlite_use_a_write_ahead_log(self, tmp_path: Path, open_store: Open) -> None:
        store = open_store(f"sqlite:///{tmp_path}/atlas.db")
        put(store)
        store.flush()
        connection = sqlite3.connect(tmp_path / "atlas.db")
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        connection.close()


class TestSlips:
    @pytest.mark.parametrize(
        ("address", "why"),
        [
            ("atlas.db", "can't be read"),
            ("sqlite://", "names no file"),
            ("sqlite:///:memory:", "names no file"),
            ("mysql://host/db", "begins with 'mysql'"),
            (3, "is 3; give a text"),
        ],
    )
    def test_in_the_address_are_told(self, address: Any, why: str) -> None:
        with pytest.raises(SettingError, match=why):
            Store(address)

    @pytest.mark.parametrize("setting", ["keep_days", "queue_size", "spill_megabytes"])
    def test_in_a_setting_are_told(self, tmp_path: Path, setting: str) -> None:
        with pytest.raises(SettingError, match=f"{setting} is 0; it must be a number above 0"):
            Store(f"sqlite:///{tmp_path}/atlas.db", **{setting: 0})

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"score": 2}, "score is 2; it must be a number from 0 to 1"),
            ({"score": float("nan")}, "score is nan"),
            ({"score": "good"}, "score is 'good'"),
            ({"confidence": -1}, "confidence is -1"),
            ({"source": ""}, "source is ''"),
            ({"decision_id": None}, r"decision_id is None; .*\['decision_id'\]"),
        ],
    )
    def test_in_a_score_are_told(self, tmp_path: Path, open_store: Open, changes: dict[str, Any], why: str) -> None:
        given = {"decision_id": "d-1", "score": 1.0, **changes}
        with pytest.raises(SettingError, match=why):
            open_store(f"sqlite:///{tmp_path}/atlas.db").record(given.pop("decision_id"), **given)

    def test_a_store_that_is_not_there_is_not_made_by_reading(self, tmp_path: Path) -> None:
        with pytest.raises(OutcomeError, match="There is no store"):
            OutcomeTable.load(f"sqlite:///{tmp_path}/misspelled.db")
        assert list(tmp_path.iterdir()) == []

    def test_show_no_password(self, tmp_path: Path, open_store: Open, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        store = open_store("postgresql://ada:hunter2@127.0.0.1:1/atlas")
        put(store)
        assert store.flush()
        with pytest.raises(OutcomeError) as raised:
            store.summary()
        assert "away" in caplog.text
        assert "hunter2" not in caplog.text + str(raised.value) + repr(store) + str(
            list((tmp_path / "spill").iterdir())
        )
