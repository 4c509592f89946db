"""``demo --logs``: the made-up logs that the tutorial starts from, for who has the wheel alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from langchain_atlas.demo import LOGS

if TYPE_CHECKING:
    from conftest import Command

ROOT = Path(__file__).parents[2]
NAMES = ["helpdesk.csv", "langsmith_runs.jsonl", "litellm_answers.jsonl", "litellm_spend_log.json"]


def test_the_logs_come_with_the_package(tmp_path: Path, command: Command) -> None:
    done = command("demo", "--logs", tmp_path / "new" / "logs", "--json", tmp_path / "told.json")
    assert done.status == 0
    assert sorted(path.name for path in (tmp_path / "new/logs").iterdir()) == NAMES
    for name in NAMES:
        assert (tmp_path / "new/logs" / name).read_bytes() == (LOGS / name).read_bytes()
    told = json.loads((tmp_path / "told.json").read_text())
    assert [Path(name).name for name in told["logs"]] == NAMES
    assert command("demo", "--logs", tmp_path / "new" / "logs").status == 0  # a second time


def test_a_log_of_ones_own_is_not_written_over(tmp_path: Path, command: Command) -> None:
    (tmp_path / "helpdesk.csv").write_text("mine")
    refused = command("demo", "--logs", tmp_path)
    assert refused.status == 2
    assert "is there and is another file. Name another folder" in " ".join(refused.error.split())
    assert [path.name for path in tmp_path.iterdir()] == ["helpdesk.csv"]
    assert (tmp_path / "helpdesk.csv").read_text() == "mine"


def test_a_file_is_no_folder_for_logs(tmp_path: Path, command: Command) -> None:
    (tmp_path / "file").write_text("")
    assert command("demo", "--logs", tmp_path / "file").status == 2


@pytest.mark.parametrize("script", sorted((ROOT / "examples/tutorials").glob("*.py")), ids=lambda path: path.stem)
def test_a_tutorial_needs_no_file_beside_it(script: Path) -> None:
    """What a tutorial reads comes with the package or is made by it."""
    text = script.read_text(encoding="utf-8")
    assert "__file__" not in text
    code = "\n".join(cell for cell in re.split(r"^# %%.*$", text, flags=re.MULTILINE) if not cell.startswith("\n# "))
    assert not re.search(r"examples/|\.\./", code)
