"""What `fit`, `evaluate`, `report` and `doctor` say of one file agrees, and holds on queries that none of them saw."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_pair_logs import two_poets
from recorded import row, table_of
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


def agrees(report: dict[str, Any], held: dict[str, Any]) -> None:
    """Check that a report leads with the figures that `fit` gave of queries kept aside."""
    entry = report["routers"][0]
    step = entry["steps"][entry["start"]]
    assert (step["accuracy"], step["interval"]) == (held["accuracy"], held["accuracy_ci95"])
    assert (step["gain"], step["gain_interval"]) == (
        held["hindsight_single"]["gain"],
        held["hindsight_single"]["gain_ci95"],
    )
    assert step["cost"] == held["cost_usd_per_1k"]
    assert step["sentence"].endswith(held["reason"])
    assert f"{held['accuracy']:.1%}" in step["sentence"]
    assert entry["warning"] is None


@pytest.mark.usefixtures("fake_encoder")
class TestOneFile:
    def test_a_setting_that_was_given_is_the_one_in_the_report(self, tmp_path: Path) -> None:
        """The value is not measured, and a cost weight, which the report would vary instead, makes another router."""
        data, folder = tmp_path / "outcomes.parquet", tmp_path / "router"
        two_sides(80).save(data)
        run("fit", "--data", data, "--router", "knn", "--value", 0.5, "--out", folder, "--json", tmp_path / "fit.json")
        held = json.loads((tmp_path / "fit.json").read_text())["held_out"]
        assert held["how"] == "cross-fitted", "a part of so few queries would say little"
        page = ("--out", tmp_path / "page.html", "--json", tmp_path / "report.json")
        run("report", "--data", data, "--router", folder, *page)
        report = json.loads((tmp_path / "report.json").read_text())
        agrees(report, held)
        entry = report["routers"][0]
        assert (entry["knob"], entry["steps"][entry["start"]]["value"]) == ("value", 0.5)

    def test_the_command_that_doctor_prints_keeps_its_promise(self, tmp_path: Path) -> None:
        data = tmp_path / "outcomes.parquet"
        two_sides(80).save(data)
        run("doctor", "--data", data, "--json", tmp_path / "doctor.json")
        doctor = json.loads((tmp_path / "doctor.json").read_text())
        assert doctor["verdict"] == "route"
        words = shlex.split(doctor["next"])[1:]
        run(*words[: words.index("--out")], "--out", tmp_path / "router", *words[words.index("--out") + 2 :],
            "--json", tmp_path / "fit.json")  # fmt: skip
        held = json.loads((tmp_path / "fit.json").read_text())["held_out"]
        assert held["verdict"] == "worth it"
        low, high = doctor["gain_ci95"]
        assert low <= held["fitted_single"]["gain"] <= high
        page = ("--out", tmp_path / "page.html", "--json", tmp_path / "report.json")
        run("report", "--data", data, "--router", tmp_path / "router", *page)
        agrees(json.loads((tmp_path / "report.json").read_text()), held)

    @pytest.mark.parametrize("hold_out", [0.2, 0.0])
    def test_of_a_log_of_one_pair_a_query_the_report_estimates(self, tmp_path: Path, hold_out: float) -> None:
        data, folder = tmp_path / "log.parquet", tmp_path / "router"
        two_poets(0, count=240).save(data)
        run("fit", "--data", data, "--router", "knn", "--out", folder, "--hold-out", hold_out,
            "--json", tmp_path / "fit.json")  # fmt: skip
        page = ("--out", tmp_path / "page.html", "--json", tmp_path / "report.json")
        run("report", "--data", data, "--router", folder, *page)
        report = json.loads((tmp_path / "report.json").read_text())
        entry = report["routers"][0]
        step = entry["steps"][entry["start"]]
        assert report["estimated"]["method"] == "doubly robust"
        assert "estimated" in step["sentence"].lower()
        assert "can't judge" not in step["sentence"]
        assert step["effective"] > 50
        assert step["gain_interval"][0] > 0.2
        assert 0 <= step["interval"][0] <= step["accuracy"] <= step["interval"][1] <= 1
        if hold_out:
            agrees(report, json.loads((tmp_path / "fit.json").read_text())["held_out"])


def two_sides(count: int) -> OutcomeTable:
    """Make outcomes of two pairs, each right on one kind of query; the dearer one on both in a fifth."""
    rows = []
    for number in range(count):
        maths = number % 2 == 0
        text = f"how many apples are {number} times {number + 3}" if maths else f"which river is in town {number}"
        for model, right, cost in (("small", maths, 0.001), ("large", not maths or number % 5 == 0, 0.002)):
            rows.append(row(f"q{number}", f"{model}@@none", float(right), cost, query=text))
    return table_of(*rows)


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
        reported = " ".join(run("report", *report, "--json", folder / "report.json").split())
        run("doctor", "--data", data, "--json", folder / "doctor.json")
        fit, evaluated, doctor = (
            json.loads((folder / f"{name}.json").read_text()) for name in ("fit", "evaluate", "doctor")
        )
        held = fit["held_out"]
        figures = next(iter(evaluated["routers"].values()))
        assert held["reason"] in out
        assert figures["accuracy"] == held["accuracy"]
        agrees(json.loads((folder / "report.json").read_text()), held)
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
