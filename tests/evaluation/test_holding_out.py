"""Queries kept aside: how they are parted, and what is said of a router by them."""

import numpy as np
import pytest
from recorded import row, table_of

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.replay.unseen import unseen_figures
from langchain_atlas.evaluation.settings.crossvalidation import choose_setting, cross_validate
from langchain_atlas.evaluation.settings.holding_out import (
    check_share,
    cross_fitted,
    judged,
    split,
    stratified_parts,
    worth,
)
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.held_out import Rival
from langchain_atlas.testing import FakeEncoder


def rival(gain: float, low: float, high: float) -> Rival:
    return Rival(pair="a@@none", accuracy=0.5, gain=gain, gain_ci95=(low, high), cost_usd_per_1k=1.0)


def lucky(count: int = 300) -> OutcomeTable:
    """Draw outcomes of pairs that are all right on every other query, by chance: no router can be worth it."""
    draw = np.random.default_rng(0)
    words = draw.permutation(10 * count).reshape(count, 10)
    return table_of(
        *(
            row(
                f"q{number}", pair, float(draw.random() < 0.5), 0.001, query=str(words[number]), domain=f"d{number % 3}"
            )
            for number in range(count)
            for pair in ("a@@none", "b@@none", "c@@none")
        )
    )


class TestParts:
    def test_every_domain_is_split_evenly(self) -> None:
        domains = ["a"] * 50 + ["b"] * 30 + ["c"] * 10
        part = stratified_parts(np.arange(90), domains, n_parts=5)
        for name, share in (("a", 10), ("b", 6), ("c", 2)):
            counts = np.bincount(part[np.array(domains) == name], minlength=5)
            assert counts.tolist() == [share] * 5

    def test_near_duplicates_stay_together(self) -> None:
        groups = np.repeat(np.arange(20), 3)
        part = stratified_parts(groups, ["all"] * 60, n_parts=5, seed=1)
        assert all(len(set(part[groups == group])) == 1 for group in range(20))
        assert np.bincount(part).tolist() == [12] * 5

    def test_a_fifth_is_kept_aside(self) -> None:
        kept, held = split(lucky(), FakeEncoder(), share=0.2)
        assert len(held) == 60
        assert not set(kept) & set(held)
        assert len(kept) + len(held) == 300

    @pytest.mark.parametrize(("count", "share"), [(20, 0.2), (24, 0.2), (300, 0.0)])
    def test_of_too_few_nothing_is_kept_aside(self, count: int, share: float) -> None:
        kept, held = split(lucky(count), FakeEncoder(), share=share)
        assert (len(kept), held) == (count, [])

    @pytest.mark.parametrize("share", [-0.1, 0.6, float("nan")])
    def test_a_share_out_of_range_is_refused(self, share: float) -> None:
        with pytest.raises(SettingError, match=r"from 0 .* to 0\.5"):
            check_share(share)


class TestWorth:
    @pytest.mark.parametrize(
        ("gain", "ratio", "verdict"),
        [
            (rival(0.05, 0.01, 0.09), 1.5, "worth it"),
            (rival(0.0, -0.005, 0.005), 0.5, "worth it"),
            (rival(0.0, -0.01, 0.01), 1.0, "not worth it"),
            (rival(-0.05, -0.08, -0.02), 0.5, "not worth it"),
            (rival(0.02, -0.03, 0.07), 0.9, "too little to say"),
            (rival(0.0, -0.03, 0.01), 0.5, "too little to say"),
        ],
    )
    def test_rules(self, gain: Rival, ratio: float, verdict: str) -> None:
        found, reason = worth(gain, ratio, one_pair=False)
        assert found == verdict
        assert reason.startswith(verdict.capitalize())
        assert "a@@none" in reason

    def test_one_pair_is_no_router(self) -> None:
        assert worth(rival(0.0, 0.0, 0.0), 1.0, one_pair=True)[0] == "not worth it"


class TestFigures:
    def test_luck_is_not_worth_it(self) -> None:
        """The router fitted on all is far above chance on what it was fitted on; the figures kept aside are not."""
        table, encoder = lucky(), FakeEncoder()
        trials = cross_validate(ClusterRouter(encoder, guard=0.0), table)
        assert trials is not None
        curve = choose_setting(trials, table)
        held = cross_fitted(trials, curve.points[0], lambda _: 0, share=0.2)
        assert held is not None
        assert held.n_queries == 300
        assert held.accuracy == pytest.approx(0.5, abs=0.07)
        assert held.verdict != "worth it"
        assert set(held.per_domain) == {"d0", "d1", "d2"}
        router = ClusterRouter(encoder, guard=0.0).fit(table).configure(value_usd=held.settings["value_usd"])
        router.held_out = held
        assert unseen_figures(router, table) == held
        found = evaluate({"mine": router}, table)
        assert found.runs["mine"].score.mean() > held.accuracy
        assert found.routers["mine"].accuracy == held.accuracy
        figures = found.to_json()["routers"]["mine"]
        assert figures["fitted"]["accuracy"] == pytest.approx(found.runs["mine"].score.mean())
        assert figures["held_out"]["verdict"] == held.verdict
        assert any("a replay would flatter it" in note for note in found.notes)

    def test_they_are_of_that_table_and_that_setting_alone(self) -> None:
        table = lucky(120)
        kept, aside = split(table, None, share=0.2)
        fitted = table.select(query_ids=kept)
        router = ClusterRouter(FakeEncoder()).fit(fitted)
        held = judged(router, table.select(query_ids=aside), single="a@@none", share=0.2)
        router.held_out = held
        assert held.fitted_single.pair == "a@@none"
        assert unseen_figures(router, fitted) == held
        assert unseen_figures(router, table.select(query_ids=kept[:40])) is None
        assert unseen_figures(router.configure(cost_weight=0.4), fitted) is None

    def test_a_saved_router_keeps_them(self, tmp_path: object) -> None:
        table = lucky(120)
        router = ClusterRouter(FakeEncoder()).fit(table)
        router.held_out = judged(SinglePairRouter("b@@none"), table, single="a@@none", share=0.2)
        router.save(f"{tmp_path}/router")
        assert ClusterRouter.load(f"{tmp_path}/router", FakeEncoder()).held_out == router.held_out
