"""One budget for many processes: what calls take is charged before and set right after them, in the store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from spending import DEAREST, EXPECTED_USD, Dearest, Waiting

from langchain_atlas import AtlasChain, Limits, Store
from langchain_atlas.amounts import Caps, Use
from langchain_atlas.errors import LimitError
from langchain_atlas.loop.limits.ledger import MemoryLedger
from langchain_atlas.outcomes.store.database import checked_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas.loop.limits.ledger import LimitLedger

PROGRAM = Path(__file__).with_name("spending.py")
LARGEST = max(EXPECTED_USD.values())


def spend(
    url: str, *, day_usd: float, runs: int, concurrent: int, way: str, seconds: float = 0.05
) -> subprocess.Popen[str]:
    arguments = [url, str(day_usd), str(runs), str(concurrent), way, str(seconds)]
    return subprocess.Popen([sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, text=True)


def results_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    said, _ = process.communicate(timeout=120)
    return [json.loads(line) for line in said.splitlines()]


def rows_of(url: str, table: str) -> list[dict[str, Any]]:
    engine = sa.create_engine(checked_url(url))
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(sa.text(f"select * from {table}")).mappings()]  # noqa: S608
    engine.dispose()
    return rows


class TestProcessesThatShareADaysBudget:
    def test_pass_it_by_no_more_than_the_calls_in_flight(self, url: str) -> None:
        day_usd, concurrent = 2.0, (13, 13, 12, 12)
        processes = [
            spend(url, day_usd=day_usd, runs=40, concurrent=number, way=way)
            for number, way in zip(concurrent, ("threads", "loop") * 2, strict=True)
        ]
        results = [result for process in processes for result in results_of(process)]
        assert len(results) == 160, "each run ends"
        answered = [result for result in results if "error" not in result]
        refused = [result for result in results if "error" in result]
        assert {result["error"] for result in refused} == {"LimitError"}
        assert all("day_usd is 2, and " in result["said"] for result in refused), refused[0]
        spent = sum(result["cost_usd"] for result in answered)
        assert spent <= day_usd + sum(concurrent) * LARGEST * (DEAREST - 1)
        assert spent > day_usd / 2, "and the budget is used"
        (total,) = rows_of(url, "atlas_totals")
        charges = rows_of(url, "atlas_charges")
        assert total["usd"] == pytest.approx(spent), "what was counted is what was spent"
        assert total["usd"] == pytest.approx(sum(charge["usd"] for charge in charges))
        assert total["calls"] == len(charges) == len(answered)
        assert all(charge["is_settled"] for charge in charges)

    def test_call_of_a_killed_process_stays_charged_as_expected(self, url: str) -> None:
        Store(url).ledger.used(["day"])  # makes the tables
        process = spend(url, day_usd=1000, runs=100_000, concurrent=8, way="threads", seconds=1.0)
        assert process.stdout is not None
        heard = [json.loads(process.stdout.readline()) for _ in range(30)]
        os.kill(process.pid, signal.SIGKILL)
        heard += [json.loads(line) for line in process.communicate()[0].splitlines()]
        (total,) = rows_of(url, "atlas_totals")
        charges = rows_of(url, "atlas_charges")
        assert total["usd"] == pytest.approx(sum(charge["usd"] for charge in charges))
        assert len(heard) <= total["calls"] == len(charges) <= len(heard) + 8
        unended = [charge["usd"] for charge in charges if not charge["is_settled"]]
        assert 0 < len(unended) <= 8
        assert unended == pytest.approx([LARGEST] * len(unended))


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, open_store: Callable[..., Store]) -> LimitLedger:
    if request.param == "memory":
        return MemoryLedger()
    if request.param == "sqlite":
        return open_store(f"sqlite:///{tmp_path}/atlas.db").ledger
    return open_store(request.getfixturevalue("postgres").url(f"ledger{time.monotonic_ns()}")).ledger


class TestLedger:
    def test_charges_once_and_settles_once(self, ledger: LimitLedger) -> None:
        caps = {"day:1": Caps(usd=1.0)}
        for _ in range(2):
            assert ledger.charge("a", Use(0.5, 1.0, 1), caps) is None
        assert ledger.used(["day:1"]) == {"day:1": Use(0.5, 1.0, 1)}
        for _ in range(2):
            ledger.settle("a", Use(0.125, 4.0, 1))
        ledger.settle("nobody", Use(9, 9, 9))
        assert ledger.used(["day:1", "day:2"]) == {"day:1": Use(0.125, 4.0, 1), "day:2": Use()}

    def test_charges_all_scopes_or_none(self, ledger: LimitLedger) -> None:
        caps = {"day:1": Caps(usd=1.0), "user:1:ada": Caps(calls=1)}
        assert ledger.charge("a", Use(0.5, 0.0, 1), caps) is None
        assert ledger.charge("b", Use(0.25, 0.0, 1), caps) == "user:1:ada"
        assert ledger.used(caps) == {"day:1": Use(0.5, 0.0, 1), "user:1:ada": Use(0.5, 0.0, 1)}
        assert ledger.charge("b", Use(0.5, 0.0, 1), {"day:1": Caps(usd=1.0)}) is None, "up to the limit"

    @pytest.mark.parametrize(
        ("cap", "used", "more", "fits"),
        [
            (Caps(usd=0.3), Use(0.1 + 0.1, 0, 1), Use(0.1, 0, 1), True),  # 0.30000000000000004
            (Caps(usd=0.3), Use(0.2, 0, 1), Use(0.11, 0, 1), False),
            (Caps(usd=0.1), Use(0.2, 0, 1), Use(0.0, 0, 1), True),  # what is free always fits
            (Caps(usd=0.0), Use(), Use(0.001, 0, 1), False),
            (Caps(seconds=2), Use(0, 1.5, 1), Use(0, 0, 1), True),
            (Caps(seconds=2), Use(0, 2.0, 1), Use(0, 0, 1), False),
            (Caps(seconds=2), Use(0, 1.5, 1), Use(0, 1, 1), False),
            (Caps(calls=2), Use(0, 0, 1), Use(0, 0, 1), True),
            (Caps(calls=2), Use(0, 0, 2), Use(0, 0, 1), False),
            (Caps(calls=0), Use(), Use(0, 0, 1), False),
        ],
    )
    def test_leaves_room_up_to_the_limit(
        self, ledger: LimitLedger, cap: Caps, used: Use, more: Use, *, fits: bool
    ) -> None:
        if used != Use():
            assert ledger.charge("a", used, {"day:1": Caps()}) is None
        assert (ledger.charge("b", more, {"day:1": cap}) is None) == fits
        assert cap.allow(used, more) == fits

    def test_leaves_a_model_out_after_failures_in_a_row(self, ledger: LimitLedger) -> None:
        for _ in range(2):
            ledger.failed("large", 60.0, 3)
        ledger.answered("large")
        for _ in range(2):
            ledger.failed("large", 60.0, 3)
        assert ledger.failing() == {"large": 0.0}, "not yet"
        ledger.failed("large", 60.0, 3)
        assert ledger.failing()["large"] == pytest.approx(time.time() + 60, abs=5)
        ledger.answered("large")
        assert ledger.failing() == {}

    def test_failures_far_apart_are_not_in_a_row(self, ledger: LimitLedger) -> None:
        ledger.failed("large", 1.0, 2)
        time.sleep(1.2)
        ledger.failed("large", 1.0, 2)
        assert ledger.failing() == {"large": 0.0}
        ledger.failed("large", 1.0, 2)
        until = ledger.failing()["large"]
        assert until > 0
        time.sleep(max(0.0, until - time.time()) + 0.05)
        ledger.failed("large", 1.0, 2)
        assert ledger.failing()["large"] > until, "had its chance and failed again"


def test_cooldown_is_seen_by_other_processes_within_a_second_or_two(url: str, open_store: Callable[..., Store]) -> None:
    mine, theirs = open_store(url).ledger, open_store(url).ledger
    assert theirs.failing() == {}
    mine.failed("large", 60.0, 1)
    deadline = time.monotonic() + 5
    while not theirs.failing() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(theirs.failing()) == {"large"}
    assert time.monotonic() < deadline - 2.5


@pytest.mark.parametrize("name", ["x" * 10_000, "with\0nul", "half \ud800", "é" * 150])
def test_any_name_of_a_user_is_counted(name: str, url: str) -> None:
    store = Store(url)
    limits = Limits(user_calls=1)
    chain = AtlasChain(Dearest(), Waiting(0), store=store, limits=limits)
    chain.invoke("hello", {"configurable": {"user_id": name}})
    with pytest.raises(LimitError, match="user_calls is 1, and 1 calls are used"):
        chain.invoke("hello", {"configurable": {"user_id": name}})
    chain.invoke("hello", {"configurable": {"user_id": f"{name}other"}})
    store.close()


def test_a_store_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/atlas.db"
    Store(url).ledger.used(["day"])
    engine = sa.create_engine(checked_url(url))
    with engine.begin() as connection:
        connection.execute(sa.text("drop index atlas_charges_charged_at"))
        connection.execute(sa.text("update atlas_version set version_num = '0002'"))
    Store(url).ledger.used(["day"])
    assert [index["name"] for index in sa.inspect(engine).get_indexes("atlas_charges")] == ["atlas_charges_charged_at"]
    engine.dispose()


def test_a_database_that_is_deleted_while_it_is_open_is_made_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/atlas.db"
    store = Store(url)
    caps = {"day": Caps(calls=2)}
    assert store.ledger.charge("one", Use(calls=1), caps) is None
    for path in tmp_path.glob("atlas.db*"):
        if path.is_file():
            path.unlink()
    assert store.ledger.used(["day"]) == {"day": Use()}
    assert store.ledger.charge("two", Use(calls=1), caps) is None
    assert store.ledger.used(["day"]) == {"day": Use(calls=1)}
    store.close()
    assert [path.name for path in tmp_path.glob("atlas.db*") if path.is_file()] == ["atlas.db"]
