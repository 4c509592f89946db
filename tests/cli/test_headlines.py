"""What `fit`, `evaluate`, `report` and `doctor` say of one file agrees, and holds on queries that none of them saw."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from langchain_atlas.cli.app import app
from langchain_atlas.encoders import DEFAULT_ENCODER
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.saved.artifact import load_with_settings
from langchain_atlas.testing import FakeEncoder

PAIRS = (
    "gpt-4o-mini-2024-07-18@@prompt",
    "gpt-4o-2024-08-06@@prompt",
    "claude-3-opus-20240229@@fc",
    "gpt-3.5-turbo-0125@@prompt",
)


def loaded(folder: Path) -> Router:
    return load_with_settings(str(folder), FakeEncoder(name=DEFAULT_ENCODER))


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    if done.exception is not None:
        raise done.exception
    return done.output


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("fake_encoder")
class TestBFCL:
    @pytest.fixture
    def halves(self, shared_data: Path, tmp_path: Path) -> tuple[Path, OutcomeTable]:
        """Return a file of some of BFCL's queries with a pool of four pairs, and the other queries."""
        table = OutcomeTable.load(shared_data / "bfcl_pairs.parquet")
        table = table.select(pairs=[pair for pair in table.pairs if str(pair) in PAIRS])
        order = np.random.default_rng(0).permutation(np.array(table.query_ids))
        file = tmp_path / "half.parquet"
        table.select(query_ids=order[:300].tolist()).save(file)
        return file, table.select(query_ids=order[300:].tolist())

    def test_headlines_agree_and_hold(self, halves: tuple[Path, OutcomeTable]) -> None:
        data, others = halves
        folder = data.parent
        out = run("fit", "--data", data, "--out", folder / "router", "--json", folder / "fit.json")
        run("evaluate", "--data", data, "--router", folder / "router", "--json", folder / "evaluate.json")
        report = ("--data", data, "--router", folder / "router", "--out", folder / "page.html")
        reported = " ".join(run("report", *report).split())
        run("doctor", "--data", data, "--json", folder / "doctor.json")
        fit, evaluated, doctor = (
            json.loads((folder / f"{name}.json").read_text()) for name in ("fit", "evaluate", "doctor")
        )
        held = fit["held_out"]
        figures = next(iter(evaluated["routers"].values()))
        assert held["reason"] in out
        assert figures["accuracy"] == held["accuracy"]
        assert f"{100 * held['accuracy']:.1f}% right (95% interval" in reported
        assert figures["accuracy_ci95"] == held["accuracy_ci95"]
        assert figures["versus_best_single"]["difference"] == held["hindsight_single"]["gain"]
        assert loaded(folder / "router").held_out is not None
        # Doctor tries other routers too, so its verdict may be another; but not the opposite one.
        opposite = {"worth it": "do not route", "not worth it": "route"}
        if held["settings"]["always"] is None:
            assert doctor["verdict"] != opposite.get(held["verdict"])
        # What is said holds on the other queries, which has an error of its own.
        router = loaded(folder / "router")
        truth = evaluate({"router": router}, others).routers["router"]
        low, high = held["accuracy_ci95"]
        spread = (truth.accuracy_ci95[1] - truth.accuracy_ci95[0]) / 2
        assert low - spread <= truth.accuracy <= high + spread
