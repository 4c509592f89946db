"""`profile` on two machines writes the table that it writes on one, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from langchain_atlas import Pool
from langchain_atlas.engines import using_engine
from langchain_atlas.engines.ray import RayEngine
from langchain_atlas.errors import OutcomeError, PoolError
from langchain_atlas.evaluation.profiling.profile import profile
from langchain_atlas.evaluation.profiling.queries import CheckableQuery
from langchain_atlas.outcomes import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fixture_types import Reach, Serve

    from langchain_atlas.testing import OpenAIServer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")]

SUMS = tuple(
    CheckableQuery.of(f"What is {n} + 1?", id=f"sum-{n}", domain="sums", answer=n + 1, scorer="numeric")
    for n in range(12)
)
PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
RUN_USD = 1e-4


def asked(body: dict[str, Any]) -> int:
    """Return the number in a question."""
    return int(body["messages"][-1]["content"].split()[2])


def reply(body: dict[str, Any]) -> dict[str, Any]:
    """Add one, or, as the small model, sometimes not."""
    number = asked(body)
    total = number + 1 if body["model"] == "big" or number % 3 else number
    return {"content": str(total), "usage": {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}}


def pool_of(server: OpenAIServer, reach: Reach, **fields: Any) -> Pool:
    return Pool(models=tuple(reach(server, name, **PRICES, **fields) for name in ("small", "big")))


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return a table's rows in their order, without what a clock says."""
    return [{**row, "latency_s": None} for row in OutcomeTable.load(out).table.to_pylist()]


def files_of(pool: Pool, folder: Path) -> list[str]:
    """Write pool and questions, and return the options that name them."""
    models = {
        model.name: model.model_dump(mode="json", exclude_defaults=True, exclude={"name"}) for model in pool.models
    }
    (folder / "pool.yaml").write_text(yaml.safe_dump({"models": models}, sort_keys=False))
    lines = [
        json.dumps({"query": item.query.text, "id": item.query.id, "answer": item.answer, "scorer": "numeric"})
        for item in SUMS
    ]
    (folder / "questions.jsonl").write_text("\n".join(lines))
    return ["--pool", str(folder / "pool.yaml"), "--queries", str(folder / "questions.jsonl")]


def test_the_table_is_that_of_one_machine(serve: Serve, reach: Reach, cluster: Any, tmp_path: Path) -> None:
    server = serve(reply, delay_s=0.05)
    pool = pool_of(server, reach)
    here = profile(pool, SUMS, tmp_path / "here.parquet")
    done: list[int] = []
    with using_engine(RayEngine(cluster.address)):
        there = profile(pool, SUMS, tmp_path / "there.parquet", progress=lambda count, *_: done.append(count))
    assert rows_of(tmp_path / "there.parquet") == rows_of(tmp_path / "here.parquet")
    assert there == here
    assert done == list(range(25))
    assert len(server.requests) == 48


def test_a_limit_in_dollars_and_one_of_calls_at_once_hold_over_all_machines(
    serve: Serve, reach: Reach, engine: RayEngine, tmp_path: Path
) -> None:
    running, most = Counter[str](), Counter[str]()

    def counted(body: dict[str, Any]) -> dict[str, Any]:
        running["all"] += 1
        most["all"] = max(most["all"], running["all"])
        time.sleep(0.1)
        running["all"] -= 1
        return reply(body)

    pool = pool_of(serve(counted), reach)
    report = profile(pool, SUMS, tmp_path / "table.parquet", concurrency=3, max_cost_usd=6.5 * RUN_USD)
    assert 7 <= report.run_now <= 9
    assert report.stopped == "the limit of $0.00065 is reached"
    assert 2 <= most["all"] <= 3


def test_a_failing_run_is_told_as_here(serve: Serve, reach: Reach, engine: RayEngine, tmp_path: Path) -> None:
    def failing(body: dict[str, Any]) -> Any:
        from langchain_atlas.testing.server import Failure

        return Failure(400, "no such thing") if asked(body) == 3 else reply(body)

    pool = pool_of(serve(failing), reach)
    report = profile(pool, SUMS, tmp_path / "table.parquet")
    assert report.failed == 2
    errors = {row["error"] for row in rows_of(tmp_path / "table.parquet")}
    assert any("no such thing" in error for error in errors)


def test_a_key_that_the_machines_lack_is_told_with_the_machine(
    serve: Serve, reach: Reach, engine: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_KEY_OF_THIS_PROCESS", "secret")
    pool = pool_of(serve(reply), reach, api_key_env="ATLAS_KEY_OF_THIS_PROCESS")
    with pytest.raises(PoolError, match=r"On the machine 127\.0\.0\.1: .*ATLAS_KEY_OF_THIS_PROCESS"):
        profile(pool, SUMS, tmp_path / "table.parquet")


def test_killed_in_the_middle_it_goes_on_with_either_engine(
    serve: Serve, reach: Reach, cluster: Any, tmp_path: Path, command: list[str]
) -> None:
    server = serve(reply, delay_s=0.4)
    pool = pool_of(server, reach)
    profile(pool, SUMS, tmp_path / "whole.parquet", concurrency=24)
    server.requests.clear()
    out = tmp_path / "table.parquet"
    options = ["profile", *files_of(pool, tmp_path), "--out", str(out), "--concurrency", "2"]
    there = [*command, *options, "--engine", "ray", "--ray-address", cluster.address]
    process = subprocess.Popen(there, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until(lambda: len(server.requests) >= 6)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    process = subprocess.Popen(there, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until(lambda: len(server.requests) >= 14)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "the same command goes on from there" in told
    time.sleep(1.5)
    stopped = len(server.requests)
    time.sleep(1.5)
    assert len(server.requests) == stopped, "nothing is left running"
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    texts = ("response", "score", "cost_usd", "query_id", "model")
    rows, whole = rows_of(out), rows_of(tmp_path / "whole.parquet")
    assert [[row[name] for name in texts] for row in rows] == [[row[name] for name in texts] for row in whole]
    assert 24 <= len(server.requests) <= 24 + 4, "only runs under way at a stop are made again"


def test_a_machine_may_go_in_the_middle(
    serve: Serve, reach: Reach, cluster: Any, lose_machine: Callable[[], None], tmp_path: Path
) -> None:
    server = serve(reply, delay_s=0.3)
    pool = pool_of(server, reach)
    profile(pool, SUMS, tmp_path / "here.parquet", concurrency=24)

    def lose(count: int, *_: Any) -> None:
        if count == 6:
            lose_machine()

    with using_engine(RayEngine(cluster.address)):
        report = profile(pool, SUMS, tmp_path / "there.parquet", progress=lose)
    assert (report.run_now, report.failed, report.left) == (24, 0, 0)
    assert rows_of(tmp_path / "there.parquet") == rows_of(tmp_path / "here.parquet")


def test_without_an_address_a_cluster_is_started_for_the_command(
    serve: Serve, reach: Reach, machines_environment: None, tmp_path: Path, command: list[str]
) -> None:
    pytest.importorskip("ray")
    pool = pool_of(serve(reply), reach)
    out = tmp_path / "table.parquet"
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [*command, "profile", *files_of(pool, tmp_path), "--out", str(out), "--engine", "ray"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 24, 0 were recorded before." in done.stdout
    assert "secret" not in done.stdout + done.stderr
    assert len(rows_of(out)) == 24


def until(reached: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def test_a_scorer_that_fails_stops_it_with_its_reason(
    serve: Serve, reach: Reach, engine: RayEngine, tmp_path: Path
) -> None:
    item = CheckableQuery.of("What is 1 + 1?", id="x", answer=2, scorer={"kind": "function", "name": "working:times"})
    with pytest.raises(OutcomeError, match="Query 'x', answered by"):
        profile(pool_of(serve(reply), reach), [item], tmp_path / "table.parquet")
