"""What reads and writes files alone needs none of the packages of an extra."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from recorded import kinds_of_query

from langchain_atlas.outcomes import OutcomeTable

RUN = """
import json, sys
sys.modules.update(dict.fromkeys(["sqlalchemy", "alembic", "ray", "langchain", "langgraph.checkpoint.sqlite"]))
sys.argv = ["langchain-atlas", *json.loads(sys.argv[1])]
from langchain_atlas.cli import main
main()
"""

COMMANDS = (
    ("fit", "--data", "{table}", "--out", "{folder}/router", "--hold-out", "0"),
    ("evaluate", "--data", "{table}", "--router", "{folder}/router"),
    ("report", "--data", "{table}", "--router", "{folder}/router", "--out", "{folder}/report.html"),
    ("score", "{unmarked}", "--scorer", "exact", "--answers", "{answers}", "--out", "{folder}/marked.parquet"),
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(arguments)], capture_output=True, text=True, check=False, timeout=200
    )


def test_files_are_read_and_written_without_the_store(tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    kinds_of_query().save(table)
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"id": "sum", "query": "What is 2 + 2?", "answer": "4"}\n')
    unmarked = tmp_path / "unmarked.jsonl"
    row = {"query_id": "sum", "query": "What is 2 + 2?", "domain": "sums", "model": "small", "tool": "none"}
    OutcomeTable.from_rows([{**row, "score": None, "response": "4"}], "made here").save(unmarked)
    given = {"table": table, "folder": tmp_path, "answers": answers, "unmarked": unmarked}
    for command in COMMANDS:
        done = run(*(part.format(**given) for part in command))
        assert done.returncode == 0, (command, done.stderr)
    assert OutcomeTable.load(tmp_path / "marked.parquet").table["score"].to_pylist() == [1.0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "sqlite:///atlas.db", "--scorer", "exact"),
        ("fit", "--data", "sqlite:///atlas.db", "--out", "router"),
        ("doctor", "--store", "sqlite:///atlas.db"),
    ],
)
def test_what_reads_a_store_names_the_extra(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 1, done.stderr
    assert "pip install 'langchain-atlas[store]'" in done.stderr
