"""``doctor`` and ``report`` from the command line."""

import json
from pathlib import Path

import pytest
from recorded import kinds_of_query
from typer.testing import CliRunner, Result

from langchain_atlas import encoders
from langchain_atlas.cli.app import app
from langchain_atlas.errors import OutcomeError, PoolError, SettingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.testing import FakeEncoder


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand the fake encoder in for the one that would load a model."""
    monkeypatch.setattr(encoders, "SentenceTransformerEncoder", lambda name, **_: FakeEncoder(name=name))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a file of 54 queries of three kinds, each of which wants another pair."""
    rows = [
        {**each, "query_id": f"{each['query_id']}-{copy}", "query": f"{each['query']} {copy} {each['query_id']} {copy}"}
        for copy in ("one", "two", "three")
        for each in kinds_of_query().table.to_pylist()
    ]
    OutcomeTable.from_rows(rows).save(tmp_path / "outcomes.parquet")
    return tmp_path / "outcomes.parquet"


@pytest.fixture
def cluster(tmp_path: Path) -> str:
    folder = tmp_path / "cluster"
    ClusterRouter(FakeEncoder(), n_clusters=3, strength=1.0).fit(kinds_of_query()).save(folder)
    return str(folder)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


class TestDoctor:
    def test_says_what_to_do(self, data: Path, tmp_path: Path) -> None:
        done = run("doctor", "--data", data, "--json", tmp_path / "verdict.json")
        assert done.exit_code == 0, done.output
        assert done.output.startswith("ROUTE\n")
        assert "Next: langchain-atlas fit --data" in done.output
        figures = json.loads((tmp_path / "verdict.json").read_text())
        assert figures["verdict"] == "route"
        assert figures["use"]["router"] in ("cluster", "knn")
        assert figures["gain_ci95"][0] > 0
        assert {"reason", "gain", "cost_ratio", "findings", "need", "next"} <= figures.keys()

    def test_says_what_fit_chooses_with_the_figures_that_fit_gives(self, data: Path, tmp_path: Path) -> None:
        rows = [
            {**each, "query_id": f"{each['query_id']}-{copy}", "query": f"{each['query']} {copy}"}
            for copy in "abc"
            for each in OutcomeTable.load(data).table.to_pylist()
        ]
        OutcomeTable.from_rows(rows).save(data)
        printed = run("doctor", "--data", data, "--json", tmp_path / "verdict.json").output
        fitted = run("fit", "--data", data, "--out", tmp_path / "router", "--json", tmp_path / "fit.json")
        assert fitted.exit_code == 0, fitted.output
        doctor, fit = (json.loads((tmp_path / name).read_text())["curve"] for name in ("verdict.json", "fit.json"))
        assert doctor == fit
        assert fit["reason"] in " ".join(printed.split())

    def test_the_advice_is_a_command_that_works(self, data: Path, tmp_path: Path) -> None:
        run("doctor", "--data", data, "--json", tmp_path / "verdict.json")
        command = json.loads((tmp_path / "verdict.json").read_text())["next"]
        out = ["--out" if part == "--out" else part for part in command.split()[1:]]
        out[out.index("--out") + 1] = str(tmp_path / "fitted")
        done = run(*out)
        assert done.exit_code == 0, done.output

    def test_too_little_data_is_no_failure(self, tmp_path: Path) -> None:
        kinds_of_query().save(tmp_path / "few.jsonl")
        done = run("doctor", "--data", tmp_path / "few.jsonl")
        assert done.exit_code == 0
        assert done.output.startswith("TOO LITTLE DATA\n")
        assert "Where: 32 more queries" in done.output

    def test_compares_with_a_pool(self, data: Path, tmp_path: Path) -> None:
        pool = tmp_path / "pool.yaml"
        pool.write_text("models:\n  large: {litellm: openai/large}\n  newest: {litellm: openai/newest}\n")
        done = run("doctor", "--data", data, "--pool", pool)
        assert done.exit_code == 0, done.output
        assert done.output.startswith("DO NOT ROUTE\n")
        assert "newest@@none" in done.output

    def test_a_callers_mistakes(self, data: Path, tmp_path: Path) -> None:
        assert isinstance(run("doctor", "--data", tmp_path / "none.parquet").exception, OutcomeError)
        assert isinstance(run("doctor", "--data", data, "--margin", "150").exception, SettingError)
        assert "--margin is -2.0" in str(run("doctor", "--data", data, "--margin", "-2").exception)
        (tmp_path / "pairs.txt").write_text("nobody@@none\n")
        assert isinstance(run("doctor", "--data", data, "--pairs", tmp_path / "pairs.txt").exception, PoolError)


class TestReport:
    def test_writes_one_page(self, data: Path, cluster: str, tmp_path: Path) -> None:
        out = tmp_path / "report.html"
        done = run("report", "--data", data, "--router", cluster, "--router", f"{cluster}?alpha=0.1", "--out", out)
        assert done.exit_code == 0, done.output
        html = out.read_text(encoding="utf-8")
        assert html.startswith("<!doctype html>")
        assert html.rstrip().endswith("</html>")
        assert "cluster?alpha=0.1" in html
        assert "please say poem" not in html

    def test_says_that_the_router_was_fitted_on_these_queries(self, cluster: str, tmp_path: Path) -> None:
        kinds_of_query().save(tmp_path / "same.parquet")
        out, file = tmp_path / "report.html", tmp_path / "report.json"
        done = run(
            "report", "--data", tmp_path / "same.parquet", "--router", cluster, "--out", out, "--json", str(file)
        )
        said = "Router 'cluster' was fitted on all 18 of these queries"
        assert said in " ".join(done.output.split())
        assert said in out.read_text(encoding="utf-8")
        assert json.loads(file.read_text(encoding="utf-8"))["notes"][0].startswith(said)

    def test_shows_queries_when_asked(self, data: Path, cluster: str, tmp_path: Path) -> None:
        out = tmp_path / "report.html"
        assert run("report", "--data", data, "--router", cluster, "--out", out, "--show-queries").exit_code == 0
        assert "please say poem" in out.read_text(encoding="utf-8")

    def test_a_callers_mistakes(self, data: Path, cluster: str, tmp_path: Path) -> None:
        out = tmp_path / "report.html"
        done = run("report", "--data", data, "--router", cluster, "--out", out, "--seed", "-1")
        assert "seed is -1; it must be 0 or more" in str(done.exception)
        assert not out.exists()
        done = run("report", "--data", data, "--router", cluster, "--out", tmp_path / "report.pdf")
        assert isinstance(done.exception, SettingError)
        done = run("report", "--data", data, "--out", tmp_path / "report.html")
        assert isinstance(done.exception, SettingError)  # for which the command's exit status is 2
