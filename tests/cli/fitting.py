"""``fit`` as the tests run it, in this process."""

from pathlib import Path

from typer.testing import CliRunner, Result

from langchain_atlas.cli.app import app


def fit(data: str, out: Path, *more: str) -> Result:
    result = CliRunner().invoke(app, ["fit", "--data", data, "--out", str(out), *more], env={"COLUMNS": "200"})
    if result.exception is not None:
        raise result.exception
    return result
