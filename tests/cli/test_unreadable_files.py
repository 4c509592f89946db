"""What is said of a file that is not there, or is none: its name and the reason, once, in words."""

from pathlib import Path

import pytest
from recorded import kinds_of_query
from typer.testing import CliRunner

from langchain_atlas.cli.app import app
from langchain_atlas.errors import InvalidInputError


@pytest.mark.parametrize("kind", ["No such file or directory", "Is a directory"])
@pytest.mark.parametrize(
    "command",
    [
        ("profile", "--pool", "{bad}", "--queries", "q.jsonl", "--out", "{folder}/o.parquet"),
        ("fit", "--data", "{data}", "--pairs", "{bad}", "--out", "{folder}/router"),
        ("score", "{data}", "--human", "{bad}", "--out", "{folder}/o.parquet"),
        ("score", "{data}", "--judge", "x/y", "--rubric", "{bad}", "--out", "{folder}/o.parquet"),
        ("score", "{data}", "--scorer", "exact", "--answers", "{bad}", "--out", "{folder}/o.parquet"),
        ("fit", "--data", "{data}", "--reprice", "{bad}", "--out", "{folder}/router"),
    ],
    ids=["pool", "pairs", "human", "rubric", "answers", "reprice"],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    command: tuple[str, ...], kind: str, tmp_path: Path
) -> None:
    data, bad = tmp_path / "data.parquet", tmp_path / "bad.csv"
    kinds_of_query().save(data)
    if kind == "Is a directory":
        bad.mkdir()
    given = {"data": data, "bad": bad, "folder": tmp_path}
    error = CliRunner().invoke(app, [part.format(**given) for part in command]).exception
    assert isinstance(error, InvalidInputError), error
    assert kind in str(error)
    assert str(error).count(str(bad)) == 1
    assert "Errno" not in str(error)
