"""``profile`` with a budget, as a person runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from provider import serve

from langchain_atlas.outcomes import OutcomeTable

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command
    from fixture_types import Serve

__all__ = ["serve"]

USAGE = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
PRICES = "input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6"


@pytest.fixture
def files(serve: Serve, tmp_path: Path) -> tuple[str, ...]:
    """Write a pool of two models, one of them without a price, and thirty questions; return the options."""
    server = serve({"content": "1", "usage": USAGE})
    reached = f"options: {{api_base: '{server.url}'}}, api_key_env: ATLAS_TEST_KEY"
    (tmp_path / "pool.yaml").write_text(
        f"models:\n  small: {{litellm: openai/small, {PRICES}, {reached}}}\n"
        f"  other: {{litellm: openai/other, {PRICES}, {reached}}}\n"
        f"  priceless: {{litellm: openai/priceless, {reached}}}\n"
    )
    lines = [{"query": f"What is {n} - {n - 1}?", "answer": 1, "scorer": "numeric"} for n in range(30)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "--pool", str(tmp_path / "pool.yaml"), "--queries", str(tmp_path / "q.jsonl")


@pytest.mark.usefixtures("fake_encoder")
def test_it_shows_what_tells_most_and_then_spends_no_more_than_the_budget(
    command: Command, files: tuple[str, ...], tmp_path: Path
) -> None:
    out, figures = tmp_path / "t.parquet", tmp_path / "f.json"
    planned = command("profile", *files, "--out", out, "--budget", "0.0012", "--plan", "--json", figures)
    assert planned.status == 0, planned.error
    assert "Not run, as their price is unknown: priceless@@none." in planned.out
    assert "tell most (within the budget of $0.0012)" in planned.out
    assert not out.exists()
    plan = json.loads(figures.read_text())["plan"]
    assert len(plan["runs"]) > 0
    assert plan["cost_usd"] <= 0.0012
    done = command("profile", *files, "--out", out, "--budget", "0.0012", "--json", figures)
    assert done.status == 0, done.error
    assert "no run that is left fits into the budget" in done.out
    told = json.loads(figures.read_text())
    assert 8 <= told["run_now"] <= 12
    assert told["cost_usd"] <= 0.0012
    assert len(OutcomeTable.load(out)) == told["run_now"]


@pytest.mark.usefixtures("fake_encoder")
def test_without_a_budget_the_plan_shows_a_quarter(command: Command, files: tuple[str, ...], tmp_path: Path) -> None:
    planned = command("profile", *files, "--out", tmp_path / "t.parquet", "--plan", "--json", tmp_path / "f.json")
    assert planned.status == 0, planned.error
    assert "90 runs are left" in planned.out
    assert "To make them: --budget" in planned.out
    assert len(json.loads((tmp_path / "f.json").read_text())["plan"]["runs"]) == round(0.25 * 90)
