"""``fit`` and ``train`` choose a setting by themselves, and take any of the knobs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import sums
from fitting import fit
from recorded import row, table_of
from typer.testing import CliRunner

from langchain_atlas import encoders
from langchain_atlas.cli.app import app
from langchain_atlas.cli.shared.setting import asked_for, say, set_as_measured
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.settings.words import cost_of
from langchain_atlas.learning import training
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint
from langchain_atlas.routers.saved.artifact import load_with_settings
from langchain_atlas.testing import FakeEncoder

pytestmark = pytest.mark.usefixtures("fake_encoder")

VERBS = ("add", "bake", "carve", "drive", "edit", "fold", "grind", "heat", "iron", "join")


def two_kinds(count: int = 200) -> OutcomeTable:
    """Make outcomes of three pairs on two kinds of query, by turns.

    Each kind has a pair of its own that is always right, for $1 and $2 a thousand; one is right on 8 of 10 for $10.
    """
    rows = []
    fair = np.random.default_rng(0).permutation(count) < 0.8 * count
    for number in range(count):
        odd = number % 2
        text = f"{'sum total' if odd else 'poem rhyme'} {VERBS[number // 2 % 10]} n{number}"
        for model, score, cost in (
            ("adder", float(odd), 0.001),
            ("poet", float(not odd), 0.002),
            ("allround", float(fair[number]), 0.01),
        ):
            more = {
                "query": text,
                "domain": f"domain {number // 2 % 8}",
                "latency_s": 1000 * cost,
                "response": f"r{score}",
            }
            rows.append(row(f"q{number}", model, score, cost, **more))
    return table_of(*rows)


ADDER, POET, ALLROUND = Pair("adder"), Pair("poet"), Pair("allround")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("outcomes") / "many.parquet"
    two_kinds().save(path)
    return str(path)


def loaded(out: Path, knob: str = "") -> Router:
    return load_with_settings(f"{out}{knob}", FakeEncoder(name=encoders.DEFAULT_ENCODER))


def lines(output: str) -> list[str]:
    return output.splitlines()


class TestNothingSaid:
    @pytest.mark.parametrize("kind", ["knn", "cluster"])
    def test_fit_chooses_and_says_so_in_two_lines(self, kind: str, many: str, tmp_path: Path) -> None:
        out, file = tmp_path / "router", tmp_path / "figures.json"
        more = ("--clusters", "2") if kind == "cluster" else ()
        printed = lines(fit(many, out, "--router", kind, "--json", str(file), *more).output)
        router = loaded(out)
        curve = router.curve
        assert curve is not None
        said = printed.index(curve.reason)
        assert curve.reason.startswith("The cheapest setting within 0.5 points of the best")
        point = curve.choice
        # All right, where one pair is on 8 of 10; half of the queries for $1, half for $2, against $10. The guard keeps
        # some queries of the clusters with one pair, and the setting is chosen anew for each part that is kept aside.
        dollars, share = {"cluster": ("1.58", "16%"), "knn": ("1.54", "15%")}[kind]
        assert printed[said + 1] == (
            "Expected on new queries like these: 100.0% right (95% interval 100.0 to 100.0), +20.0 points to "
            f"allround@@none, ${dollars} per 1000 queries ({share} of its), {float(dollars):.1f} s."
        )
        assert curve.n_queries == 200
        assert len(curve.points) == 62
        assert router.settings["value_usd"] == point.value_usd
        assert (router.settings["cost_weight"], router.settings["always"]) == (0.0, None)
        queries = two_kinds().queries
        assert [router.decide(query).pair for query in queries[:2]] == [POET, ADDER]
        figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        assert OperatingCurve.from_json(figures["curve"]) == curve
        assert figures["settings"] == dict(router.settings)

    def test_queries_are_kept_aside_and_the_figures_saved(self, many: str, tmp_path: Path) -> None:
        out, file = tmp_path / "router", tmp_path / "figures.json"
        printed = fit(many, out, "--router", "knn", "--json", str(file)).output
        held = json.loads(file.read_text(encoding="utf-8"))["held_out"]
        assert (held["how"], held["share"], held["n_queries"], held["verdict"]) == (
            "cross-fitted",
            0.2,
            200,
            "worth it",
        )
        assert held["reason"] in lines(printed)
        assert "The saved router is fitted on all queries, those kept aside included." in lines(printed)
        assert getattr(loaded(out).held_out, "to_json", dict)() == held

    def test_with_a_setting_given_every_part_of_few_queries_is_kept_aside_once(self, many: str, tmp_path: Path) -> None:
        out, file = tmp_path / "router", tmp_path / "figures.json"
        fit(many, out, "--router", "knn", "--value", "0.05", "--json", str(file))
        held = json.loads(file.read_text(encoding="utf-8"))["held_out"]
        assert (held["how"], held["n_queries"]) == ("cross-fitted", 200)
        assert held["settings"]["value_usd"] == 0.05

    def test_nothing_need_be_kept_aside(self, many: str, tmp_path: Path) -> None:
        out, file = tmp_path / "router", tmp_path / "figures.json"
        assert "Kept aside" not in fit(many, out, "--router", "knn", "--hold-out", "0", "--json", str(file)).output
        assert json.loads(file.read_text(encoding="utf-8"))["held_out"] is None
        with pytest.raises(SettingError, match=r"hold_out is 0\.7"):
            fit(many, out, "--hold-out", "0.7")

    @pytest.mark.parametrize("kind", ["knn", "cluster"])
    def test_on_few_queries_one_pair_is_asked_always(self, kind: str, tmp_path: Path) -> None:
        data, out, file = tmp_path / "few.parquet", tmp_path / "router", tmp_path / "figures.json"
        two_kinds(40).save(data)
        printed = fit(str(data), out, "--router", kind, "--json", str(file)).output
        assert "Too few queries to compare settings: every query goes to allround@@none. Whether" in printed
        assert "Too little to say: without settings compared, every query goes to allround@@none." in lines(printed)
        router = loaded(out)
        assert router.curve is None
        assert router.settings["always"] == str(ALLROUND)
        decisions = router.decide_batch(two_kinds(40).queries)
        assert {(decision.pair, decision.rule) for decision in decisions} == {(ALLROUND, "one-pair")}
        assert json.loads(file.read_text(encoding="utf-8"))["curve"] is None
        assert loaded(out, "?alpha=0.0").decide(two_kinds(40).queries[0]).rule != "one-pair"

    def test_a_kind_that_is_not_measured_is_fitted_as_before(
        self, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As 'bert' is, whose fit takes minutes; here another stands in for it."""
        monkeypatch.setattr("langchain_atlas.cli.fit.MEASURED", ("cluster",))
        file = tmp_path / "figures.json"
        printed = fit(data, tmp_path / "router", "--router", "mlp", "--json", str(file)).output
        assert "Expected on new queries" not in printed
        assert "every query goes to" not in printed
        router = loaded(tmp_path / "router")
        assert (router.curve, router.settings["cost_weight"], router.settings["always"]) == (None, 0.5, None)
        assert json.loads(file.read_text(encoding="utf-8"))["curve"] is None


class TestKnobs:
    @pytest.mark.parametrize(
        ("option", "settings"),
        [
            (("--value", "0.003"), {"value_usd": 0.003, "always": None}),
            (("--cost-weight", "0.3"), {"cost_weight": 0.3, "value_usd": None, "always": None}),
            (("--alpha", "0.3"), {"cost_weight": 0.3, "value_usd": None, "always": None}),
        ],
    )
    @pytest.mark.parametrize("kind", ["knn", "mlp"])
    def test_one_that_needs_no_measuring(
        self, kind: str, option: tuple[str, str], settings: dict[str, Any], data: str, tmp_path: Path
    ) -> None:
        printed = fit(data, tmp_path / "router", "--router", kind, *option).output
        router = loaded(tmp_path / "router")
        assert {name: router.settings[name] for name in settings} == settings
        assert router.curve is None
        assert "Expected" not in printed
        assert "every query goes to" not in printed

    def test_a_target_is_looked_up(self, many: str, tmp_path: Path) -> None:
        """Up to sixty points below the best the cheapest pair will do, which is right on half."""
        out = tmp_path / "router"
        printed = fit(many, out, "--router", "knn", "--target", "60").output
        router = loaded(out)
        assert router.curve is not None
        point = router.curve.within(60)
        assert {name: router.settings[name] for name in ("value_usd", "always")} == point.settings
        assert point.cost_usd_per_1k == pytest.approx(1.0)
        assert "Expected on new queries like these: 50.0% right" in printed
        assert router.curve.reason not in printed  # the choice is the user's
        assert loaded(out, "?target=60").settings == router.settings
        assert loaded(out, "?target=0.5").settings["value_usd"] == router.curve.within(0.5).value_usd

    def test_a_budget_is_looked_up(self, many: str, tmp_path: Path) -> None:
        out, file = tmp_path / "router", tmp_path / "figures.json"
        fit(many, out, "--router", "knn", "--budget", "1.2", "--json", str(file))
        router = loaded(out)
        assert router.curve is not None
        point = router.curve.affordable(1.2)
        assert {name: router.settings[name] for name in ("value_usd", "always")} == point.settings
        assert point.cost_usd_per_1k is not None
        assert point.cost_usd_per_1k <= 1.2
        figures = json.loads(file.read_text(encoding="utf-8"))
        assert figures["settings"]["value_usd"] == point.value_usd
        assert OperatingCurve.from_json(figures["curve"]) == router.curve

    def test_a_budget_below_the_cheapest_is_refused_and_nothing_is_saved(self, many: str, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match=r"budget is 0\.5 dollars .*the least is 1"):
            fit(many, tmp_path / "router", "--router", "knn", "--budget", "0.5")
        assert not (tmp_path / "router").exists()

    @pytest.mark.parametrize("option", ["--target", "--budget"])
    def test_nothing_is_looked_up_on_few_queries(self, option: str, data: str, tmp_path: Path) -> None:
        with pytest.raises(OutcomeError, match="too few queries to measure settings on"):
            fit(data, tmp_path / "router", "--router", "knn", option, "5")
        assert not (tmp_path / "router").exists()

    @pytest.mark.parametrize(
        "options",
        [
            ("--target", "1", "--budget", "2"),
            ("--value", "0.05", "--cost-weight", "0.3"),
            ("--alpha", "0.3", "--cost-weight", "0.3"),
            ("--alpha", "0.3", "--target", "1"),
        ],
    )
    def test_two_together_are_refused_before_anything_is_read(self, options: tuple[str, ...], tmp_path: Path) -> None:
        with pytest.raises(
            SettingError, match=r"--.* with --.*: each of them says what a right answer may cost"
        ) as told:
            fit(str(tmp_path / "there-is-no-such-file.parquet"), tmp_path / "router", *options)
        assert all(option in str(told.value) for option in options[::2])

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (("--target", "-1"), "target is -1"),
            (("--budget", "0"), "budget is 0"),
            (("--budget", "nan"), "budget is nan"),
            (("--value", "0"), r"value is 0\.0; it must be a number above 0"),
            (("--value", "inf"), "value is inf"),
        ],
    )
    def test_one_that_is_out_of_range_too(self, options: tuple[str, ...], told: str, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match=told):
            fit(str(tmp_path / "there-is-no-such-file.parquet"), tmp_path / "router", *options)

    @pytest.mark.parametrize("option", ["--budget", "--target"])
    @pytest.mark.parametrize("kind", ["bert"])
    def test_what_is_looked_up_is_not_for_kinds_that_are_not_measured(
        self, kind: str, option: str, tmp_path: Path
    ) -> None:
        with pytest.raises(SettingError, match=rf"{option} 2 with --router '{kind}'.*cluster, knn, linear") as told:
            fit(str(tmp_path / "there-is-no-such-file.parquet"), tmp_path / "router", "--router", kind, option, "2")
        assert "give --value or --cost-weight" in str(told.value)

    @pytest.mark.parametrize("option", ["--budget", "--target", "--value", "--cost-weight", "--alpha"])
    def test_a_dual_router_takes_none(self, option: str, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match=rf"--{option[2:].replace('-', '.')} 0\.5 with --router 'dual'"):
            fit("no-file.parquet", tmp_path / "router", "--router", "dual", "--parts", "a,b", option, "0.5")


POINT: dict[str, Any] = {
    "value_usd": 0.1,
    "always": None,
    "accuracy": 0.5,
    "accuracy_ci95": (0.4, 0.6),
    "versus_single": -0.012,
    "cost_usd_per_1k": 2.0,
    "cost_known": 1.0,
    "latency_s_mean": 1.25,
    "calls_per_query": 1.0,
}
SINGLE: dict[str, Any] = {**POINT, "value_usd": None, "always": "a@@b", "versus_single": 0.0, "cost_usd_per_1k": 8.0}


class Set:
    """Has settings, and nothing more."""

    settings: dict[str, Any]

    def __init__(self, **settings: Any) -> None:
        self.settings = settings


class TestSay:
    def said(self, capsys: pytest.CaptureFixture[str], point: dict[str, Any], single: dict[str, Any]) -> str:
        points = (OperatingPoint(**{**POINT, **point}), OperatingPoint(**{**SINGLE, **single}))
        curve = OperatingCurve(points=points, chosen=0, best=0, n_queries=100, reason="It is so.")
        say(curve, Set(), {})  # type: ignore[arg-type]
        return " ".join(capsys.readouterr().out.split())

    @pytest.fixture(autouse=True)
    def _wide(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "300")

    def test_by_hand(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.said(capsys, {}, {}) == (
            "It is so. Expected on new queries like these: 50.0% right (95% interval 40.0 to 60.0), -1.2 points to "
            "a@@b, $2 per 1000 queries (25% of its), 1.2 s."
        )

    def test_more_than_one_call_is_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert ", 2.3 calls a query, 1.2 s." in self.said(capsys, {"calls_per_query": 2.34}, {})

    def test_what_is_unknown_is_not_said_to_be_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        unknown = {"cost_usd_per_1k": None, "cost_known": 0.0, "latency_s_mean": None}
        told = self.said(capsys, unknown, unknown)
        assert told.endswith("-1.2 points to a@@b, an unknown cost per 1000 queries.")

    def test_a_cost_of_which_a_part_is_unknown_is_a_lower_bound(self) -> None:
        """Two dollars over three quarters of the queries make 1.50 at least."""
        point = OperatingPoint(**{**POINT, "cost_known": 0.75})
        assert cost_of(point) == "at least $1.5 (the cost of 25% is unknown)"

    def test_of_a_setting_that_was_not_measured_nothing_is_expected(self, capsys: pytest.CaptureFixture[str]) -> None:
        points = (OperatingPoint(**POINT), OperatingPoint(**SINGLE))
        curve = OperatingCurve(points=points, chosen=0, best=0, n_queries=100, reason="It is so.")
        say(curve, Set(value_usd=0.7, always=None), {"value": 0.7})  # type: ignore[arg-type]
        assert not capsys.readouterr().out
        say(curve, Set(value_usd=None, always="a@@b"), {"target": 1.0})  # type: ignore[arg-type]
        assert capsys.readouterr().out.startswith("Expected on new queries like these: 50.0% right")

    def test_the_one_knob_that_was_given(self) -> None:
        assert asked_for() == {}
        assert asked_for(cost_weight=0.0) == {"cost_weight": 0.0}
        assert asked_for(target=0.0) == {"target": 0.0}
        assert asked_for(value=0.1) == {"value": 0.1}

    def test_the_setting_that_was_measured_is_taken(self) -> None:
        from langchain_atlas.routers.cluster.router import ClusterRouter

        router = ClusterRouter(FakeEncoder(), n_clusters=2).fit(two_kinds(20))
        point = OperatingPoint(**{**SINGLE, "always": str(POET)})
        curve = OperatingCurve(points=(point,), chosen=0, best=0, n_queries=100, reason="")
        made = set_as_measured(router, curve, {}, str(ADDER))
        assert made.curve is curve
        assert (made.settings["cost_weight"], made.settings["always"]) == (0.0, str(POET))
        assert set_as_measured(router, None, {}, str(ADDER)).settings["always"] == str(ADDER)
        assert set_as_measured(router, None, {"value": 0.2}, str(ADDER)).settings["value_usd"] == 0.2


class TestTrain:
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Shorten the first lesson, which the command leaves at its length."""
        lesson, made = PretrainingConfig(belief_steps=10, gain_steps=10, batch=64), training.TrainingConfig
        monkeypatch.setattr(training, "TrainingConfig", lambda **settings: made(pretraining=lesson, **settings))

    def train(self, table: OutcomeTable, folder: Path) -> tuple[str, dict[str, Any], Router]:
        table.save(folder / "outcomes.parquet")
        options = ["--data", folder / "outcomes.parquet", "--out", folder / "rl", "--json", folder / "train.json"]
        arguments = ["train", *map(str, options), "--steps", "1", "--familiar"]
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
        if done.exception is not None:
            raise done.exception
        return done.output, json.loads((folder / "train.json").read_text(encoding="utf-8")), loaded(folder / "rl")

    def test_on_few_queries_one_pair_is_asked_always(self, tmp_path: Path) -> None:
        printed, figures, router = self.train(sums(40), tmp_path)
        assert "Too few queries to compare settings: every query goes to large@@none. Whether" in printed
        assert (router.curve, figures["curve"]) == (None, None)
        held = figures["held_out"]
        assert (held["how"], held["n_queries"], held["verdict"]) == ("part", 8, "too little to say")
        better = held["cluster_accuracy"] > held["accuracy"]
        assert ("A cluster router fitted on the same part does better" in printed) == better
        assert router.held_out is not None
        assert figures["settings"] == dict(router.settings)
        assert (router.settings["always"], router.settings["cost_weight"]) == ("large@@none", 0.0)
        assert router.decide(sums(40).queries[0]).rule == "one-pair"

    def test_on_many_it_chooses_and_says_so_in_two_lines(self, tmp_path: Path) -> None:
        printed, figures, router = self.train(sums(300), tmp_path)
        curve = router.curve
        assert curve is not None
        said = lines(printed)
        number = said.index(curve.reason)
        assert said[number + 1].startswith(
            f"Expected on new queries like these: {100 * figures['held_out']['accuracy']:.1f}% right"
        )
        assert OperatingCurve.from_json(figures["curve"]) == curve
        assert figures["settings"] == dict(router.settings)
        assert {name: router.settings[name] for name in ("value_usd", "always")} == curve.choice.settings
        assert curve.single.always == "large@@none"
        assert curve.single.cost_usd_per_1k == pytest.approx(20.0, rel=1e-4)
        assert curve.single.accuracy == pytest.approx(273 / 300)  # wrong on every eleventh
        assert len(curve.points) == 36
        # What it was measured to cost falls with what a right answer is worth, up to what sampling does.
        costs = [point.cost_usd_per_1k or 0.0 for point in curve.points[:-1]]
        assert costs[-1] < costs[0]
        cheap = loaded(tmp_path / "rl", "?budget=1.5")
        assert cheap.settings["value_usd"] == curve.affordable(1.5).value_usd

    def test_a_table_without_responses(self, tmp_path: Path) -> None:
        rows = [{**one, "response": None} for one in sums(40).table.to_pylist()]
        printed, _, router = self.train(OutcomeTable.from_rows(rows), tmp_path)
        assert "Note: no response is recorded, so answers can't be compared" in printed
        assert "Note:" not in self.train(sums(40), tmp_path)[0]
        assert router.settings["always"] == "large@@none"
