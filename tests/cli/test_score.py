"""``score`` from end to end: what it marks, what it says, what it keeps, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.testing import Failure, OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Command


def reply(body: dict[str, Any]) -> Any:
    text = body["messages"][-1]["content"]
    if "break" in text:
        return "I would rather not say."
    return json.dumps({"A": int("is right" in text), "sure": 0.8})


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("KEY_OF_THE_TEST", "not-a-secret")
    monkeypatch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
    with OpenAIServer(reply) as server, OpenAIServer(lambda _: Failure(401, "no")) as closed:
        path = tmp_path / "pool.yaml"
        key = "api_key_env: KEY_OF_THE_TEST"
        prices = "input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6"
        path.write_text(
            "models:\n"
            f"  umpire: {{litellm: openai/umpire, {prices}, options: {{api_base: '{server.url}'}}, {key}}}\n"
            f"  closed: {{litellm: openai/closed, options: {{api_base: '{closed.url}'}}, {key}}}\n",
            encoding="utf-8",
        )
        yield path


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Return a table of forty answers that nobody marked, half of them right."""
    path = tmp_path / "logs.parquet"
    rows = [
        {"query_id": f"q{number}", "query": f"question {number}", "domain": "d", "model": "ab"[number // 2 % 2],
         "tool": "none", "score": None, "response": f"it is {'right' if number % 2 else 'wrong'} {number}"}
        for number in range(40)
    ]  # fmt: skip
    OutcomeTable.from_rows(rows).save(path)
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    lines = [f"q{number},{'ab'[number // 2 % 2]}@@none,{number % 2}\n" for number in range(24)]
    path.write_text("query_id,pair,score\n" + "".join(lines), encoding="utf-8")
    return path


def test_a_judge_with_people_gives_corrected_rates_and_a_rerun_costs_nothing(
    command: Command, logs: Path, people: Path, pool: Path, tmp_path: Path
) -> None:
    out, figures = tmp_path / "scored.parquet", tmp_path / "figures.json"
    asked = ("score", logs, "--judge", "umpire", "--pool", pool, "--human", people, "--out", out, "--json", figures)
    done = command(*asked, "--max-cost", 1)
    assert done.status == 0, done.error
    said = " ".join(done.out.split())
    assert "The judge makes 40 calls for about $" in said
    assert "Marked 40 of 40 rows: 24 by human, 16 by judge:umpire." in said
    assert "sensitivity 100% (76 to 100), specificity 100% (76 to 100)" in said
    assert "a@@none: 50% by the judge, 50% (" in said
    assert "langchain-atlas doctor --data" in said
    written = json.loads(figures.read_text())
    assert [rate["pair"] for rate in written["rates"]] == ["all pairs", "a@@none", "b@@none"]
    assert written["judge"]["calls"] == 40
    scored = OutcomeTable.load(out)
    assert scored.table["score"].to_pylist() == [0.0, 1.0] * 20
    again = command(*asked)
    assert "The judge made 0 calls (40 replies were known before) for $0." in " ".join(again.out.split())


def test_a_plan_calls_nothing_and_writes_nothing(command: Command, logs: Path, pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.parquet"
    done = command("score", logs, "--judge", "umpire", "--pool", pool, "--plan", "--out", out)
    assert done.status == 0
    assert "The judge makes 40 calls for about $" in done.out
    assert not out.exists()
    assert not list(tmp_path.glob("*.judge.jsonl"))


def test_a_limit_stops_and_says_what_is_kept(command: Command, logs: Path, pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.parquet"
    asked = ("score", logs, "--judge", "umpire", "--pool", pool, "--out", out)
    done = command(*asked, "--max-cost", 0.005)
    assert done.status == 0
    said = " ".join(done.out.split())
    assert "Stopped: the next call could exceed the limit of $0.005. All replies so far are kept in" in said
    assert None in OutcomeTable.load(out).table["score"].to_pylist()
    assert command(*asked).status == 0
    assert None not in OutcomeTable.load(out).table["score"].to_pylist(), "the same command goes on from there"


def test_expected_answers_and_mathematics(command: Command, tmp_path: Path) -> None:
    path, out = tmp_path / "logs.jsonl", tmp_path / "scored.jsonl"
    rows = [
        {"query_id": "q", "query": "Half of three?", "context": None, "domain": "d", "model": model, "tool": "none",
         "score": None, "input_tokens": None, "output_tokens": None, "cost_usd": None, "latency_s": None,
         "response": said, "error": "", "tokens_estimated": None, "answer": "Three halves.\n#### 3/2"}
        for model, said in (("a", "\\boxed{1.5}"), ("b", "It is $\\frac{2}{3}$."))
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = command("score", path, "--scorer", "math", "--out", out)
    assert done.status == 0, done.error
    assert "Expected answers: the column 'answer'." in done.out
    assert OutcomeTable.load(out).table["score"].to_pylist() == [1.0, 0.0]


def test_a_judge_that_never_replies_is_a_failure(command: Command, logs: Path, pool: Path, tmp_path: Path) -> None:
    done = command("score", logs, "--judge", "closed", "--pool", pool, "--out", tmp_path / "scored.parquet")
    assert done.status == 1
    assert "calls failed, the last with" in done.out
    assert "not-a-secret" not in done.out + done.error


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "There is nothing to mark by"),
        (("--scorer", "exakt"), "Unknown scorer 'exakt'"),
        (("--scorer", "exact"), "needs expected answers"),
        (("--scorer", "feedback"), "has no column 'feedback'"),
        (("--scorer", "agreement", "--max-cost", "1"), "name it with --judge MODEL"),
        (("--judge", "nobody", "--pool", "POOL"), "nobody"),
        (("--judge", "closed", "--pool", "POOL", "--max-cost", "1"), "price of the judge 'closed' is unknown"),
        (("--judge", "umpire", "--pool", "POOL", "--judge-mode", "rank"), "mode is 'rank'"),
        (("--judge", "umpire", "--pool", "POOL", "--together", "0"), "together is 0"),
        (("--scorer", "agreement", "--scale", "5"), "--scale is '5'"),
        (("--human", "missing.csv"), "Can't read people's marks"),
    ],
)
def test_what_makes_no_sense_is_refused(
    command: Command, logs: Path, pool: Path, tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    given = [str(pool) if argument == "POOL" else argument for argument in arguments]
    done = command("score", logs, *given, "--out", tmp_path / "scored.parquet")
    assert done.status == 2
    assert problem in " ".join(done.error.split())
    assert not (tmp_path / "scored.parquet").exists()
