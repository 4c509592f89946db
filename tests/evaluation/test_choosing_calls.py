"""Which setting is chosen, from trials made by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from langchain_atlas.evaluation.settings.choosing import UNSEEN, WITHIN, Trials, choose
from langchain_atlas.routers.operating import OperatingCurve

N = 1000
SINGLE = "strong@@none"


def right(count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the scores of a setting that is right on the first so many of a thousand queries."""
    return (np.arange(N) < count).astype(float)


def trials(
    accurate: Sequence[int],
    dollars: Sequence[float],
    *,
    unseen: Sequence[float] | None = (),
    n_kinds: int = 4,
    **more: Any,
) -> Trials:
    """Make trials of settings, the last of them the single pair's.

    Args:
        accurate: how many of a thousand queries each is right on.
        dollars: for a thousand queries.
        unseen: mean loss on kinds that were left out; none at all unless given.
        n_kinds: how many kinds there are.
        more: other fields.
    """
    count = len(accurate)
    values = 10.0 ** -np.arange(count - 1)
    lost = None if unseen is None else np.repeat(np.array(unseen or [0.0] * count)[:, None], N, axis=1)
    made = {
        "values": values,
        "single": SINGLE,
        "score": np.stack([right(one) for one in accurate]),
        "cost": np.repeat(np.array(dollars)[:, None] / 1000, N, axis=1),
        "latency": np.full((count, N), np.nan),
        "calls": np.ones((count, N)),
        "unseen": lost,
        "n_kinds": n_kinds,
    }
    return Trials(**{**made, **more})


def picked(curve: OperatingCurve) -> tuple[int, str]:
    return curve.chosen, curve.reason


ONE_PAIR = f"One pair, {SINGLE}: "


class TestTheRule:
    def test_the_cheapest_within_half_a_point_of_the_best(self) -> None:
        """Of 810, 808, 805 and 804 right, and 800 by one pair, the third is the cheapest that is near enough."""
        chosen, reason = picked(choose(trials([810, 808, 805, 804, 800], [8, 6, 4, 2, 9])))
        assert chosen == 2
        assert reason == "The cheapest setting within 0.5 points of the best, 0.5 below it here."
        assert WITHIN == 0.005

    def test_the_single_pair_is_what_has_to_be_reached_too(self) -> None:
        """The settings reach 796 at most: 795 of them will do, 794 will not."""
        assert choose(trials([796, 795, 800], [8, 6, 9])).chosen == 1
        chosen, reason = picked(choose(trials([794, 790, 800], [8, 6, 9])))
        assert (chosen, reason) == (2, ONE_PAIR + "no setting is as good for less.")

    def test_one_pair_where_it_is_the_cheapest(self) -> None:
        chosen, reason = picked(choose(trials([800, 800, 800], [5, 6, 4])))
        assert (chosen, reason) == (2, ONE_PAIR + "no setting is as good for less.")

    def test_settings_dearer_than_the_single_pair_are_no_bar(self) -> None:
        """The first is two points better at twice the cost, which nobody asked for; the best of the curve it is."""
        curve = choose(trials([820, 798, 800], [20, 5, 10]))
        assert curve.chosen == 1
        assert curve.best == 0
        assert curve.choice.accuracy == 0.798

    def test_nor_are_they_chosen(self) -> None:
        assert choose(trials([820, 790, 800], [20, 5, 10])).chosen == 2

    def test_as_dear_as_the_single_pair_is_not_dearer(self) -> None:
        assert choose(trials([820, 800], [10, 10])).chosen == 0

    def test_of_equally_cheap_ones_the_fewest_calls_then_the_most_accurate(self) -> None:
        calls = np.array([[2.0], [1.0], [1.0], [1.0]]) * np.ones((1, N))
        assert choose(trials([803, 801, 802, 800], [5, 5, 5, 9], calls=calls)).chosen == 2


class TestKindsThatWereLeftOut:
    def test_a_setting_that_loses_on_them_is_ruled_out(self) -> None:
        """With four kinds five thousandths may be lost: 0.0049 will do, 0.0051 will not."""
        assert UNSEEN * (4 + 1) == 0.005
        assert choose(trials([800, 800, 800], [6, 4, 9], unseen=[-0.0049, -0.0051, 0.0])).chosen == 0

    def test_one_pair_where_none_holds_up(self) -> None:
        chosen, reason = picked(choose(trials([805, 800, 800], [6, 4, 9], unseen=[-0.02, -0.05, 0.0])))
        assert (chosen, reason) == (2, ONE_PAIR + "no setting holds up on kinds of query that were left out.")

    def test_the_more_kinds_were_seen_the_less_a_new_one_matters(self) -> None:
        """Of nine kinds a tenth query may be of a new one, so that a point lost there is a thousandth in all."""
        lost = [-0.0099, -0.0099, 0.0]
        assert choose(trials([800, 800, 800], [6, 4, 9], unseen=lost, n_kinds=4)).chosen == 2
        assert choose(trials([800, 800, 800], [6, 4, 9], unseen=lost, n_kinds=9)).chosen == 1

    def test_one_pair_where_that_cannot_be_measured(self) -> None:
        chosen, reason = picked(choose(trials([900, 900, 800], [6, 4, 9], unseen=None)))
        assert (chosen, reason) == (
            2,
            ONE_PAIR + "there are too few queries, or too few kinds, to tell whether routing holds.",
        )


class TestDoubt:
    """The setting is right on 390 where one pair is on 400, each on others: a hundredth below it.

    It is right on 100 that the pair is wrong on, and wrong on 110 of the pair's: the differences' variance is 0.21 less
    0.0001, and the standard error of their mean the root of 0.2099 / 1000, 0.01449. It may be half a point below, so
    that it must be helped by 0.345 standard errors: at a confidence of 63.5%.
    """

    def made(self) -> Trials:
        single = right(400)
        setting = np.where(np.arange(N) < 110, 0.0, np.where(np.arange(N) < 500, 1.0, 0.0))
        assert (setting.sum(), (setting - single).mean()) == (390, pytest.approx(-0.01))
        return trials([0, 0], [5, 9], score=np.stack([setting, single]))

    @pytest.mark.parametrize(("doubt", "chosen"), [(0.5, 1), (0.62, 1), (0.65, 0), (0.8, 0)])
    def test_a_setting_must_be_shown_to_be_worse(self, doubt: float, chosen: int) -> None:
        assert choose(self.made(), doubt=doubt).chosen == chosen

    def test_the_reason_says_so(self) -> None:
        assert choose(self.made(), doubt=0.8).reason == (
            "The cheapest setting within 0.5 points of the best, 1.0 below it here (it is not shown to be worse with "
            "80% confidence)."
        )

    def test_what_is_surely_worse_gets_none(self) -> None:
        """A setting that is wrong on ten of the pair's queries, and never right on another."""
        assert choose(trials([300, 400], [5, 9]), doubt=0.8).chosen == 1


class TestLeastValue:
    @pytest.mark.parametrize(("least", "chosen"), [(0.0, 2), (0.01, 2), (0.011, 1), (0.1, 1), (0.5, 0), (2.0, 3)])
    def test_settings_at_which_an_answer_is_worth_less_are_not_chosen(self, least: float, chosen: int) -> None:
        """Values are 1, 0.1 and 0.01 dollars."""
        assert choose(trials([800, 800, 800, 800], [6, 5, 4, 9]), least_value=least).chosen == chosen

    def test_they_are_measured_all_the_same(self) -> None:
        curve = choose(trials([800, 800, 800, 800], [6, 5, 4, 9]), least_value=0.5)
        assert [point.value_usd for point in curve.points] == [1.0, 0.1, 0.01, None]


class TestUnknownCosts:
    def test_where_the_single_pairs_is_unknown_nothing_is_dearer(self) -> None:
        curve = choose(trials([800, 800, 800], [60, 40, float("nan")]))
        assert curve.chosen == 1
        assert curve.single.cost_usd_per_1k is None
        assert curve.single.cost_known == 0.0

    def test_a_setting_of_unknown_cost_is_not_cheap(self) -> None:
        assert choose(trials([800, 800, 800], [6, float("nan"), 9])).chosen == 0

    @pytest.mark.parametrize(("unknown", "chosen"), [(100, 1), (101, 0)])
    def test_nor_is_one_of_which_more_than_a_tenth_is_unknown(self, unknown: int, chosen: int) -> None:
        made = trials([800, 800, 800], [6, 4, 9])
        made.cost[1, :unknown] = np.nan
        curve = choose(made)
        assert curve.chosen == chosen
        assert curve.points[1].cost_known == pytest.approx(1 - unknown / 1000)
        assert curve.points[1].cost_usd_per_1k == pytest.approx(4)

    def test_where_none_is_known_the_most_accurate_of_the_good_ones(self) -> None:
        assert choose(trials([803, 805, 800], [float("nan")] * 3)).chosen == 1


class TestTheCurve:
    def test_every_setting_is_on_it_with_its_figures(self) -> None:
        latency = np.array([[1.0], [2.0], [np.nan]]) * np.ones((1, N))
        latency[1, ::2] = np.nan
        calls = np.array([[1.5], [1.0], [1.0]]) * np.ones((1, N))
        values = np.array([np.inf, 0.1])
        curve = choose(trials([810, 790, 800], [8, 6, 9], latency=latency, calls=calls, values=values))
        first, second, last = curve.points
        assert (first.value_usd, second.value_usd, last.value_usd) == (None, 0.1, None)
        assert (first.always, second.always, last.always) == (None, None, SINGLE)
        assert [point.accuracy for point in curve.points] == [0.81, 0.79, 0.8]
        assert [point.versus_single for point in curve.points] == pytest.approx([0.01, -0.01, 0.0])
        assert [point.cost_usd_per_1k for point in curve.points] == pytest.approx([8, 6, 9])
        assert [point.latency_s_mean for point in curve.points] == [1.0, 2.0, None]
        assert [point.calls_per_query for point in curve.points] == [1.5, 1.0, 1.0]
        assert curve.n_queries == N
        assert (curve.single, curve.choice) == (last, curve.points[curve.chosen])
        assert curve.best == 0

    def test_intervals_hold_the_accuracy(self) -> None:
        """Of 800 right of 1000 the standard error is 0.01265; 1.96 of them make 0.0248."""
        low, high = choose(trials([800, 800], [5, 9])).points[0].accuracy_ci95
        assert (low, high) == (pytest.approx(0.8 - 0.0248, abs=0.004), pytest.approx(0.8 + 0.0248, abs=0.004))

    def test_it_is_the_same_for_a_seed(self) -> None:
        made = trials([810, 790, 800], [8, 6, 9])
        assert choose(made, seed=3) == choose(made, seed=3)


class TestFewQueries:
    """The single pair is right on 80%, the other setting on as many, at half the dollars."""

    @staticmethod
    def trials_of(count: int, won: int, lost: int) -> Trials:
        single = np.arange(count) < round(0.8 * count)
        other = single.astype(float)
        other[:lost] = 0.0
        other[count - won :] = 1.0
        made = trials(
            [800, 800],
            [1, 2],
            unseen=None,
            score=np.stack([other, single.astype(float)]),
            cost=np.repeat([[0.001], [0.002]], count, axis=1),
            latency=np.full((2, count), np.nan),
            calls=np.ones((2, count)),
            n_kinds=12,
        )
        return replace(made, unseen=np.zeros((2, count)))

    @pytest.mark.parametrize(("count", "won", "lost"), [(60, 1, 0), (100, 2, 0), (300, 6, 6)])
    def test_as_good_by_luck_is_not_enough(self, count: int, won: int, lost: int) -> None:
        assert choose(self.trials_of(count, won, lost)).chosen == 1

    @pytest.mark.parametrize("count", [100, 300])
    def test_they_give_no_setting_the_benefit_of_the_doubt(self, count: int) -> None:
        """A policy's settings have it; a hundred queries would not show that one loses three points."""
        assert choose(self.trials_of(count, 0, count // 33), doubt=0.8).chosen == 1
        assert choose(self.trials_of(1000, 0, 6), doubt=0.8).chosen == 0

    @pytest.mark.parametrize(("count", "won", "lost"), [(100, 10, 0), (300, 16, 2), (500, 10, 5), (800, 10, 10)])
    def test_surely_as_good_or_many_queries_are(self, count: int, won: int, lost: int) -> None:
        assert choose(self.trials_of(count, won, lost)).chosen == 0


class TestAGreatGain:
    """Four kinds, 320 queries; on kinds that were left out the setting wins as often as it loses."""

    @staticmethod
    def trials_of(right: int, *, unseen: float = 0.0, n_kinds: int = 4, count: int = 320) -> Trials:
        """Make trials of a setting that is right on so many queries, and of a pair that is right on a hundred."""
        number = np.arange(count)
        single, other = (number < 100).astype(float), (number >= count - right).astype(float)
        left_out = np.where(number % 8 == 0, 1.0, np.where(number % 8 == 1, -1.0, 0.0)) + unseen
        made = trials(
            [500, 500], [1, 2], n_kinds=n_kinds, latency=np.full((2, count), np.nan), calls=np.ones((2, count))
        )
        cost = np.repeat([[0.001], [0.002]], count, axis=1)
        return replace(made, score=np.stack([other, single]), cost=cost, unseen=np.stack([left_out, np.zeros(count)]))

    def test_outweighs_what_new_kinds_may_lose(self) -> None:
        """204 right instead of 100: 32 points; of five new queries one is of a new kind."""
        assert choose(self.trials_of(204)).chosen == 0

    @pytest.mark.parametrize(
        ("right", "unseen", "n_kinds"),
        [(110, 0.0, 4), (130, 0.0, 4), (204, -0.95, 4), (204, -0.5, 1)],
        ids=["little", "more, but not surely", "much lost on new kinds", "one kind is known"],
    )
    def test_what_is_small_or_unsure_does_not(self, right: int, unseen: float, n_kinds: int) -> None:
        assert choose(self.trials_of(right, unseen=unseen, n_kinds=n_kinds)).chosen == 1
