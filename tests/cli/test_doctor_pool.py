"""``doctor --pool`` from the command line, as a newcomer sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from provider import serve

from langchain_atlas.testing import Failure, call_tool

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from conftest import Command
    from fixture_types import Serve


__all__ = ["serve"]


def reply(body: dict[str, Any]) -> Any:
    if body["model"] == "broken":
        return Failure(401, "Incorrect key: secret")
    if body.get("tools"):
        return {"tool_calls": [call_tool("report", {"state": "ready"})]}
    return '{"state": "ready"}' if body.get("response_format") else "ready"


@pytest.fixture
def pool(serve: Serve, tmp_path: Path) -> Path:
    """Return a pool file of one model that works and one that does not."""
    reached = f"options: {{api_base: '{serve(reply).url}'}}, api_key_env: ATLAS_TEST_KEY"
    path = tmp_path / "pool.yaml"
    path.write_text(
        "models:\n"
        f"  mini: {{litellm: openai/gpt-4o-mini, {reached}}}\n"
        f"  broken: {{litellm: openai/broken, {reached}}}\n"
        "tools:\n  none: {}\n  calculator: {use: calculator}\n"
    )
    return path


def test_a_time_limit_of_nothing_is_refused_before_anything_is_said(command: Command, pool: Path) -> None:
    done = command("doctor", "--pool", pool, "--timeout", "0")
    assert (done.status, done.out) == (2, "")
    assert "--timeout is 0.0; it must be above 0 seconds." in done.error


def test_says_what_works_and_what_does_not(command: Command, pool: Path, tmp_path: Path) -> None:
    done = command("doctor", "--pool", pool, "--json", tmp_path / "check.json")
    assert done.status == 1
    assert "At most 8 short model calls, for at most $0.00024 and what broken may cost." in done.out
    assert "2 of 4 pairs can work." in done.out
    assert "AuthenticationError" in done.out
    assert "1 thing in the pool must be fixed" in done.error
    assert "secret" not in done.out + done.error
    figures = json.loads((tmp_path / "check.json").read_text())
    assert figures["fine"] is False
    assert [model["function_calling"] for model in figures["models"]] == ["yes", None]
    assert {pair["pair"]: pair["works"] for pair in figures["pairs"]} == {
        "mini@@none": True,
        "mini@@calculator": True,
        "broken@@none": False,
        "broken@@calculator": False,
    }


def test_fits_a_terminal_of_80_columns(command: Command, pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console.Console.width", property(lambda _: 80, lambda *_: None))
    out = command("doctor", "--pool", pool).out
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out


def test_is_fine_when_all_is(command: Command, pool: Path) -> None:
    pool.write_text("".join(line for line in pool.read_text().splitlines(keepends=True) if "broken" not in line))
    done = command("doctor", "--pool", pool)
    assert (done.status, done.error) == (0, "")
    assert "2 of 2 pairs can work." in done.out


def test_calls_nothing_when_told(command: Command, pool: Path) -> None:
    done = command("doctor", "--pool", pool, "--no-calls")
    assert done.status == 0
    assert "4 of 4 pairs may work; nothing was called." in done.out


def test_an_embedded_model_needs_no_key(command: Command, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("models: {own: {litellm: atlas-local/smollm2-135m}, odd: {litellm: nobody/m}}\n")
    done = command("doctor", "--pool", tmp_path / "p.yaml", "--no-calls")
    assert done.status == 1  # nobody knows the provider of the other
    assert "'nobody'" in done.out
    assert "Provider List" not in done.out + done.error
    assert "which is not set" not in done.out


def test_a_callers_mistakes(command: Command, pool: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ((), "Give --data with an outcome table, --pool with a pool, or --store with a store"),
        (("--pool", tmp_path / "none.yaml"), "Can't read the pool file"),
        (("--pool", pool, "--timeout", "0"), "must be above 0"),
        (("--pool", pool, "--data", tmp_path / "t.parquet", "--no-calls"), "--no-calls goes with --pool alone"),
    ):
        done = command("doctor", *arguments)
        assert done.status == 2
        assert message in done.error
