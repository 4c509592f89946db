"""Nothing is lost where a process ends or a row is bad, and nothing stays of what is forgotten."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from langchain_atlas import Query, Store
from langchain_atlas.errors import SettingError
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.trajectory import START, Decision, Observation

if TYPE_CHECKING:
    from pathlib import Path

PAIR = Pair("small")
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it is forked with threads


def keep(store: Store, *names: str, **changes: Any) -> None:
    for name in names:
        store.keep(Query(text=f"question {name}"), START, Decision(kind="route", pair=PAIR, id=name, **changes))


def count(store: Store) -> int:
    return int(store.read(sa.text("SELECT COUNT(*) FROM atlas_decisions"))[0][0])


@pytest.mark.parametrize("text", ["", "\ud800", "a\0b", "x" * 1000])
def test_an_id_or_a_source_that_no_database_takes_is_refused_at_once(text: str, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/atlas.db")
    with pytest.raises(SettingError, match="decision_id is"):
        store.record(text, score=1)
    with pytest.raises(SettingError, match="source is"):
        store.record("d", score=1, source=text)
    store.close()


def test_a_row_that_only_the_driver_refuses_holds_up_no_other(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/atlas.db")
    keep(store, "bad", cluster=2**70)
    keep(store, "bad too", rule="\udcff")
    keep(store, *map(str, range(20)))
    assert store.flush()
    assert (store.counts.spilled, store.counts.lost) == (0, 0)
    assert count(store) == store.counts.written == 22 - store.counts.refused
    assert store.counts.refused >= 1
    store.close()


def test_all_that_is_queued_is_spilled_where_the_database_is_busy_at_the_end(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/atlas.db")
    assert store.summary() == ()
    busy = sqlite3.connect(tmp_path / "atlas.db", isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    keep(store, *map(str, range(1700)))  # several batches
    store._writer.close(1.0)
    assert (store.counts.spilled, store.counts.lost) == (1700, 0)
    lines = [line for path in tmp_path.glob("atlas.db.spill/*") for line in path.read_text().splitlines()]
    assert len(lines) == 1700
    busy.execute("ROLLBACK")
    busy.close()


def _child(store: Store | None, url: str) -> None:
    store = store or Store(url)
    assert store.summary() is not None
    assert store._writer._process == os.getpid(), "it reads with connections of its own"
    keep(store, *(f"{os.getpid()} {number}" for number in range(3)))


@pytest.mark.parametrize("shared", [True, False])
def test_a_forked_child_writes_what_it_queued_before_it_ends(shared: bool, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/atlas.db"
    store = Store(url)
    assert store.summary() == ()
    child = multiprocessing.get_context("fork").Process(target=_child, args=(store if shared else None, url))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert count(store) == 3
    store.close()


def test_what_is_forgotten_is_gone_from_the_queue_too(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/atlas.db")
    keep(store, "secret", "other")
    store.forget(["secret"])
    observed = Observation(pair=PAIR, answer="a secret", cost_usd=0.1)
    store.keep(Query(text="q"), START, Decision(kind="route", pair=PAIR, id="secret"), observed)
    store.record("secret", score=1)
    assert store.flush()
    assert count(store) == 1
    assert (
        store.read(sa.text("SELECT * FROM atlas_outcomes")) == store.read(sa.text("SELECT * FROM atlas_scores")) == []
    )
    store.close()


def test_what_is_forgotten_does_not_come_back_from_the_spill_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/atlas.db"
    store = Store(url)
    assert store.summary() == ()
    busy = sqlite3.connect(tmp_path / "atlas.db", isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    keep(store, "secret", "other")
    store._writer.close(0.5)
    assert store.counts.spilled == 2
    busy.execute("ROLLBACK")
    busy.close()
    store.forget(["secret"])
    store.record("other", score=1)
    assert store.flush()
    assert store.read(sa.text("SELECT id FROM atlas_decisions")) == [("other",)]
    store.close()
