"""The knobs turn monotonically: with more weight on cost no dearer pair is chosen, whatever the tables say."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from recorded import Compass, row, table_of

from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.utility.estimates import PairEstimates, highest_known, scaled
from langchain_atlas.routers.utility.router import UtilityRouter
from langchain_atlas.trajectory import Candidate, Decision, Query

VALUES = np.geomspace(1e-6, 1.0, 20)
WEIGHTS = np.linspace(0.0, 1.0, 20)
SLACK = 1e-9
GUARDS = pytest.mark.parametrize("guard", [0.0, 0.85])
SEEDS = pytest.mark.parametrize("seed", range(6))


class Believer(UtilityRouter):
    """Believes what it is told."""

    def __init__(self, expected: PairEstimates, **settings: Any) -> None:
        super().__init__(**settings)
        self.expected = expected
        self._pairs = tuple(Pair(f"pair{number}") for number in range(len(expected.success)))

    def _prepare(self, queries: Sequence[Query]) -> Sequence[Any]:
        return list(queries)

    def _expect(self, item: Any, permitted: NDArray[np.bool_]) -> PairEstimates:
        del item, permitted
        return self.expected

    def _with_pairs(self, pairs: tuple[Pair, ...]) -> Any:
        raise NotImplementedError


def belief_of(
    success: Sequence[float],
    cost: Sequence[float],
    latency: Sequence[float] | None = None,
    spread: Sequence[float] | None = None,
) -> PairEstimates:
    dollars = np.array(cost, dtype=float)
    seconds = np.full(len(success), np.nan) if latency is None else np.array(latency, dtype=float)
    return PairEstimates(
        success=np.array(success, dtype=float),
        cost=dollars,
        latency=seconds,
        scaled_cost=scaled(dollars),
        scaled_latency=scaled(seconds),
        highest=(highest_known(dollars), highest_known(seconds)),
        rule="told",
        where="what it was told",
        default=None if spread is None else 0,
        spread=None if spread is None else np.array(spread, dtype=float),
    )


@st.composite
def beliefs(draw: st.DrawFn, *, unknown: bool = False) -> PairEstimates:
    """Draw two to five pairs, the first the default; costs and latencies in tenths of a cent and of a second."""
    count = draw(st.integers(2, 5))

    def column(low: int, high: int, by: float) -> list[float]:
        return [by * value for value in draw(st.lists(st.integers(low, high), min_size=count, max_size=count))]

    cost = column(1, 50, 1e-3)
    if unknown:
        cost = [float("nan") if draw(st.booleans()) else value for value in cost]
    return belief_of(column(0, 20, 0.05), cost, column(1, 50, 0.1), [0.0, *column(0, 10, 0.03)[1:]])


def taken(decision: Decision) -> Candidate:
    assert decision.chosen is not None
    return decision.chosen


def dollars(decision: Decision) -> float:
    cost = taken(decision).expected_cost_usd
    assert cost is not None
    return cost


def assert_rises(values: Sequence[float]) -> None:
    assert all(later >= earlier - SLACK for earlier, later in pairwise(values)), values


class TestByHand:
    BELIEF = belief_of([0.6, 0.9], [0.001, 0.004], [1.0, 11.0])
    """The second is right on 3 of 10 queries more, for 3 tenths of a cent and ten seconds more."""

    @pytest.mark.parametrize(("value", "number"), [(0.0099, 0), (0.0101, 1), (1e-9, 0), (1e9, 1)])
    def test_a_right_answer_is_worth_a_cent_where_the_pairs_part(self, value: float, number: int) -> None:
        """0.3 x value is 0.003 at a value of 0.01."""
        assert Believer(self.BELIEF, value_usd=value).decide(Query(text="q")).pair == Pair(f"pair{number}")

    @pytest.mark.parametrize(("price", "number"), [(0.0, 1), (0.00269, 1), (0.00271, 0)])
    def test_seconds_have_a_price(self, price: float, number: int) -> None:
        """At a value of 0.1 the second is worth 0.03 - 0.003 more, which is ten seconds at 0.0027 each."""
        router = Believer(self.BELIEF, value_usd=0.1, usd_per_second=price)
        assert router.decide(Query(text="q")).pair == Pair(f"pair{number}")

    def test_utility_is_in_parts_of_a_right_answer(self) -> None:
        """Of one worth 4 tenths of a cent, the cost weight is 0.5: 0.5 x (0.6 - 0.25), 0.5 x (0.9 - 1)."""
        router = Believer(self.BELIEF, value_usd=0.004)
        assert router.utility(self.BELIEF).tolist() == pytest.approx([0.175, -0.05])
        assert router.utility(self.BELIEF, 0.0).tolist() == pytest.approx([0.6, 0.9])  # a query's own goes before

    def test_what_may_be_luck_is_taken_off(self) -> None:
        """At a confidence of 0.8413 one standard error: 0.9 - 0.35 is less than 0.6, 0.9 - 0.25 is more."""
        for spread, number in ((0.35, 0), (0.25, 1)):
            told = belief_of([0.6, 0.9], [0.001, 0.001], spread=[0.0, spread])
            router = Believer(told, cost_weight=0.0, guard=0.841345)
            assert router.utility(told).tolist() == pytest.approx([0.6, 0.9 - spread], abs=1e-5)
            assert router.decide(Query(text="q")).pair == Pair(f"pair{number}")

    def test_where_no_cost_is_known_seconds_alone_make_the_price(self) -> None:
        """0.3 x value against ten seconds at a cent: they part at a value of a third of a dollar."""
        told = belief_of([0.6, 0.9], [float("nan")] * 2, [1.0, 11.0])
        for value, number in ((0.33, 0), (0.34, 1)):
            router = Believer(told, value_usd=value, usd_per_second=0.01)
            assert router.decide(Query(text="q")).pair == Pair(f"pair{number}")
        assert Believer(told, value_usd=1e-9).decide(Query(text="q")).pair == Pair("pair1")

    @pytest.mark.parametrize(
        "setting",
        [
            {"value_usd": 0},
            {"value_usd": -1.0},
            {"value_usd": True},
            {"value_usd": float("nan")},
            {"value_usd": float("inf")},
            {"usd_per_second": -1.0},
            {"usd_per_second": None},
            {"always": "nobody"},
            {"always": "nobody@@none"},
        ],
    )
    def test_out_of_range(self, setting: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"value_usd|usd_per_second|nobody"):
            Believer(self.BELIEF).configure(**setting)


class TestAnyBelief:
    @GUARDS
    @given(expected=beliefs())
    def test_a_right_answer_that_is_worth_more_is_never_asked_of_a_cheaper_pair(
        self, guard: float, expected: PairEstimates
    ) -> None:
        router, query = Believer(expected, guard=guard), Query(text="q")
        assert_rises([dollars(router.configure(value_usd=float(value)).decide(query)) for value in VALUES])

    @GUARDS
    @given(expected=beliefs())
    def test_a_falling_cost_weight_never_takes_a_cheaper_pair(self, guard: float, expected: PairEstimates) -> None:
        router, query = Believer(expected, guard=guard), Query(text="q")
        costs = [dollars(router.configure(cost_weight=float(weight)).decide(query)) for weight in WEIGHTS[::-1]]
        assert_rises(costs)
        assert costs == [dollars(router.decide(Query(text="q", cost_weight=float(w)))) for w in WEIGHTS[::-1]]
        cheapest = float(expected.cost.min())
        assert costs[0] == pytest.approx(cheapest)  # cost alone

    @GUARDS
    @given(expected=beliefs(), weight=st.floats(0.0, 1.0), by_value=st.booleans())
    def test_dearer_seconds_never_take_a_slower_pair(
        self, guard: float, *, expected: PairEstimates, weight: float, by_value: bool
    ) -> None:
        setting = {"value_usd": 0.001 + weight} if by_value else {"cost_weight": weight}
        router, query = Believer(expected, guard=guard, **setting), Query(text="q")
        prices = [0.0, *np.geomspace(1e-6, 10.0, 19)]
        waits = [
            taken(router.configure(usd_per_second=float(price)).decide(query)).expected_latency_s for price in prices
        ]
        assert_rises([-(wait or 0.0) for wait in waits])

    @given(expected=beliefs(unknown=True), value=st.floats(1e-5, 1.0), guard=st.sampled_from([0.0, 0.85, 0.99]))
    def test_a_value_chooses_as_the_cost_weight_that_says_the_same(
        self, expected: PairEstimates, value: float, guard: float
    ) -> None:
        unit = expected.highest[0]
        router = Believer(expected, guard=guard)
        weight = unit / (unit + value)
        by_value, by_weight = router.configure(value_usd=value), router.configure(cost_weight=weight)
        assert by_value.utility(expected).tolist() == pytest.approx(by_weight.utility(expected).tolist())
        assert by_value.decide(Query(text="q")).pair == by_weight.decide(Query(text="q")).pair

    @given(expected=beliefs(unknown=True), guard=st.sampled_from([0.0, 0.85]), price=st.sampled_from([0.0, 0.001]))
    def test_a_sweep_chooses_as_each_setting_by_itself(
        self, expected: PairEstimates, guard: float, price: float
    ) -> None:
        router = Believer(expected, guard=guard, usd_per_second=price, always="pair1@@none", cost_weight=0.7)
        # Odd numbers, so that no two pairs are worth exactly the same.
        values = np.array([np.inf, 0.7031, 0.05017, 0.003137, 1.7e-5])
        query = Query(text="q")
        found = router.sweep([query, query], np.ones((2, len(router.pairs)), dtype=bool), values)
        singly = [
            router.configure(**({"cost_weight": 0.0} if np.isinf(value) else {"value_usd": float(value)}))
            for value in values
        ]
        for row_, setting in zip(found, singly, strict=True):
            worth = setting.utility(expected)
            assert worth[row_].tolist() == pytest.approx([worth.max()] * 2)
        only = np.zeros((1, len(router.pairs)), dtype=bool)
        only[0, 1] = True
        assert router.sweep([query], only, values).ravel().tolist() == [1] * 5
        assert router.sweep([], only[:0], values).shape == (5, 0)


def random_router(seed: int, **settings: Any) -> tuple[ClusterRouter, list[Query]]:
    """Fit a router to a small random table, with holes in it, and return some queries."""
    generator = np.random.default_rng(seed)
    names = [f"q{number}" for number in range(30)]
    compass = Compass({name: float(generator.integers(0, 360)) for name in (*names, "r1", "r2", "r3")})
    skill = generator.random((4, 3))
    rows = [
        row(
            name,
            f"m{pair}",
            float(generator.random() < skill[pair, at % 3]),
            float(generator.integers(1, 30)) * (pair + 1) / 1e4,
            latency_s=float(generator.integers(1, 50)) / 10,
        )
        for at, name in enumerate(names)
        for pair in range(4)
        if generator.random() < 0.9
    ]
    router = ClusterRouter(compass, n_clusters=3, n_refinements=2, view="text", **settings).fit(table_of(*rows))
    return router, [Query(text=name) for name in (*names[:5], "r1", "r2", "r3")]


@SEEDS
@GUARDS
class TestClusterRouter:
    def test_the_expected_cost_never_falls_as_a_right_answer_is_worth_more(self, seed: int, guard: float) -> None:
        router, queries = random_router(seed, guard=guard)
        by_value = np.array(
            [list(map(dollars, router.configure(value_usd=float(v)).decide_batch(queries))) for v in VALUES]
        )
        by_weight = np.array(
            [list(map(dollars, router.configure(cost_weight=float(w)).decide_batch(queries))) for w in WEIGHTS[::-1]]
        )
        for costs in (*by_value.T, *by_weight.T):
            assert_rises(costs.tolist())
        assert by_value[-1].sum() > by_value[0].sum()  # it does turn

    def test_the_expected_wait_never_rises_with_the_price_of_seconds(self, seed: int, guard: float) -> None:
        router, queries = random_router(seed, guard=guard, value_usd=0.01)
        waits = np.array(
            [
                [taken(decision).expected_latency_s for decision in made.decide_batch(queries)]
                for made in (router.configure(usd_per_second=float(price)) for price in np.geomspace(1e-6, 1.0, 20))
            ],
            dtype=float,
        )
        for column in waits.T:
            assert_rises((-column).tolist())
        assert waits[-1].sum() < waits[0].sum()

    def test_a_sweep_is_what_the_settings_decide(self, seed: int, guard: float) -> None:
        router, queries = random_router(seed, guard=guard)
        values = np.array([np.inf, 0.5003, 0.02017, 0.000137])
        found = router.sweep(queries, np.ones((len(queries), 4), dtype=bool), values)
        for chosen, value in zip(found, values, strict=True):
            made = router.configure(**({"cost_weight": 0.0} if np.isinf(value) else {"value_usd": float(value)}))
            assert [router.pairs[column] for column in chosen] == [d.pair for d in made.decide_batch(queries)]
