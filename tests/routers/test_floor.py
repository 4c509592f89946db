"""The floor under the second path, one pair always, and the price of seconds; numbers by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from asking import sums
from torch import Tensor

from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.recordings import Recordings
from langchain_atlas.learning.rollout import follow
from langchain_atlas.loop.turns import solve
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.arrays import library_of
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.dual import DualRouter
from langchain_atlas.routers.policy.floor import with_floor
from langchain_atlas.routers.policy.network import Assessment, Policy, PolicyConfig
from langchain_atlas.routers.policy.router import DEFAULT_USD_PER_SECOND, RLRouter
from langchain_atlas.routers.policy.state_features import (
    ANSWER_FEATURES,
    MAX_CALLS,
    PAIR_FEATURES,
    QUERY_FEATURES,
    PriorFeatures,
    State,
)
from langchain_atlas.routers.policy.state_featurizer import EncodedQueries
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import START, Constraints, Observation, Query

NEVER = -math.inf
CHANCE = math.log(3)
"""Logit of three in four."""
PAIRS = 3
DEFAULT = 1


def state(**changes: Any) -> State:
    """Return one state of three pairs after a call of the first, at a price of 0.1.

    Of the default pair three in four are expected to be right, overall and around; its call costs half of the dearest.
    """
    pairs = torch.zeros((1, PAIRS, len(PAIR_FEATURES)))
    for name in ("success", "success_around"):
        pairs[0, DEFAULT, PAIR_FEATURES.index(name)] = changes.pop(name, CHANCE)
    query = torch.zeros((1, len(QUERY_FEATURES)))
    query[0, QUERY_FEATURES.index("near")] = changes.pop("near", 1.0)
    square = torch.zeros((1, PAIRS, PAIRS))
    prior = PriorFeatures(
        pairs=pairs,
        query=query,
        cost=torch.tensor([[0.1, 0.5, 1.0]]),
        record=torch.zeros(1, dtype=torch.long),
        rescue=square,
        if_agreed=square,
        if_differed=square,
        by_style=torch.zeros((1, PAIRS, 1)),
        same_model=torch.eye(PAIRS),
        same_tool=torch.eye(PAIRS),
        likeness=torch.eye(PAIRS),
    )
    made = State(
        prior=prior,
        allowed=torch.tensor([[False, True, True]]),
        called=torch.tensor([[0, -1, -1, -1]]),
        same=torch.eye(MAX_CALLS, dtype=torch.bool)[None],
        answers=torch.zeros((1, MAX_CALLS, len(ANSWER_FEATURES))),
        styles=torch.zeros((1, MAX_CALLS), dtype=torch.long),
        turns=torch.tensor([3]),
        price=torch.tensor([0.1]),
    )
    return replace(made, **changes)


WORTH = torch.tensor([[0.7, NEVER, NEVER, NEVER, NEVER, 0.6, 0.65]])
"""The answer that is held, calls not made, and the three pairs, of which the first was asked already."""


def floored(made: State, margin: float = 0.0, worth: Tensor = WORTH) -> list[float]:
    found = with_floor(worth, made, torch.tensor([DEFAULT]), margin)
    return [round(value, 6) for value in found[0].tolist()]


def expected(least: float) -> list[float]:
    return [round(value, 6) for value in [*WORTH[0, : MAX_CALLS + DEFAULT].tolist(), least, WORTH[0, -1].item()]]


UNCHANGED = expected(0.6)


class TestWithFloor:
    def test_asking_the_default_pair_is_worth_no_less_than_that_pair_alone(self) -> None:
        """0.75 less its price, 0.1 x 0.5; nothing else is touched."""
        assert floored(state()) == expected(0.70)

    def test_errors_count_for_the_default_pair(self) -> None:
        """Near what is remembered the standard error is 0.02, and 0.05 more for each usual distance beyond it."""
        assert floored(state(), margin=1.0) == expected(0.72)
        assert floored(state(near=3.0), margin=1.0) == expected(0.70 + 0.02 + 0.1)
        assert floored(state(near=3.0), margin=2.0) == expected(0.70 + 2 * 0.12)
        assert floored(state(near=0.2), margin=1.0) == expected(0.72)  # nearer than usual is no surer

    def test_what_is_known_overall_and_around_counts_alike(self) -> None:
        """The mean of the logits: of 0 and twice log 3 it is log 3."""
        assert floored(state(success=0.0, success_around=2 * CHANCE)) == expected(0.70)

    def test_what_the_policy_thinks_more_of_stays(self) -> None:
        worth = WORTH.clone()
        worth[0, MAX_CALLS + DEFAULT] = 0.9
        assert floored(state(), worth=worth)[MAX_CALLS + DEFAULT] == 0.9

    def test_a_high_price_leaves_the_floor_below_the_policy(self) -> None:
        assert floored(state(price=torch.tensor([10.0]))) == UNCHANGED

    @pytest.mark.parametrize(
        "closed",
        [
            {"called": torch.full((1, MAX_CALLS), -1)},
            {"turns": torch.tensor([0])},
            {"allowed": torch.tensor([[False, False, True]])},
        ],
        ids=["before the first call", "no turns are left", "not allowed"],
    )
    def test_it_is_raised_only_where_it_may_be_asked_instead_of_answering(self, closed: dict[str, Tensor]) -> None:
        assert floored(state(), margin=2.0) != UNCHANGED
        assert floored(state(**closed), margin=2.0) == UNCHANGED

    def test_each_situation_has_a_default_of_its_own(self) -> None:
        both = state().rows(torch.tensor([0, 0]))
        found = with_floor(WORTH.repeat(2, 1), both, torch.tensor([1, 2]), 0.0)
        assert found[0].tolist() == pytest.approx(expected(0.70))
        # Of the last pair nothing is known: one in two, less 0.1.
        assert found[1].tolist() == pytest.approx([*WORTH[0, :-1].tolist(), 0.65])
        assert WORTH[0, -1] == pytest.approx(0.65)


TABLE = sums()
CHEAP, SMALL, OTHER, LARGE = map(Pair.parse, ("cheap@@none", "small@@calculator", "other@@calculator", "large@@none"))


class Stubborn(Policy):
    """Asks the first pair, then holds its answer to be worth `held` and every other call nothing."""

    def __init__(self, held: float, *, cautious: bool = False) -> None:
        self.held, self.config = held, PolicyConfig(cautious=cautious)

    def score(self, part: str, seen: Any) -> Any:
        raise NotImplementedError

    def plain(self) -> Any:
        return self

    def assess(self, state: State) -> Assessment:
        made = state.made
        library = library_of(made)
        right = library.where(made, self.held, 0.0)
        routes = library.zeros(state.allowed.shape)
        routes[:, 0] = 0.5
        values = library.concatenate([right, routes], axis=1)
        return Assessment(right=right, action_values=values, mask=state.mask, value=library.zeros(len(values)))


def router(policy: Any = None, table: OutcomeTable = TABLE, **settings: Any) -> RLRouter:
    """Return a router that was not trained: untrained, the policy guesses the gain of a call from the records."""
    if policy is None:
        torch.manual_seed(0)
        policy = CompactPolicy(PolicyConfig())
    return RLRouter(policy, Recordings.of(table, FakeEncoder()).featurizer, FakeEncoder(), **settings)


def calls(made: RLRouter, table: OutcomeTable = TABLE) -> float:
    executor = ReplayExecutor(table)
    return float(np.mean([solve(query, made, executor).calls for query in table.queries]))


class TestRouter:
    def test_its_default_is_the_most_accurate_pair(self) -> None:
        assert router().pairs[router().default] == LARGE

    def test_an_answer_that_does_not_beat_the_default_pair_is_not_given(self) -> None:
        """The large pair is right on 37 of 40; the stubborn policy holds its own answer to be right with 80%."""
        doubtful = router(Stubborn(0.8), cost_weight=0.0, usd_per_second=0.0)
        query, executor = TABLE.queries[0], ReplayExecutor(TABLE)
        trajectory = solve(query, doubtful, executor)
        assert [seen.pair for seen in trajectory.observations] == [CHEAP, LARGE]
        assert [step.decision.rule for step in trajectory.steps] == ["first-call", "floor", "agreed"]
        sure = router(Stubborn(0.99), cost_weight=0.0, usd_per_second=0.0, guard=0.5)
        assert [seen.pair for seen in solve(query, sure, executor).observations] == [CHEAP]

    @pytest.mark.parametrize("setting", [{"guard": 0.0}, {"cost_weight": 0.5}])
    def test_without_a_guard_or_at_a_high_price_there_is_no_floor(self, setting: dict[str, float]) -> None:
        """At a cost weight of a half a call of the large pair costs as much as a right answer is worth."""
        made = router(Stubborn(0.8), **{"cost_weight": 0.0, "usd_per_second": 0.0, **setting})
        trajectory = solve(TABLE.queries[0], made, ReplayExecutor(TABLE))
        assert [seen.pair for seen in trajectory.observations] == [CHEAP]
        assert "floor" not in {step.decision.rule for step in trajectory.steps}

    def test_margins(self) -> None:
        made = router()
        assert made.configure(guard=0.0).margin is None
        assert made.configure(guard=0.3).margin == 0.0
        assert made.configure(guard=0.841345).margin == pytest.approx(1.0, abs=1e-4)
        assert router(Stubborn(0.8, cautious=True)).margin is None

    def test_a_cautious_policy_has_no_floor(self) -> None:
        made = router(Stubborn(0.8, cautious=True), cost_weight=0.0)
        assert solve(TABLE.queries[0], made, ReplayExecutor(TABLE)).calls == 1

    def test_the_default_pair_is_not_asked_where_it_is_not_allowed(self) -> None:
        made = router(Stubborn(0.1), cost_weight=0.0)
        query = TABLE.queries[0].replace(constraints=Constraints(pairs=frozenset({CHEAP, SMALL})))
        assert [seen.pair for seen in solve(query, made, ReplayExecutor(TABLE)).observations] == [CHEAP]

    def test_a_turn_must_be_left_for_it(self) -> None:
        made = router(Stubborn(0.1), cost_weight=0.0, max_turns=1)
        assert solve(TABLE.queries[0], made, ReplayExecutor(TABLE)).calls == 1

    def test_a_router_without_its_default_gets_a_new_one(self) -> None:
        """The pairs are wrong on every second, fourth, fifth and eleventh sum."""
        made = router().restrict([CHEAP, SMALL, OTHER])
        assert made.pairs[made.default] == OTHER

    def test_rollouts_are_what_the_router_does(self) -> None:
        """Also where the default differs by query, as when it is chosen without the query's part."""
        recordings = Recordings.of(TABLE, FakeEncoder())
        made = router(Stubborn(0.8), cost_weight=0.0, usd_per_second=0.0)
        seen, _ = EncodedQueries.of(TABLE.queries, made.encoder, made.featurizer.view)
        prior, n = made.featurizer.prior(seen), len(recordings)
        assert made.margin is not None
        default = torch.full((n,), made.default)
        found = follow(made.policy, recordings, prior, made.price, floor=(default, made.margin))
        executor = ReplayExecutor(TABLE)
        for query, called, count in zip(TABLE.queries, found.called, found.calls, strict=True):
            trajectory = solve(query, made, executor)
            assert [made.featurizer.numbers[seen.pair] for seen in trajectory.observations] == called[:count].tolist()
            assert (called[count:] == -1).all()
        assert found.calls.tolist() == [2] * n
        without = follow(made.policy, recordings, prior, made.price)
        assert without.calls.tolist() == [1] * n
        assert without.called[:, 0].tolist() == [0] * n
        other = follow(made.policy, recordings, prior, made.price, floor=(torch.arange(n) % 2 + 1, made.margin))
        asked = [row[1].item() for row in other.called]
        assert set(asked[0::2]) <= {1, -1}
        assert set(asked[1::2]) <= {2, -1}


class TestOnePairAlways:
    def made(self) -> RLRouter:
        return router(always=str(SMALL))

    def test_it_asks_that_pair_and_gives_its_answer(self) -> None:
        executor = ReplayExecutor(TABLE)
        for query in TABLE.queries[:8]:
            trajectory = solve(query, self.made(), executor)
            assert [seen.pair for seen in trajectory.observations] == [SMALL]
            assert {step.decision.rule for step in trajectory.steps} == {"one-pair"}
            assert trajectory.answer == trajectory.observations[0].answer

    def test_it_says_why(self) -> None:
        decision = self.made().decide(TABLE.queries[0])
        assert decision.reason == f"Every query goes to {SMALL}."
        assert decision.chosen is not None
        assert decision.chosen.expected_cost_usd == pytest.approx(0.002, rel=1e-4)
        assert decision == self.made().decide_batch(TABLE.queries[:1])[0]

    def test_when_it_fails_another_is_asked(self) -> None:
        made, query = self.made(), TABLE.queries[0]
        first = made.decide(query)
        failed = START.then(first, Observation(pair=SMALL, error="Timeout: too slow", cost_usd=0.0, latency_s=1.0))
        second = made.decide(query, failed)
        assert second.kind == "route"
        assert second.pair != SMALL
        assert second.pair is not None
        answered = failed.then(second, Observation(pair=second.pair, answer="7", cost_usd=0.001, latency_s=1.0))
        final = made.decide(query, answered)
        assert (final.kind, final.answer, final.source) == ("answer", "7", 1)

    def test_a_query_that_does_not_allow_it_goes_to_another(self) -> None:
        only = TABLE.queries[0].replace(constraints=Constraints(pairs=frozenset({CHEAP})))
        assert self.made().decide(only).pair == CHEAP
        poor = TABLE.queries[0].replace(constraints=Constraints(max_cost_usd=0.0015))
        assert self.made().decide(poor).pair == CHEAP

    def test_any_other_knob_lifts_it(self) -> None:
        made = self.made()
        for knob in ({"cost_weight": 0.1}, {"alpha": 0.1}, {"value": 0.05}, {"value_usd": 0.05}):
            other = made.configure(**knob)
            assert other.settings["always"] is None
            assert other.decide(TABLE.queries[0]).rule == "first-call"
        assert made.configure(max_turns=2).settings["always"] == str(SMALL)
        assert made.decide(Query(text="What is 1 plus 9?", cost_weight=0.1)).rule == "first-call"

    def test_a_pair_that_it_does_not_know_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"always is 'smal@@calculator'.*small@@calculator"):
            self.made().configure(always="smal@@calculator")

    def test_where_it_is_left_out_the_best_of_the_others_is_asked_always(self) -> None:
        assert self.made().restrict([CHEAP, LARGE]).settings["always"] == str(LARGE)
        assert self.made().restrict([CHEAP, OTHER]).settings["always"] == str(OTHER)
        assert self.made().restrict([CHEAP, SMALL]).settings["always"] == str(SMALL)


class TestSeconds:
    def test_a_call_costs_dollars_and_seconds(self) -> None:
        """Half a second at a cent is half a cent: a quarter of the dearest call, which is 2 cents."""
        made = router(usd_per_second=0.01)
        seen, _ = EncodedQueries.of(TABLE.queries[:2], made.encoder, made.featurizer.view)
        before = made.featurizer.prior(seen)
        after = made.priced(before)
        np.testing.assert_allclose(after.cost - before.cost, 0.25, rtol=1e-5)
        assert made.configure(usd_per_second=0).priced(before) is before
        assert made.featurizer.prior(seen).cost.tolist() == before.cost.tolist()

    def test_as_it_comes_seconds_are_not_free(self) -> None:
        assert router().settings["usd_per_second"] == DEFAULT_USD_PER_SECOND > 0

    def test_dear_seconds_make_fewer_calls(self) -> None:
        free, dear = (router(cost_weight=0.01, guard=0.0, usd_per_second=price) for price in (0.0, 100.0))
        assert calls(free) > calls(dear) == 1.0

    def test_what_is_told_and_limited_are_dollars_alone(self) -> None:
        made = router(usd_per_second=100.0)
        query = TABLE.queries[0].replace(constraints=Constraints(max_cost_usd=0.0015))
        decision = made.decide(query)
        assert decision.pair == CHEAP
        assert decision.chosen is not None
        assert decision.chosen.expected_cost_usd == pytest.approx(0.001, rel=1e-4)

    def test_an_unknown_wait_counts_as_the_usual_one(self) -> None:
        """Of the pairs that are timed one takes half a second, one 1.5 and one 4: two seconds on average."""
        seconds = {"cheap": 0.5, "small": 1.5, "other": 4.0, "large": None}
        rows = [{**one, "latency_s": seconds[one["model"]]} for one in TABLE.table.to_pylist()]
        made = router(table=OutcomeTable.from_rows(rows), usd_per_second=0.01)
        seen, _ = EncodedQueries.of(TABLE.queries[:1], made.encoder, made.featurizer.view)
        before = made.featurizer.prior(seen)
        added = (made.priced(before).cost - before.cost)[0].tolist()
        by_pair = dict(zip(made.pairs, added, strict=True))
        assert [by_pair[pair] for pair in (CHEAP, SMALL, OTHER, LARGE)] == pytest.approx(
            [0.25, 0.75, 2.0, 1.0], rel=1e-4
        )

    def test_where_no_wait_is_known_a_call_is_taken_to_last_a_second(self) -> None:
        rows = [{**one, "latency_s": None} for one in TABLE.table.to_pylist()]
        table = OutcomeTable.from_rows(rows)
        made = router(table=table, usd_per_second=0.01)
        seen, _ = EncodedQueries.of(table.queries[:1], made.encoder, made.featurizer.view)
        before = made.featurizer.prior(seen)
        np.testing.assert_allclose(made.priced(before).cost - before.cost, 0.5, rtol=1e-5)
        decision = made.decide(table.queries[0])
        assert decision.kind == "route"
        assert decision.chosen is not None
        assert decision.chosen.expected_latency_s is None


class TestPrice:
    def test_a_value_is_the_dearest_call_over_it(self) -> None:
        """A call of the dearest pair costs 2 cents: at a value of 4 cents it counts as half of a right answer."""
        made = router()
        assert made.configure(value_usd=0.04).price == pytest.approx(0.5, rel=1e-4)
        assert made.configure(cost_weight=1 / 3).price == pytest.approx(0.5)
        assert made.configure(value_usd=1e-9).price == 1000.0
        assert made.configure(value_usd=0.04).configure(cost_weight=1 / 3).settings["value_usd"] is None

    def test_a_value_decides_as_the_cost_weight_that_says_the_same(self) -> None:
        executor = ReplayExecutor(TABLE)
        by_value = router(value_usd=0.1)
        by_weight = router(cost_weight=by_value.price / (1 + by_value.price))
        for query in TABLE.queries[:10]:
            one, two = (solve(query, made, executor) for made in (by_value, by_weight))
            assert [seen.pair for seen in one.observations] == [seen.pair for seen in two.observations]
            assert one.answer == two.answer

    def test_a_querys_own_weight_goes_before_a_value(self) -> None:
        rich = router(value_usd=1000.0, usd_per_second=0.0)
        query = TABLE.queries[0]
        assert solve(query.replace(cost_weight=1.0), rich, ReplayExecutor(TABLE)).calls == 1
        assert solve(query, rich, ReplayExecutor(TABLE)).calls > 1


class TestDual:
    def made(self) -> DualRouter:
        cluster = ClusterRouter(FakeEncoder(), n_clusters=2, cost_weight=0.4, always=str(LARGE)).fit(TABLE)
        return DualRouter(cluster, router(always=str(LARGE)), path="cluster")

    def test_what_both_paths_know_goes_to_both(self) -> None:
        for knob, name, value in (
            ({"value": 0.05}, "value_usd", 0.05),
            ({"guard": 0.0}, "guard", 0.0),
            ({"usd_per_second": 0.1}, "usd_per_second", 0.1),
            ({"always": str(SMALL)}, "always", str(SMALL)),
        ):
            made = self.made().configure(**knob)
            assert made.cluster.settings[name] == made.rl.settings[name] == made.settings[name] == value

    @pytest.mark.parametrize("name", ["cost_weight", "alpha"])
    def test_both_paths_take_one_cost_weight(self, name: str) -> None:
        made = self.made().configure(**{name: 0.2})
        assert made.cluster.settings["cost_weight"] == made.rl.settings["cost_weight"] == 0.2
        assert made.cluster.settings["always"] is made.rl.settings["always"] is None

    @pytest.mark.parametrize("path", ["cluster", "rl"])
    def test_one_pair_always_is_asked_on_either_path(self, path: str) -> None:
        made, query = self.made().configure(path=path), TABLE.queries[0]
        trajectory = solve(query, made, ReplayExecutor(TABLE))
        assert [seen.pair for seen in trajectory.observations] == [LARGE]
        assert trajectory.steps[0].decision.rule == f"{path}-path, one-pair"
