"""The operating curve: knobs that are looked up among what was measured; all figures by hand."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import Compass, row, table_of

from langchain_atlas.errors import ArtifactError, SettingError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint, check_budget, resolved
from langchain_atlas.routers.saved.artifact import load_with_settings
from langchain_atlas.trajectory import Query

STRONG = "dear@@none"


def point(value: float | None, accuracy: float, cost: float | None, **more: Any) -> OperatingPoint:
    fields: dict[str, Any] = {
        "value_usd": value,
        "always": None,
        "accuracy": accuracy,
        "accuracy_ci95": (max(accuracy - 0.02, 0.0), min(accuracy + 0.02, 1.0)),
        "versus_single": 0.0,
        "cost_usd_per_1k": cost,
        "cost_known": 0.0 if cost is None else 1.0,
        "latency_s_mean": None,
        "calls_per_query": 1.0,
    }
    return OperatingPoint(**{**fields, **more})


def curve_of(*points: OperatingPoint, chosen: int = 0) -> OperatingCurve:
    best = max(range(len(points)), key=lambda number: points[number].accuracy)
    return OperatingCurve(points=points, chosen=chosen, best=best, n_queries=200, reason="It was chosen.")


CURVE = curve_of(
    point(1.0, 0.80, 4.0),
    point(0.1, 0.81, 3.0),
    point(0.01, 0.80, 2.0),
    point(0.001, 0.75, 0.5),
    point(0.0001, 0.60, 0.25),
    point(None, 0.79, 5.0, always=STRONG),
    chosen=2,
)


class TestWithin:
    @pytest.mark.parametrize(
        ("points", "number"),
        [(0, 1), (0.99, 1), (1.0, 2), (5.99, 2), (6.0, 3), (20.9, 3), (21.0, 4), (100, 4)],
    )
    def test_the_cheapest_that_is_so_near_the_best(self, points: float, number: int) -> None:
        assert CURVE.within(points) == CURVE.points[number]

    def test_of_equally_cheap_ones_the_most_accurate(self) -> None:
        found = curve_of(point(1.0, 0.7, 1.0), point(0.1, 0.8, 1.0), point(None, 0.9, 2.0, always=STRONG)).within(30)
        assert found.accuracy == 0.8

    def test_an_unknown_cost_is_never_the_cheapest(self) -> None:
        """Neither one that nothing is known of, nor a mean over the calls whose cost is known."""
        unknown, partly = point(1.0, 0.9, None), point(0.1, 0.9, 0.1, cost_known=0.8)
        known = point(0.01, 0.85, 7.0)
        curve = curve_of(unknown, partly, known, point(None, 0.9, None, always=STRONG))
        assert curve.within(10) == known
        assert curve.within(1).accuracy == 0.9  # where no cost is known, the most accurate

    @pytest.mark.parametrize("points", [-1, -1e-9, float("nan"), float("inf"), "much", True, None])
    def test_no_number_of_points(self, points: Any) -> None:
        with pytest.raises(SettingError, match=r"target is .*; it must be a number: points below the best, from 0"):
            CURVE.within(points)


class TestAffordable:
    @pytest.mark.parametrize(
        ("budget", "number"), [(0.25, 4), (0.499, 4), (0.5, 3), (2, 2), (2.999, 2), (3.0, 1), (4.0, 1), (1000, 1)]
    )
    def test_the_most_accurate_that_costs_no_more(self, budget: float, number: int) -> None:
        assert CURVE.affordable(budget) == CURVE.points[number]

    def test_of_equally_accurate_ones_the_cheapest(self) -> None:
        found = curve_of(point(1.0, 0.8, 2.0), point(0.1, 0.8, 1.0), point(None, 0.7, 0.5, always=STRONG)).affordable(3)
        assert found.cost_usd_per_1k == 1.0

    def test_a_cost_that_is_not_known_is_not_affordable(self) -> None:
        curve = curve_of(
            point(1.0, 0.9, None), point(0.1, 0.8, 0.1, cost_known=0.5), point(None, 0.7, 2.0, always="a@@b")
        )
        assert curve.affordable(3).accuracy == 0.7

    def test_nothing_is_that_cheap(self) -> None:
        with pytest.raises(
            SettingError,
            match=r"budget is 0\.2 dollars for 1000 queries, and no setting was measured to be so cheap: the least is "
            r"0\.25\. Raise the budget to that or more, or add a cheaper model\.",
        ):
            CURVE.affordable(0.2)

    def test_no_cost_is_known_at_all(self) -> None:
        with pytest.raises(SettingError, match="no cost is known"):
            curve_of(point(1.0, 0.9, None), point(None, 0.8, None, always=STRONG)).affordable(100)

    @pytest.mark.parametrize("budget", [0, 0.0, -1, float("nan"), float("inf"), "much", True, None])
    def test_no_budget(self, budget: Any) -> None:
        with pytest.raises(SettingError, match=r"budget is .*; it must be a number: dollars for 1000 queries, above 0"):
            check_budget(budget)


@st.composite
def curves(draw: st.DrawFn) -> OperatingCurve:
    """Draw a curve of up to eight settings, in no order, some of whose costs are not known."""
    cost = st.one_of(st.none(), st.integers(1, 20).map(lambda tenths: tenths / 10))
    drawn = draw(st.lists(st.tuples(st.integers(0, 20), cost), min_size=2, max_size=8))
    points = [point(10.0**-number, accuracy / 20, dollars) for number, (accuracy, dollars) in enumerate(drawn)]
    points[-1] = points[-1].replace(value_usd=None, always=STRONG)
    return curve_of(*points)


class TestAnyCurve:
    @given(curve=curves(), targets=st.lists(st.floats(0, 100), min_size=2, max_size=6))
    def test_who_gives_up_more_never_pays_more(self, curve: OperatingCurve, targets: list[float]) -> None:
        found = [curve.within(target) for target in sorted(targets)]
        for target, taken in zip(sorted(targets), found, strict=True):
            assert taken.accuracy >= curve.points[curve.best].accuracy - target / 100 - 1e-9
        costs = [float("inf") if one.cost_usd_per_1k is None else one.cost_usd_per_1k for one in found]
        assert all(later <= earlier for earlier, later in pairwise(costs))

    @given(curve=curves(), budgets=st.lists(st.floats(0.01, 3), min_size=2, max_size=6))
    def test_who_pays_more_never_gets_less(self, curve: OperatingCurve, budgets: list[float]) -> None:
        accuracies = []
        for budget in sorted(budgets):
            known = [one.cost_usd_per_1k for one in curve.points if one.cost_usd_per_1k is not None]
            if not known or min(known) > budget:
                with pytest.raises(SettingError, match="Raise the budget"):
                    curve.affordable(budget)
                assert not accuracies  # nothing cheaper was affordable either
                continue
            taken = curve.affordable(budget)
            assert taken.cost_usd_per_1k is not None
            assert taken.cost_usd_per_1k <= budget * (1 + 1e-6)
            accuracies.append(taken.accuracy)
        assert accuracies == sorted(accuracies)

    @given(curve=curves())
    def test_json_and_back(self, curve: OperatingCurve) -> None:
        assert OperatingCurve.from_json(curve.to_json()) == curve


ONCE: dict[str, Any] = {"cost_weight": 0.5, "value_usd": None, "usd_per_second": 0.0, "guard": 0.85, "always": STRONG}
"""Settings of a router that routes once, which one pair was found to be the best for."""
LOOP: dict[str, Any] = {"cost_weight": 0.1, "value_usd": None, "max_turns": 4, "guard": 0.85, "always": STRONG}
"""Settings of one that goes round the loop."""


class TestResolved:
    @pytest.mark.parametrize(
        ("known", "asked", "settings"),
        [
            (ONCE, {"alpha": 0.2}, {"cost_weight": 0.2, "value_usd": None, "always": None}),
            (ONCE, {"cost_weight": 0.2}, {"cost_weight": 0.2, "value_usd": None, "always": None}),
            (LOOP, {"alpha": 0.2}, {"cost_weight": 0.2, "value_usd": None, "always": None}),
            (LOOP, {"cost_weight": 0.2}, {"cost_weight": 0.2, "value_usd": None, "always": None}),
            (ONCE, {"value": 0.05}, {"value_usd": 0.05, "always": None}),
            (ONCE, {"value_usd": 0.05}, {"value_usd": 0.05, "always": None}),
            (ONCE, {"target": 1.0}, {"cost_weight": 0.0, "value_usd": 0.01, "always": None}),
            (LOOP, {"target": 1.0}, {"cost_weight": 0.0, "value_usd": 0.01, "always": None}),
            (LOOP, {"budget": 0.5}, {"cost_weight": 0.0, "value_usd": 0.001, "always": None}),
            (ONCE, {"budget": 3, "guard": 0.0}, {"guard": 0.0, "cost_weight": 0.0, "value_usd": 0.1, "always": None}),
            # Settings that say nothing of what accuracy is worth leave alone what does.
            (ONCE, {"guard": 0.0}, {"guard": 0.0}),
            (ONCE, {"usd_per_second": 0.1, "always": None}, {"usd_per_second": 0.1, "always": None}),
            (ONCE, {"value_usd": None}, {"value_usd": None}),
            (ONCE, {}, {}),
            # Whoever names a pair and a value wants both.
            (ONCE, {"value": 0.05, "always": "a@@b"}, {"value_usd": 0.05, "always": "a@@b"}),
            (ONCE, {"cost_weight": 0.2, "always": "a@@b"}, {"cost_weight": 0.2, "value_usd": None, "always": "a@@b"}),
            # Names that nobody knows are left for the router to refuse.
            (ONCE, {"alhpa": 0.2}, {"alhpa": 0.2}),
            # One that knows no value, such as a baseline's, is left alone.
            ({"cost_weight": 0.5}, {"cost_weight": 0.2}, {"cost_weight": 0.2}),
        ],
    )
    def test_knobs_become_settings(
        self, known: dict[str, Any], asked: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        assert resolved(asked, known, CURVE) == settings

    def test_a_setting_that_was_one_pair_is_one_pair(self) -> None:
        curve = curve_of(point(1.0, 0.7, 4.0), point(None, 0.9, 2.0, always=STRONG))
        expected = {"cost_weight": 0.0, "value_usd": None, "always": STRONG}
        assert resolved({"target": 0.5}, {**ONCE, "always": None}, curve) == expected

    @pytest.mark.parametrize(
        "asked",
        [
            {"target": 1.0, "budget": 2},
            {"target": 1.0, "value": 0.05},
            {"budget": 1.0, "cost_weight": 0.3},
            {"value": 0.05, "cost_weight": 0.3},
            {"cost_weight": 0.3, "value_usd": 0.05},
        ],
    )
    @pytest.mark.parametrize("known", [ONCE, LOOP])
    def test_two_that_say_what_accuracy_is_worth_are_refused(
        self, known: dict[str, Any], asked: dict[str, Any]
    ) -> None:
        with pytest.raises(SettingError, match=r"and .* each say what a right answer may cost; give one of them"):
            resolved(asked, known, CURVE)

    @pytest.mark.parametrize("name", ["target", "budget"])
    def test_without_measurements_nothing_is_looked_up(self, name: str) -> None:
        with pytest.raises(
            SettingError,
            match=rf"{name}=1\.5 is looked up .* this router holds none.*Fit it again without one, or give "
            r"value=DOLLARS or cost_weight=W",
        ):
            resolved({name: 1.5}, ONCE, None)


COMPASS = {"e1": 0.0, "e2": 2.0, "n1": 90.0, "n2": 92.0}
# East: both are always right. North: only the dear one is.
ROWS = [
    row(name, model, float(model == "dear" or name.startswith("e")), cost)
    for name in COMPASS
    for model, cost in (("cheap", 0.001), ("dear", 0.005))
]


def fitted() -> ClusterRouter:
    router = ClusterRouter(
        Compass(COMPASS),
        n_clusters=2,
        n_refinements=0,
        view="text",
        strength=0.0,
        guard=0.0,
        cost_weight=0.0,
        always=STRONG,
    )
    return router.fit(table_of(*ROWS))


@pytest.fixture
def saved(tmp_path: Path) -> str:
    router = fitted()
    router.curve = CURVE
    router.save(tmp_path / "router")
    return str(tmp_path / "router")


class TestSaved:
    def test_the_curve_is_kept(self, saved: str) -> None:
        loaded = Router.load(saved, Compass(COMPASS))
        assert loaded.curve == CURVE
        assert loaded.curve.choice.value_usd == 0.01
        assert loaded.curve.single.always == STRONG

    def test_a_router_that_was_not_measured_has_none(self, tmp_path: Path) -> None:
        fitted().save(tmp_path / "router")
        assert Router.load(tmp_path / "router", Compass(COMPASS)).curve is None
        with pytest.raises(SettingError, match="this router holds none"):
            load_with_settings(f"{tmp_path / 'router'}?target=1.0", Compass(COMPASS))

    def test_a_damaged_curve_is_refused(self, saved: str) -> None:
        config = Path(saved) / "config.json"
        config.write_text(config.read_text().replace('"accuracy"', '"acuracy"'))
        with pytest.raises(ArtifactError, match="damaged"):
            Router.load(saved, Compass(COMPASS))

    @pytest.mark.parametrize(
        ("knob", "settings"),
        [
            ("target=1.0", {"cost_weight": 0.0, "value_usd": 0.01, "always": None}),
            ("target=0", {"cost_weight": 0.0, "value_usd": 0.1, "always": None}),
            ("budget=2", {"cost_weight": 0.0, "value_usd": 0.01, "always": None}),
            ("budget=0.3", {"cost_weight": 0.0, "value_usd": 0.0001, "always": None}),
            ("value=0.05", {"value_usd": 0.05, "always": None}),
            ("cost_weight=0.2", {"cost_weight": 0.2, "value_usd": None, "always": None}),
            ("alpha=0.2", {"cost_weight": 0.2, "value_usd": None, "always": None}),
            ("guard=0", {"guard": 0, "always": STRONG}),
            ("target=1.0&guard=0.9", {"value_usd": 0.01, "always": None, "guard": 0.9}),
        ],
    )
    def test_every_knob_is_taken_by_the_folders_name(self, saved: str, knob: str, settings: dict[str, Any]) -> None:
        loaded = load_with_settings(f"{saved}?{knob}", Compass(COMPASS))
        assert {name: loaded.settings[name] for name in settings} == settings
        assert load_with_settings(saved, Compass(COMPASS)).settings["always"] == STRONG

    @pytest.mark.parametrize(
        ("knob", "east", "north", "rule"),
        [
            ("", "dear", "dear", "one-pair"),
            ("?guard=0", "dear", "dear", "one-pair"),
            # A cent for what the other does not get right, 4 tenths of a cent dearer.
            ("?target=1.0", "cheap", "dear", "nearest-cluster"),
            ("?value=0.005", "cheap", "dear", "nearest-cluster"),
            ("?value=0.003", "cheap", "cheap", "nearest-cluster"),
            ("?budget=0.3", "cheap", "cheap", "nearest-cluster"),
            ("?cost_weight=0", "cheap", "dear", "nearest-cluster"),
            ("?alpha=0.9", "cheap", "cheap", "nearest-cluster"),
        ],
    )
    def test_and_decides_accordingly(self, saved: str, knob: str, east: str, north: str, rule: str) -> None:
        loaded = load_with_settings(f"{saved}{knob}", Compass(COMPASS))
        decisions = loaded.decide_batch([Query(text="e1"), Query(text="n1")])
        assert [decision.pair for decision in decisions] == [Pair(east), Pair(north)]
        assert {decision.rule for decision in decisions} == {rule}

    def test_a_query_with_a_cost_weight_of_its_own_is_routed(self, saved: str) -> None:
        loaded = load_with_settings(saved, Compass(COMPASS))
        assert loaded.decide(Query(text="e1", cost_weight=0.9)).pair == Pair("cheap")

    def test_knobs_that_are_wrong_are_refused(self, saved: str) -> None:
        for knob, told in (
            ("target=1.0&budget=2", "give one of them"),
            ("target=much", "target is 'much'"),
            ("budget=0.1", "the least is 0.25"),
            ("value=0", "value is 0"),
            ("always=nobody@@none", "always is 'nobody@@none'"),
        ):
            with pytest.raises(SettingError, match=told):
                load_with_settings(f"{saved}?{knob}", Compass(COMPASS))

    def test_where_the_pair_is_left_out_the_best_of_the_others_is_asked_always(self, saved: str) -> None:
        loaded = load_with_settings(saved, Compass(COMPASS)).restrict([Pair("cheap")])
        assert loaded.settings["always"] == "cheap@@none"
        assert loaded.decide(Query(text="n1")).pair == Pair("cheap")
