"""Profiling runs every pair on every query once, whatever happens in between."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from langchain_atlas.errors import OutcomeError, PoolError, SettingError
from langchain_atlas.evaluation.profiling.profile import ProfileReport, aprofile, profile
from langchain_atlas.evaluation.profiling.queries import CheckableQuery
from langchain_atlas.execution.base import Executor
from langchain_atlas.outcomes import COLUMNS, OutcomeTable
from langchain_atlas.pool.pool import Model, Pair, Pool, Tool
from langchain_atlas.trajectory import Observation, Query
from langchain_atlas.usage import Usage


def shout(text: str) -> str:
    """Shout."""
    return text.upper()


POOL = Pool(
    models=(Model(name="small"), Model(name="big")),
    tools=(Tool(name="none", invocation="none"), Tool(name="loud", tools=(shout,))),
)
SUMS = tuple(
    CheckableQuery.of(f"What is {n} + 1?", id=f"sum-{n}", domain="sums", answer=n + 1, scorer="numeric")
    for n in range(5)
)


class Calculating(Executor):
    """Big adds right, small is one off; `failing` pairs of model and query id fail; calls are counted."""

    def __init__(self, *failing: tuple[str, str]) -> None:
        self.failing = failing
        self.calls: list[tuple[str | None, str]] = []
        self.running = self.most_running = 0

    def run(self, pair: Pair, query: Query) -> Observation:
        self.calls.append((query.id, str(pair)))
        if (pair.model, query.id) in self.failing:
            return Observation(pair=pair, error="Timeout: too late", latency_s=9.0)
        total = int(query.text.split()[2]) + (1 if pair.model == "big" else 2)
        return Observation(
            pair=pair,
            answer=f"It is {total}.",
            usage=Usage(input_tokens=10, output_tokens=4),
            cost_usd=0.25,
            latency_s=0.5,
        )

    async def arun(self, pair: Pair, query: Query) -> Observation:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        return self.run(pair, query)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


def journal_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.journal.jsonl")


def test_every_pair_is_run_on_every_query_and_scored(out: Path) -> None:
    executor = Calculating()
    report = profile(POOL, SUMS, out, executor)
    assert report == ProfileReport(
        total=20, done_before=0, run_now=20, failed=0, cost_usd=5.0, known_cost_usd=5.0, unpriced=0
    )
    table = OutcomeTable.load(out)
    assert table.table.column_names == [column.name for column in COLUMNS]
    assert table.table.slice(2, 1).to_pylist() == [
        {
            "query_id": "sum-0",
            "query": "What is 0 + 1?",
            "context": None,
            "domain": "sums",
            "model": "big",
            "tool": "none",
            "score": 1.0,
            "input_tokens": 10,
            "output_tokens": 4,
            "cost_usd": 0.25,
            "latency_s": 0.5,
            "response": "It is 1.",
            "error": "",
            "tokens_estimated": False,
        }
    ]
    assert table.query_ids == tuple(f"sum-{n}" for n in range(5))
    assert table.pairs == POOL.pairs
    assert table.matrix().tolist() == [[0.0, 0.0, 1.0, 1.0]] * 5
    assert [path.name for path in out.parent.iterdir()] == ["table.parquet"]


def test_a_failed_run_scores_0_with_its_error_and_is_repeated_on_demand(out: Path) -> None:
    flaky = Calculating(("big", "sum-3"))
    report = profile(POOL, SUMS, out, flaky)
    assert (report.run_now, report.failed, report.unpriced) == (20, 2, 2)
    assert (report.cost_usd, report.known_cost_usd) == (None, 4.5)
    failed = [row for row in OutcomeTable.load(out).table.to_pylist() if row["error"]]
    assert {(row["query_id"], row["model"], row["score"], row["response"], row["error"]) for row in failed} == {
        ("sum-3", "big", 0.0, None, "Timeout: too late")
    }

    unasked = Calculating()
    report = profile(POOL, SUMS, out, unasked)
    assert (report.nothing_left, report.failed, unasked.calls) == (True, 2, [])

    mended = Calculating()
    report = profile(POOL, SUMS, out, mended, repeat_failed=True)
    assert (report.done_before, report.run_now, report.failed) == (18, 2, 0)
    assert sorted(mended.calls) == [("sum-3", "big@@loud"), ("sum-3", "big@@none")]
    table = OutcomeTable.load(out)
    assert len(table) == 20
    assert table.matrix().tolist() == [[0.0, 0.0, 1.0, 1.0]] * 5


def test_more_queries_and_pairs_complete_an_earlier_table(out: Path) -> None:
    profile(POOL.restrict(["big@@none"]), SUMS[:2], out, Calculating())
    executor = Calculating()
    report = profile(POOL, SUMS[1:], out, executor)
    assert (report.total, report.done_before, report.run_now) == (16, 1, 15)
    assert ("sum-1", "big@@none") not in executor.calls
    table = OutcomeTable.load(out)
    assert len(table) == 17
    assert Counter(table.table["query_id"].to_pylist()) == {"sum-0": 1, **{f"sum-{n}": 4 for n in range(1, 5)}}


@pytest.mark.parametrize("concurrency", [1, 3, 50])
def test_concurrency_is_a_limit_and_queries_go_one_by_one(out: Path, concurrency: int) -> None:
    executor = Calculating()
    profile(POOL, SUMS, out, executor, concurrency=concurrency)
    assert executor.most_running == min(concurrency, 20)
    if concurrency == 1:
        assert executor.calls == [(item.query.id, str(pair)) for item in SUMS for pair in POOL.pairs]


def test_progress_counts_what_was_there_and_what_comes(out: Path) -> None:
    profile(POOL, SUMS[:1], out, Calculating())
    told: list[tuple[int, int, str | None]] = []

    def note(done: int, total: int, row: dict[str, Any] | None) -> None:
        told.append((done, total, row["query_id"] if row else None))

    profile(POOL, SUMS[:2], out, Calculating(), concurrency=1, progress=note)
    assert told == [(4, 8, None), (5, 8, "sum-1"), (6, 8, "sum-1"), (7, 8, "sum-1"), (8, 8, "sum-1")]


def test_an_error_of_the_executor_stops_and_keeps_what_was_recorded(out: Path) -> None:
    class Leaving(Calculating):
        def run(self, pair: Pair, query: Query) -> Observation:
            if query.id == "sum-2":
                raise PoolError("no such pair")
            return super().run(pair, query)

    with pytest.raises(PoolError, match="no such pair"):
        profile(POOL, SUMS, out, Leaving(), concurrency=1)
    assert not out.exists()
    assert len(journal_of(out).read_text().splitlines()) == 8
    executor = Calculating()
    assert profile(POOL, SUMS, out, executor).done_before == 8
    assert len(executor.calls) == 12


async def test_a_cancelled_run_goes_on_later(out: Path) -> None:
    recorded = asyncio.Event()
    executor = Calculating()

    def note(done: int, _total: int, _row: dict[str, Any] | None) -> None:
        if done >= 6:
            recorded.set()

    task = asyncio.create_task(aprofile(POOL, SUMS, out, executor, progress=note))
    await recorded.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    before = len(journal_of(out).read_text().splitlines())
    assert 6 <= before < 20
    again = Calculating()
    report = await aprofile(POOL, SUMS, out, again)
    assert (report.done_before, report.run_now) == (before, 20 - before)
    assert len(OutcomeTable.load(out)) == 20


async def test_two_runs_on_one_table_do_not_mix(out: Path) -> None:
    results = await asyncio.gather(
        *(aprofile(POOL, SUMS, out, Calculating()) for _ in range(2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ProfileReport, OutcomeError]
    assert "Another run" in str(results[1])
    assert len(OutcomeTable.load(out)) == 20


async def test_profile_points_to_aprofile_where_a_loop_is_running(out: Path) -> None:
    with pytest.raises(SettingError, match="await aprofile"):
        profile(POOL, SUMS, out, Calculating())


def test_what_is_asked_must_be_what_is_recorded(out: Path) -> None:
    profile(POOL, SUMS, out, Calculating())
    executor = Calculating()
    for changed, what in (
        (CheckableQuery.of("What is 7 + 1?", id="sum-2", domain="sums", answer=8, scorer="numeric"), "text"),
        (
            CheckableQuery.of("What is 2 + 1?", id="sum-2", context="c", domain="sums", answer=3, scorer="numeric"),
            "context",
        ),
        (CheckableQuery.of("What is 2 + 1?", id="sum-2", answer=3, scorer="numeric"), "domain"),
    ):
        with pytest.raises(OutcomeError, match=rf"'sum-2' is recorded in .* with another {what}"):
            profile(POOL, (*SUMS[:2], changed), out, executor)
    assert executor.calls == []
    assert [path.name for path in out.parent.iterdir()] == ["table.parquet"]


@pytest.mark.parametrize(
    ("queries", "problem"),
    [
        ((), "no query"),
        ((*SUMS, CheckableQuery.of("a", id="x", scorer="exact")), "'x' .* has no 'answer'"),
        ((*SUMS, CheckableQuery.of("a", id="x", answer="b")), "'x' .* has no 'scorer'"),
        ((*SUMS, SUMS[0]), "Two queries have the id 'sum-0'"),
    ],
)
def test_queries_that_can_not_be_scored_are_refused_before_any_run(
    out: Path, queries: tuple[CheckableQuery, ...], problem: str
) -> None:
    executor = Calculating()
    with pytest.raises(OutcomeError, match=problem):
        profile(POOL, queries, out, executor)
    assert executor.calls == []
    assert list(out.parent.iterdir()) == []


def test_concurrency_below_1_is_refused(out: Path) -> None:
    with pytest.raises(SettingError, match="concurrency is 0"):
        profile(POOL, SUMS, out, Calculating(), concurrency=0)


def test_a_scoring_function_that_fails_names_query_and_pair(out: Path) -> None:
    query = CheckableQuery.of(
        "What is 1 + 1?", id="x", answer=2, scorer={"kind": "function", "name": "operator:truediv"}
    )
    with pytest.raises(OutcomeError, match=r"Query 'x', answered by 'small@@none': .*operator:truediv.*TypeError"):
        profile(POOL, [query], out, Calculating(), concurrency=1)


def test_half_characters_of_a_model_do_not_spoil_the_table(out: Path) -> None:
    class Torn(Calculating):
        def run(self, pair: Pair, query: Query) -> Observation:
            return super().run(pair, query).replace(answer="1 \ud83d")

    profile(POOL, SUMS[:1], out, Torn())
    assert OutcomeTable.load(out).texts("response") == [["1 ?"] * 4]


SCRIPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
import asyncio, os, sys
from langchain_atlas.evaluation.profiling.profile import profile
from langchain_atlas.evaluation.profiling.queries import CheckableQuery
from langchain_atlas.execution.base import Executor
from langchain_atlas.pool.pool import Model, Pool
from langchain_atlas.trajectory import Observation

out, calls, delay = sys.argv[1], sys.argv[2], float(sys.argv[3])

class Slow(Executor):
    def run(self, pair, query):
        raise NotImplementedError

    async def arun(self, pair, query):
        with open(calls, "a") as file:
            file.write(f"{query.id} {pair.model}\\n")
        await asyncio.sleep(delay)
        return Observation(pair=pair, answer="yes")

pool = Pool(models=tuple(Model(name=f"model-{n}") for n in range(3)))
queries = [CheckableQuery.of(f"question {n}?", id=f"q{n}", answer="yes", scorer="exact") for n in range(20)]
report = profile(pool, queries, out, Slow(), concurrency=4)
print(report.done_before, report.run_now)
"""


def start(out: Path, calls: Path, delay: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(out), str(calls), str(delay)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def recorded_in(journal: Path) -> set[tuple[str, str]]:
    whole = journal.read_bytes().rpartition(b"\n")[0].splitlines()
    return {(row["query_id"], row["model"]) for row in map(json.loads, whole)}


def calls_in(calls: Path) -> list[tuple[str, ...]]:
    return [tuple(line.split()) for line in calls.read_text().splitlines()]


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_is_completed_by_the_same_command(tmp_path: Path, sign: signal.Signals) -> None:
    out, calls = tmp_path / "table.parquet", tmp_path / "calls.txt"
    recorded: set[tuple[str, str]] = set()
    called = 0
    for lines in (7, 20):
        process = start(out, calls, delay=0.05)
        wait_for_lines(journal_of(out), lines, process)
        process.send_signal(sign)
        _, errors = process.communicate(timeout=30)
        assert process.returncode != 0
        assert ("KeyboardInterrupt" in errors) == (sign == signal.SIGINT)
        assert recorded.isdisjoint(calls_in(calls)[called:])
        assert recorded < recorded_in(journal_of(out))
        recorded, called = recorded_in(journal_of(out)), len(calls_in(calls))
    assert not out.exists()
    assert 20 <= len(recorded) < 60

    printed, errors = start(out, calls, delay=0.0).communicate(timeout=30)
    assert printed.split() == [str(len(recorded)), str(60 - len(recorded))], errors
    assert recorded.isdisjoint(calls_in(calls)[called:])
    assert len(calls_in(calls)[called:]) == 60 - len(recorded)
    table = OutcomeTable.load(out).table
    keys = Counter(zip(table["query_id"].to_pylist(), table["model"].to_pylist(), strict=True))
    assert keys == {(f"q{n}", f"model-{m}"): 1 for n in range(20) for m in range(3)}
    assert not journal_of(out).exists()
