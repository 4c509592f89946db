"""The command line as a person runs it, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from recorded import kinds_of_query

from langchain_atlas import encoders
from langchain_atlas.cli import main
from langchain_atlas.testing import FakeEncoder

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    error: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs ``langchain-atlas`` with some arguments."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["langchain-atlas", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as left:
            main()
            sys.exit(0)
        seen = capsys.readouterr()
        return Outcome(int(left.value.code or 0), seen.out, seen.err)

    return run


@pytest.fixture
def fake_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand the fake encoder in for the one that would load a model."""
    monkeypatch.setattr(encoders, "SentenceTransformerEncoder", lambda name, **_: FakeEncoder(name=name))


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Return a file of outcomes of a few kinds of query."""
    kinds_of_query().save(tmp_path / "outcomes.parquet")
    return str(tmp_path / "outcomes.parquet")
