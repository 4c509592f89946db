"""``doctor --store`` and ``report --store``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from langchain_atlas import Observation, Query, Store
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.trajectory import START, Decision

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Command

PAIR = Pair("small", "none")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return a store in which a pair becomes worse."""
    address = f"sqlite:///{tmp_path}/atlas.db"
    store = Store(address)
    for number in range(400):
        query, decision = Query(text=f"How much is {number}?"), Decision(kind="route", pair=PAIR, id=f"call-{number}")
        store.keep(query, START, decision)
        store.keep(query, START, decision, Observation(pair=PAIR, answer="yes", cost_usd=0.5))
        store.record(f"call-{number}", score=float(number % 10 > 0) if number < 300 else float(number % 3 == 0))
        if number % 50 == 0:
            time.sleep(0.001)
    assert store.flush()
    store.close()
    return address


def test_shows_drift_in_a_store(command: Command, url: str, tmp_path: Path) -> None:
    out = tmp_path / "drift.json"
    done = command("doctor", "--store", url, "--json", out)
    assert done.status == 0, done.error
    assert "DRIFT: 1 changes were found." in done.out
    assert "The success of small@@none fell from 90%" in done.out
    assert json.loads(out.read_text())["events"][0]["kind"] == "success"


def test_shows_it_beside_the_diagnosis_of_a_table(
    command: Command, url: str, data: str, fake_encoder: None, tmp_path: Path
) -> None:
    del fake_encoder
    out = tmp_path / "doctor.json"
    done = command("doctor", "--data", data, "--encoder", "fake", "--store", url, "--json", out)
    assert done.status == 0, done.error
    figures = json.loads(out.read_text())
    assert figures["drift"]["events"][0]["kind"] == "success"
    assert figures["verdict"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "sqlite:///nowhere.db"], "There is no store"),
        (["--store", "atlas.db"], "sqlite:///atlas.db"),
        (["--store", "sqlite:///a.db", "--pool", "p.yaml"], "--store goes with --data or alone"),
        (["--router", "somewhere"], "is not a folder"),
    ],
)
def test_refuses_what_makes_no_sense(command: Command, options: list[str], said: str) -> None:
    done = command("doctor", *options)
    assert done.status == 2
    assert said in " ".join(done.error.split())


def test_weeks_out_of_range_are_refused(command: Command, url: str) -> None:
    done = command("doctor", "--store", url, "--weeks", "0")
    assert done.status == 2
    assert "weeks is 0" in done.error


def test_report_shows_the_weeks(command: Command, url: str, tmp_path: Path) -> None:
    out, figures = tmp_path / "weeks.html", tmp_path / "weeks.json"
    done = command("report", "--store", url, "--out", out, "--json", figures)
    assert done.status == 0, done.error
    page = out.read_text()
    assert "The success of small@@none fell from 90%" in page
    assert "<svg" in page
    assert "src=" not in page
    (week,) = json.loads(figures.read_text())["weeks"]
    assert week["decisions"] == 400


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "sqlite:///a.db", "--data", "t.parquet"], "--store goes without --data"),
        (["--store", "sqlite:///a.db", "--volume", "10/day"], "--volume goes with --data"),
        (["--data", "t.parquet"], "Give --data and --router"),
        ([], "Give --data and --router"),
    ],
)
def test_report_refuses_what_makes_no_sense(command: Command, options: list[str], said: str, tmp_path: Path) -> None:
    done = command("report", *options, "--out", tmp_path / "r.html")
    assert done.status == 2
    assert said in " ".join(done.error.split())
