"""What docs/scoring.md and docs/judges.md show works: its Python, its rubric, its options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from judging import ScriptedJudge, erring, known_answers
from pages import blocks, page
from typer.testing import CliRunner

from langchain_atlas.cli.app import app
from langchain_atlas.evaluation.scoring.judging.rubrics import Rubrics
from langchain_atlas.evaluation.scoring.scorers import SCORERS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TEXT = page("docs/scoring.md") + page("docs/judges.md")


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    known = known_answers()
    known.table.save("logs.parquet")
    marks = known.marked_by_people(80, 0)
    lines = [f"{mark.query_id},{mark.pair},{mark.score}" for mark in marks]
    (tmp_path / "people.csv").write_text("query_id,pair,score\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (code,) = blocks(TEXT, "python")
    names = {"chat_model": ScriptedJudge(reply=erring(known.right, 0), prompts=[])}
    exec(compile(code, "docs/scoring.md", "exec"), names)  # noqa: S102  # our own text
    assert "all pairs: " in capsys.readouterr().out
    assert (tmp_path / "scored.parquet").exists()


def test_the_rubric_is_read(tmp_path: Path) -> None:
    (text,) = blocks(TEXT, "yaml")
    (tmp_path / "rubric.yaml").write_text(text, encoding="utf-8")
    assert Rubrics.load(tmp_path / "rubric.yaml").of("summaries").scale == (1, 5)


def test_the_options_and_settings_that_it_names_are_there() -> None:
    shown = CliRunner().invoke(app, ["score", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for option in set(re.findall(r"--[a-z][a-z-]+", TEXT)) - {"--pool"}:
        assert option in shown, option
    for kind, scorer in SCORERS.items():
        line = next(line for line in TEXT.splitlines() if line.startswith(f"| `{kind}` |"))
        for setting in set(scorer.model_fields) - {"kind"}:
            assert f"`{setting}`" in line, f"{kind}: {setting}"
