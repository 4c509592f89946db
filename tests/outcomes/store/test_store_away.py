"""A database that is away, a full queue, a killed process: nothing waits, and nothing is lost unsaid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from recording import put

from langchain_atlas import AtlasChain, Store
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from postgres import Postgres

    Open = Callable[..., Store]

PROGRAM = str(Path(__file__).with_name("recording.py"))


def started(url: str, spill: Path, name: str, number: int, *rest: str) -> subprocess.Popen[str]:
    command = [sys.executable, PROGRAM, url, str(spill), name, str(number), *rest]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, int]:
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    told: dict[str, int] = json.loads(out)
    return told


def within(seconds: float, true: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


class TestDatabaseThatIsAway:
    def test_gets_the_rows_when_it_is_back(self, tmp_path: Path, open_store: Open) -> None:
        store = open_store(f"sqlite:///{tmp_path}/later/atlas.db")
        for number in range(20):
            put(store, number, score=1.0)
        assert store.flush()
        assert (store.counts.spilled, store.counts.written, store.counts.lost) == (60, 0, 0)
        (tmp_path / "later").mkdir()
        assert within(10, lambda: store.counts.replayed == 60)
        assert sum(each.scored for each in store.summary()) == 20
        assert list((tmp_path / "spill").iterdir()) == []

    def test_gets_the_rows_that_a_process_left_when_it_ended(self, tmp_path: Path, open_store: Open) -> None:
        url = f"sqlite:///{tmp_path}/later/atlas.db"
        first = open_store(url)
        put(first, 0, score=1.0)
        first.flush()
        first.close()
        (left,) = (tmp_path / "spill").iterdir()
        with left.open("ab") as file:
            file.write(b'["atlas_scores", {"decision_id": "torn')  # killed while it wrote
        (tmp_path / "later").mkdir()
        second = open_store(url)
        put(second, 2, score=1.0)
        assert within(10, lambda: second.counts.replayed == 3)
        assert sum(each.scored for each in second.summary()) == 2

    def test_has_only_so_much_put_aside_for_it(
        self, tmp_path: Path, open_store: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = open_store(f"sqlite:///{tmp_path}/later/atlas.db", spill_megabytes=0.002)
        for number in range(20):
            put(store, number)
        store.flush()
        counts = store.counts
        assert counts.spilled > 0
        assert counts.lost > 0
        assert counts.spilled + counts.lost == 40
        assert within(5, lambda: f"could not keep {counts.lost} rows" in caplog.text)

    def test_does_not_slow_or_fail_a_thousand_answers(self, postgres: Postgres, open_store: Open) -> None:
        store = open_store(postgres.url("away"))
        chain = AtlasChain(ScriptedRouter("small@@none"), ScriptedExecutor({"small@@none": "hi"}), store=store)
        chain.invoke("before")
        store.flush()
        postgres.stop()
        try:
            start = time.monotonic()
            answers = [chain.invoke(f"question {number}").content for number in range(1000)]
            took = time.monotonic() - start
            store.flush()
            spilled = store.counts.spilled
        finally:
            postgres.start()
        assert answers == ["hi"] * 1000
        assert took < 60
        assert spilled >= 1900
        assert within(30, lambda: sum(each.outcomes for each in store.summary()) == 1001)
        assert store.counts.lost == 0

    def test_may_be_restarted_in_the_middle(self, postgres: Postgres, tmp_path: Path) -> None:
        url = postgres.url("restarted")
        process = started(url, tmp_path / "spill", "w", 3000)
        time.sleep(3)
        postgres.stop("immediate")
        time.sleep(1)
        postgres.start()
        told = finished(process)
        assert told["flushed"]
        store = Store(url, spill_folder=tmp_path / "spill")
        put(store, 0, name="last")
        assert within(20, lambda: sum(each.scored for each in store.summary()) == 3000)
        store.close()


class TestQueueThatIsFull:
    def test_drops_and_says_so(self, tmp_path: Path, open_store: Open, caplog: pytest.LogCaptureFixture) -> None:
        store = open_store(f"sqlite:///{tmp_path}/atlas.db", queue_size=10)
        for number in range(500):
            put(store, number)
        store.flush()
        assert store.counts.lost > 0
        assert store.counts.lost + store.counts.written == 1000
        assert within(5, lambda: "could not keep" in caplog.text)


class TestProcesses:
    def test_that_write_at_once_lose_and_double_nothing(self, url: str, tmp_path: Path, open_store: Open) -> None:
        told = [finished(one) for one in [started(url, tmp_path / "spill", f"w{each}", 250) for each in range(3)]]
        assert [(one["flushed"], one["written"], one["lost"], one["refused"]) for one in told] == [
            (True, 750, 0, 0)
        ] * 3
        rows = open_store(url).table(each_apart=True).table.to_pylist()
        assert len(rows) == len({row["decision_id"] for row in rows}) == 750
        assert sum(row["score"] for row in rows) == 3 * sum((each % 3) / 2 for each in range(250))

    @pytest.mark.slow
    def test_eight_at_once_store_twenty_thousand_decisions(
        self, postgres: Postgres, tmp_path: Path, open_store: Open
    ) -> None:
        url = postgres.url("many")
        told = [finished(one) for one in [started(url, tmp_path / "spill", f"w{each}", 2500) for each in range(8)]]
        assert sum(one["written"] for one in told) == 60_000
        store = open_store(url)
        rows = store.table(each_apart=True).table.to_pylist()
        assert len(rows) == len({row["decision_id"] for row in rows}) == 20_000
        for each in store.summary():
            own = [row for row in rows if (row["model"], row["tool"]) == (each.pair.model, each.pair.tool)]
            assert (each.decisions, each.outcomes, each.scored) == (len(own), len(own), len(own))
            assert each.mean_score == pytest.approx(sum(row["score"] for row in own) / len(own))
            assert each.cost_usd == pytest.approx(0.25 * len(own))

    def test_that_are_killed_leave_what_they_flushed_and_nothing_half(
        self, url: str, tmp_path: Path, open_store: Open
    ) -> None:
        process = started(url, tmp_path / "spill", "killed", 100, "endless")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["flushed"]
        time.sleep(1)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        store = open_store(url)
        put(store, 0, name="after", score=1.0)
        store.flush()
        rows = store.table(each_apart=True).table.to_pylist()
        numbers = sorted(
            int(row["decision_id"].removeprefix("killed-")) for row in rows if "killed" in row["decision_id"]
        )
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > 100, "what came after the flush was written too, up to a moment before the end"

    def test_that_fork_write_from_both_sides(self, url: str, tmp_path: Path, open_store: Open) -> None:
        program = f"""
import os, sys
sys.path.insert(0, {str(Path(PROGRAM).parent)!r})
from recording import Store, put
store = Store({url!r}, spill_folder={str(tmp_path / "spill")!r})
put(store, 0, name="parent")
assert store.flush()
child = os.fork()
put(store, 1, name="parent" if child else "child")
assert store.flush()
assert store.counts.written == (4 if child else 2)
store.close()
if child:
    assert os.waitpid(child, 0)[1] == 0
else:
    os._exit(0)
"""
        subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)
        names = {row["decision_id"] for row in open_store(url).table().table.to_pylist()}
        assert names == {"parent-0", "parent-1", "child-1"}
