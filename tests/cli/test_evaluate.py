"""``evaluate``: saved routers replayed on recorded outcomes, from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import kinds_of_query
from typer.testing import CliRunner, Result

from langchain_atlas import encoders
from langchain_atlas.cli.app import app
from langchain_atlas.errors import AtlasError, OutcomeError, PoolError, SettingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool import prices
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.testing import FakeEncoder

FIELDS = {
    "accuracy",
    "accuracy_ci95",
    "cost_usd_per_1k",
    "latency_s_mean",
    "calls_per_query",
    "per_domain",
    "pair_share",
}
"""What the contract of the command promises of every router and baseline."""


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand the fake encoder in for the one that would load a model."""
    monkeypatch.setattr(encoders, "SentenceTransformerEncoder", lambda name, **_: FakeEncoder(name=name))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "outcomes.parquet"
    kinds_of_query().save(path)
    return path


@pytest.fixture
def cluster(tmp_path: Path) -> str:
    folder = tmp_path / "cluster"
    ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0.0, strength=1.0).fit(kinds_of_query()).save(folder)
    return str(folder)


@pytest.fixture
def single(tmp_path: Path) -> str:
    folder = tmp_path / "single"
    SinglePairRouter("large@@none").save(folder)
    return str(folder)


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Callable[..., tuple[dict[str, Any], str]]:
    """Return a function that evaluates routers, and gives back the figures and what was printed."""

    def evaluate(*routers: str, more: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
        out = tmp_path / "figures.json"
        named = [part for router in routers for part in ("--router", router)]
        result = invoke("evaluate", "--data", str(data), *named, "--json", str(out), *more)
        if result.exception is not None:
            raise result.exception
        return json.loads(out.read_text(encoding="utf-8")), result.output

    return evaluate


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


class TestFigures:
    def test_follow_the_contract(self, run: Any, cluster: str, single: str) -> None:
        figures, _ = run(cluster, single)
        assert list(figures["routers"]) == [cluster, single]
        assert {"best_single", "cheapest", "random", "oracle"} <= set(figures["baselines"])
        for result in (*figures["routers"].values(), *figures["baselines"].values()):
            assert set(result) >= FIELDS
        assert (figures["n_queries"], figures["n_pairs"]) == (18, 3)

    def test_are_what_was_recorded(self, run: Any, single: str) -> None:
        """Each pair is right on its own kind: one query in three."""
        figures, _ = run(single)
        result = figures["routers"][single]
        assert result["accuracy"] == pytest.approx(1 / 3)
        assert result["cost_usd_per_1k"] == pytest.approx(4.0)
        assert result["latency_s_mean"] == pytest.approx(4.0)
        assert result["calls_per_query"] == 1
        assert result["per_domain"] == {"arithmetic": 0.0, "facts": 0.0, "talk": 1.0}
        assert result["pair_share"] == {"large@@none": 1.0}

    def test_baselines_are_of_the_evaluated_rows(self, run: Any, single: str) -> None:
        figures, _ = run(single, more=("--domains", "facts"))
        assert figures["n_queries"] == 6
        assert figures["baselines"]["best_single"]["pair_share"] == {"small@@search": 1.0}
        assert figures["baselines"]["best_single"]["accuracy"] == 1.0
        assert figures["baselines"]["cheapest"]["accuracy"] == 0.0

    def test_a_router_is_named_as_it_was_given_with_its_settings(self, run: Any, cluster: str) -> None:
        figures, _ = run(cluster, f"{cluster}?alpha=1", f"{cluster}?alpha=0.5&failovers=0")
        assert list(figures["routers"]) == [cluster, f"{cluster}?alpha=1", f"{cluster}?alpha=0.5&failovers=0"]
        cheap, good = figures["routers"][f"{cluster}?alpha=1"], figures["routers"][cluster]
        assert cheap["cost_usd_per_1k"] == pytest.approx(1.0)  # everything goes to the cheapest pair
        assert good["accuracy"] > cheap["accuracy"]

    def test_keep_to_the_pool(self, run: Any, cluster: str, tmp_path: Path) -> None:
        pool = tmp_path / "pool.txt"
        pool.write_text("small@@search\nlarge@@none\n", encoding="utf-8")
        figures, _ = run(cluster, more=("--pairs", str(pool)))
        assert figures["n_pairs"] == 2
        assert set(figures["routers"][cluster]["pair_share"]) <= {"small@@search", "large@@none"}

    def test_the_seed_moves_the_intervals_and_nothing_else(self, run: Any, cluster: str) -> None:
        first, second = (run(cluster, more=("--seed", seed))[0] for seed in ("0", "1"))
        again = run(cluster, more=("--seed", "1"))[0]
        assert again == second
        assert first["routers"][cluster]["accuracy"] == second["routers"][cluster]["accuracy"]
        assert first["baselines"]["random"] != second["baselines"]["random"]


class TestProbes:
    @pytest.fixture
    def narrow(self, tmp_path: Path) -> str:
        """Return a router that was fitted before the search tool arrived."""
        folder = tmp_path / "narrow"
        table = kinds_of_query().select(pairs=[Pair("small", "calculator"), Pair("large")])
        ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0.0, strength=1.0).fit(table).save(folder)
        return str(folder)

    @pytest.fixture
    def probes(self, tmp_path: Path) -> str:
        table = kinds_of_query()
        few = [name for name in table.query_ids if name.endswith(("harbour", "museum", "school", "add", "joke"))]
        table.select(pairs=[Pair("small", "search")], query_ids=few).save(tmp_path / "probes.parquet")
        return str(tmp_path / "probes.parquet")

    def test_without_them_a_new_pair_is_not_chosen_and_that_is_said(self, run: Any, narrow: str) -> None:
        figures, printed = run(narrow)
        assert "small@@search" not in figures["routers"][narrow]["pair_share"]
        note = f"{narrow}: chooses from 2 of the 3 pairs; it knows no more."
        assert note in figures["notes"]
        assert "chooses from 2 of the 3 pairs" in " ".join(printed.split())

    def test_teach_a_router_about_a_new_pair(self, run: Any, narrow: str, probes: str) -> None:
        before, _ = run(narrow)
        after, _ = run(narrow, more=("--probes", probes))
        assert after["routers"][narrow]["pair_share"]["small@@search"] > 0
        assert after["routers"][narrow]["accuracy"] > before["routers"][narrow]["accuracy"]
        assert f"{narrow}: knows 1 of the 3 pairs from the probes alone." in after["notes"]

    def test_that_are_evaluated_too_are_said(self, run: Any, narrow: str, probes: str) -> None:
        figures, _ = run(narrow, more=("--probes", probes))
        assert any(note.startswith("5 of the 18 evaluated queries are among the probes") for note in figures["notes"])

    def test_promote_a_new_model_or_roll_it_back(self, data: Path, cluster: str, tmp_path: Path) -> None:
        rows = OutcomeTable.load(data).table.to_pylist()
        asked = [row for row in rows if row["model"] == "small" and row["tool"] == "calculator"]
        made = [
            {**row, "query_id": f"{row['query_id']} {number}", "model": model, "score": score}
            for number in range(12)
            for row in asked
            for model, score in (("small-2", 1.0), ("nova", 0.0))
        ]
        OutcomeTable.from_rows(made).save(tmp_path / "new.parquet")
        figures = tmp_path / "figures.json"
        given = ["evaluate", "--data", str(data), "--router", cluster, "--probes", str(tmp_path / "new.parquet")]
        done = CliRunner().invoke(app, [*given, "--against", "nova=small", "--json", str(figures)])
        assert done.exit_code == 0, done.output
        said = " ".join(done.output.split())
        assert "promote: small-2@@calculator against small@@calculator" in said
        assert "roll back: nova@@calculator against small@@calculator" in said
        found = json.loads(figures.read_text())["promotions"][cluster]
        assert [one["verdict"] for one in found] == ["promote", "roll back"]
        assert all(len(one["interval"]) == 2 for one in found)
        unnamed = CliRunner().invoke(app, given)
        assert "nova@@calculator has no predecessor by name; say --against nova=MODEL" in " ".join(
            unnamed.output.split()
        )

    def test_leave_the_saved_router_as_it_was(self, run: Any, narrow: str, probes: str) -> None:
        before = {path.name: path.read_bytes() for path in Path(narrow).iterdir()}
        run(narrow, more=("--probes", probes))
        assert {path.name: path.read_bytes() for path in Path(narrow).iterdir()} == before

    def test_are_refused_by_a_router_that_cannot_learn(self, run: Any, single: str, probes: str) -> None:
        with pytest.raises(SettingError, match=r"kind 'single', which can't learn about new pairs"):
            run(single, more=("--probes", probes))

    def test_of_no_pair_of_the_pool_are_refused(self, run: Any, narrow: str, probes: str, tmp_path: Path) -> None:
        pool = tmp_path / "pool.txt"
        pool.write_text("small@@calculator\nlarge@@none\n", encoding="utf-8")
        with pytest.raises(OutcomeError, match="no outcome of the pairs that --pairs names"):
            run(narrow, more=("--probes", probes, "--pairs", str(pool)))


class TestMistakes:
    def test_a_router_given_twice(self, run: Any, cluster: str) -> None:
        with pytest.raises(SettingError, match="given twice"):
            run(cluster, cluster)

    @pytest.mark.parametrize("settings", ["?alpha=2", "?beta=1", "?alpha"])
    def test_a_bad_setting(self, run: Any, cluster: str, settings: str) -> None:
        with pytest.raises(SettingError):
            run(cluster + settings)

    def test_a_folder_that_is_no_router(self, run: Any, tmp_path: Path) -> None:
        with pytest.raises(AtlasError, match="not a folder"):
            run(str(tmp_path / "nowhere"))

    def test_a_router_without_a_pair_of_the_table(self, run: Any, tmp_path: Path) -> None:
        SinglePairRouter("other@@none").save(tmp_path / "other")
        with pytest.raises(PoolError, match="other"):
            run(str(tmp_path / "other"))

    def test_a_seed_below_zero(self, run: Any, cluster: str) -> None:
        with pytest.raises(SettingError, match="seed is -1"):
            run(cluster, more=("--seed", "-1"))

    def test_an_unknown_domain(self, run: Any, cluster: str) -> None:
        with pytest.raises(OutcomeError, match="Unknown domain 'fact'"):
            run(cluster, more=("--domains", "fact"))


class TestPrinted:
    def test_robustness_is_measured_on_request(self, run: Any, cluster: str) -> None:
        figures, printed = run(cluster, more=("--edits", "1"))
        kept = figures["routers"][cluster]["robustness"]
        assert 0 <= kept <= 1
        assert f"keeps its choice on {100 * kept:.1f}% of the edited queries" in " ".join(printed.split())

    def test_the_table_names_routers_and_baselines(self, run: Any, cluster: str) -> None:
        _, printed = run(cluster)
        for word in ("right", "95% interval", "to best single", "best_single is small@@calculator", "oracle"):
            assert word in printed
        assert "100.0%" in printed

    def test_a_router_fitted_on_these_queries_is_flattered(self, run: Any, cluster: str, single: str) -> None:
        figures, printed = run(cluster, f"{cluster}?alpha=1", single)
        said = [note for note in figures["notes"] if "was fitted on" in note]
        assert len(said) == 1
        assert said[0].startswith(f"Router {cluster!r} was fitted on all 18 of these queries, so its figures here")
        assert "was fitted on all 18 of these queries" in " ".join(printed.split())
        assert figures["routers"][f"{cluster}?alpha=1"]["n_fitted_on"] == 18

    def test_no_progress_bar_in_a_pipe(self, run: Any, cluster: str) -> None:
        _, printed = run(cluster)
        assert "replaying" not in printed
        assert "\x1b" not in printed


def test_one_encoder_serves_all_routers_that_were_fitted_with_it(
    monkeypatch: pytest.MonkeyPatch, run: Any, cluster: str
) -> None:
    passes: list[int] = []

    class Counting(FakeEncoder):
        def _encode(self, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
            passes.append(len(texts))
            return super()._encode(texts)

    monkeypatch.setattr(encoders, "SentenceTransformerEncoder", lambda name, **_: Counting(name=name))
    run(cluster)
    alone = sum(passes)
    passes.clear()
    run(cluster, f"{cluster}?alpha=0.3", f"{cluster}?alpha=0.6")
    assert sum(passes) == alone


def test_incomplete_records_are_said(tmp_path: Path, single: str) -> None:
    table = kinds_of_query()
    kept = [name for name in table.query_ids if not name.startswith("facts")]
    gaps = table.select(pairs=[Pair("large")], query_ids=kept).joined(table.select(pairs=[Pair("small", "search")]))
    gaps.save(tmp_path / "gaps.parquet")
    out = tmp_path / "figures.json"
    result = invoke("evaluate", "--data", str(tmp_path / "gaps.parquet"), "--router", single, "--json", str(out))
    assert result.exit_code == 0, result.output
    notes = json.loads(out.read_text(encoding="utf-8"))["notes"]
    assert f"{single}: left out 6 of 18 queries; none of its pairs is recorded there." in notes
    assert OutcomeTable.load(tmp_path / "gaps.parquet").pairs == (Pair("large"), Pair("small", "search"))


def test_a_models_leaving_is_reckoned(data: Path, cluster: str, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    given = ["evaluate", "--data", str(data), "--router", cluster, "--without", "small", "--json", str(figures)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert "Without small, " in " ".join(done.output.split())
    (found,) = json.loads(figures.read_text())["leaving"][cluster]
    assert found["model"] == "small"
    assert 0 < found["moved"] <= found["queries"] == 18
    assert set(found["to"]) == {"large@@none"}


def test_costs_are_those_of_todays_prices(data: Path, cluster: str, tmp_path: Path) -> None:
    pool, table, figures = tmp_path / "pool.yaml", tmp_path / "prices.json", tmp_path / "figures.json"
    rows = [{**row, "input_tokens": 100, "output_tokens": 10} for row in OutcomeTable.load(data).table.to_pylist()]
    OutcomeTable.from_rows(rows).save(data)
    pool.write_text("models:\n  small: {litellm: openai/small}\n  large: {litellm: openai/large}\n")
    priced = {"input_cost_per_token": 1e-3, "output_cost_per_token": 0.0, "litellm_provider": "openai"}
    table.write_text(json.dumps({"small": priced, "large": priced}))
    given = ["evaluate", "--data", str(data), "--router", cluster, "--reprice", str(pool), "--prices", str(table)]
    try:
        done = CliRunner().invoke(app, [*given, "--json", str(figures)])
    finally:
        prices._TABLES.clear()
        prices._facts.cache_clear()
    assert done.exit_code == 0, done.output
    assert "have another cost by the prices of" in " ".join(done.output.split())
    assert json.loads(figures.read_text())["baselines"]["best_single"]["cost_usd_per_1k"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--against", "a=b"], "--against goes with --probes"),
        (["--without", "medium"], "Model 'medium' is not in the router's pool"),
        (["--prices", "latest"], "--prices goes with --reprice"),
    ],
)
def test_mistakes_about_members_are_told(data: Path, cluster: str, more: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["evaluate", "--data", str(data), "--router", cluster, *more])
    assert done.exit_code != 0
    assert said in f"{done.output} {done.exception}"
