"""``train`` and ``fit --router dual``, as a user runs them."""

import json
import re
from pathlib import Path

import pytest
from asking import sums
from typer.testing import CliRunner

from langchain_atlas.cli.app import app
from langchain_atlas.errors import SettingError

runner = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with outcomes, a cluster router and a trained one."""
    folder = tmp_path_factory.mktemp("train")
    sums().save(folder / "outcomes.parquet")
    data = ["--data", str(folder / "outcomes.parquet")]
    fitted = runner.invoke(app, ["fit", *data, "--out", str(folder / "cluster"), "--clusters", "2"])
    assert fitted.exit_code == 0, fitted.output
    options = ["--steps", "2", "--curves", str(folder / "curves"), "--json", str(folder / "train.json")]
    trained = runner.invoke(app, ["train", *data, "--out", str(folder / "rl"), *options])
    assert trained.exit_code == 0, trained.output
    assert "Training on 160 outcomes: 40 queries, 4 pairs." in trained.output
    return folder


@pytest.mark.slow
class TestTrain:
    def test_figures_and_curves(self, folder: Path) -> None:
        figures = json.loads((folder / "train.json").read_text())
        assert figures["router"] == "rl"
        assert figures["cautious"] is True
        assert figures["domains"] == 2
        lines = [json.loads(line) for line in (folder / "curves" / "curves.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [0, 1]
        assert {"reward", "outcome", "cost", "selection", "format", "kl", "entropy"} <= set(lines[0])

    def test_evaluate_takes_it_at_several_cost_weights(self, folder: Path) -> None:
        names = [f"{folder / 'rl'}?cost_weight=0.02", f"{folder / 'rl'}?cost_weight=0.5&max_turns=2"]
        routers = [part for name in names for part in ("--router", name)]
        out = folder / "evaluation.json"
        done = runner.invoke(
            app, ["evaluate", "--data", str(folder / "outcomes.parquet"), *routers, "--json", str(out)]
        )
        assert done.exit_code == 0, done.output
        figures = json.loads(out.read_text())["routers"]
        assert set(figures) == set(names)
        assert figures[names[0]]["calls_per_query"] >= figures[names[1]]["calls_per_query"] >= 1

    def test_route_explains(self, folder: Path) -> None:
        done = runner.invoke(app, ["route", "What is 3 plus 4?", "--router", f"{folder / 'rl'}?cost_weight=0.1"])
        assert done.exit_code == 0, done.output
        assert "is asked first" in done.output.replace("\n", " ")

    def test_dual(self, folder: Path) -> None:
        parts = f"{folder / 'cluster'},{folder / 'rl'}"
        data = ["--data", str(folder / "outcomes.parquet")]
        done = runner.invoke(app, ["fit", *data, "--router", "dual", "--parts", parts, "--out", str(folder / "dual")])
        assert done.exit_code == 0, done.output
        said = " ".join(done.output.split())
        assert "take the cluster path" in said
        assert re.search(r"expected to bring 2.0 points: [1-4][.0-9]+ calls a query, against [1-4][.0-9]+ by", said)
        assert "Note: a part was fitted on" in said
        assert "Join them with outcomes of queries that neither part has seen." in said
        routed = runner.invoke(app, ["route", "What is 3 plus 4?", "--router", f"{folder / 'dual'}?path=cluster"])
        assert "cluster-path" in routed.output

    def test_report_understands_it(self, folder: Path) -> None:
        out = folder / "report.html"
        done = runner.invoke(
            app,
            ["report", "--data", str(folder / "outcomes.parquet"), "--router", str(folder / "rl"), "--out", str(out)],
        )
        assert done.exit_code == 0, done.output
        assert out.is_file()

    @pytest.mark.parametrize(
        "options",
        [
            ["--router", "dual"],
            ["--router", "dual", "--parts", "one"],
            ["--router", "cluster", "--parts", "one,two"],
        ],
    )
    def test_parts_and_kind_must_go_together(self, folder: Path, options: list[str]) -> None:
        data = ["--data", str(folder / "outcomes.parquet"), "--out", str(folder / "never")]
        done = runner.invoke(app, ["fit", *data, *options])
        assert isinstance(done.exception, SettingError)
        assert "--parts CLUSTER_DIR,RL_DIR" in str(done.exception)
        assert not (folder / "never").exists()
