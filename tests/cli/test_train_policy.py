"""``train --policy`` and ``evaluate --samples``, as a user runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from langchain_atlas.cli.app import app
from langchain_atlas.errors import MissingExtraError, SettingError
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.prompted.router import PromptedRouter
from langchain_atlas.testing.tiny_policy import save_tiny_model, toy_table

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_language_model_is_trained_saved_and_evaluated(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="training a language model needs the extra train-llm")
    toy_table(6).save(tmp_path / "toy.parquet")
    base = save_tiny_model(tmp_path / "base", ["the question", "result 1"])
    data, out = ["--data", str(tmp_path / "toy.parquet")], str(tmp_path / "router")
    asked = [
        "--policy",
        base,
        "--imitate",
        "nothing",
        "--steps",
        "1",
        "--step-tokens",
        "8",
        "--curves",
        str(tmp_path / "curves"),
    ]
    trained = runner.invoke(app, ["train", *data, "--out", out, *asked])
    assert trained.exit_code == 0, trained.output
    assert isinstance(Router.load(out), PromptedRouter)
    assert (tmp_path / "curves" / "curves.jsonl").read_text().count('"part": "grpo"') == 2
    figures = tmp_path / "evaluation.json"
    evaluated = runner.invoke(app, ["evaluate", *data, "--router", out, "--samples", "2", "--json", str(figures)])
    assert evaluated.exit_code == 0, evaluated.output
    repeated = json.loads(figures.read_text())["repeated"][out]
    assert set(repeated["pass_at"]) == {"1", "2"}


def test_resuming_needs_the_checkpoints(tmp_path: Path) -> None:
    toy_table(6).save(tmp_path / "toy.parquet")
    asked = ["train", "--data", str(tmp_path / "toy.parquet"), "--out", str(tmp_path / "router"), "--policy", "x"]
    result = runner.invoke(app, [*asked, "--resume"])
    assert isinstance(result.exception, SettingError | MissingExtraError)
    assert "name that folder too" in str(result.exception)
