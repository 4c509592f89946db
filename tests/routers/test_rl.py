"""The RL router and the dual path: the contract of all routers, limits that hold, members that join, any order."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from asking import COSTS, sums

from langchain_atlas.encoders import Encoder
from langchain_atlas.errors import ArtifactError, ConstraintError, PoolError, SettingError
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.loop.turns import solve
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.dual import Calibration, DualRouter, calibrate
from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint
from langchain_atlas.routers.policy.network import PolicyConfig
from langchain_atlas.routers.policy.router import RLRouter, price_of
from langchain_atlas.testing import FakeEncoder, RouterConformance
from langchain_atlas.trajectory import START, Constraints, Decision, Observation, Query

TABLE = sums()
QUICK = TrainingConfig(
    pretraining=PretrainingConfig(belief_steps=30, gain_steps=30, batch=64),
    ppo=PPOConfig(steps=3, batch=64),
    cautious=False,
)
CAUTIOUS = TrainingConfig(pretraining=QUICK.pretraining, ppo=QUICK.ppo, cautious=True)
_MADE: dict[bool, RLRouter] = {}


def trained(*, cautious: bool = False) -> RLRouter:
    if cautious not in _MADE:
        _MADE[cautious] = train(TABLE, FakeEncoder(), config=CAUTIOUS if cautious else QUICK)
    return _MADE[cautious]


class TestRLRouter(RouterConformance):
    def make_router(self) -> Router:
        return trained()

    def encoder(self) -> Encoder:
        return FakeEncoder()

    def queries(self) -> Sequence[Query]:
        return TABLE.queries[:3]


class TestCautiousRLRouter(TestRLRouter):
    def make_router(self) -> Router:
        return trained(cautious=True)


class TestDualRouter(TestRLRouter):
    def make_router(self) -> Router:
        cluster = ClusterRouter(FakeEncoder(), n_clusters=2).fit(TABLE)
        return DualRouter(cluster, trained(), calibration=Calibration(distance=1.0, queries=10))


def test_it_asks_again_and_gives_an_answer_that_two_gave() -> None:
    executor = ReplayExecutor(TABLE)
    trajectories = [solve(query, trained().configure(cost_weight=0.01), executor) for query in TABLE.queries]
    assert max(trajectory.calls for trajectory in trajectories) > 1
    scores = [
        executor.score(t.answered_by.pair, q) for t, q in zip(trajectories, TABLE.queries, strict=True) if t.answered_by
    ]
    assert np.mean(scores) > TABLE.matrix("score")[:, 0].mean()


def test_it_explains_itself() -> None:
    router, query = trained(), TABLE.queries[0]
    first = router.decide(query)
    assert first.pair is not None
    assert first.chosen is not None
    assert "is asked first" in first.reason
    seen = Observation(pair=first.pair, answer="42", cost_usd=0.001, latency_s=0.1)
    then = router.configure(max_turns=1).decide(query, START.then(first, seen))
    assert then.kind == "answer"
    assert then.rule == "limit"
    assert "All 1 turns are used" in then.reason
    assert then.chosen is not None
    assert 0 <= then.chosen.expected_success <= 1


@pytest.mark.parametrize("limit", [0.0015, 0.0045])
def test_no_policy_spends_more_than_the_query_allows(limit: float) -> None:
    executor = ReplayExecutor(TABLE)
    for query in TABLE.queries[:10]:
        bounded = query.replace(constraints=Constraints(max_cost_usd=limit))
        trajectory = solve(bounded, trained().configure(cost_weight=0.0), executor)
        assert trajectory.cost_usd is not None
        assert 0 < trajectory.cost_usd <= limit


def test_no_policy_takes_longer_than_the_query_allows() -> None:
    query = TABLE.queries[1].replace(constraints=Constraints(max_latency_s=1.2))
    trajectory = solve(query, trained().configure(cost_weight=0.0), ReplayExecutor(TABLE))
    assert 1 <= trajectory.calls <= 2


def test_limits_that_nothing_can_keep_are_refused() -> None:
    query = TABLE.queries[0].replace(constraints=Constraints(max_cost_usd=1e-9))
    with pytest.raises(ConstraintError, match="Raise the limit"):
        trained().decide(query)


def test_what_is_unknown_cannot_be_expected_to_stay_within_a_limit() -> None:
    rows = [{**row, "cost_usd": None, "latency_s": None} for row in TABLE.table.to_pylist()]
    priceless = train(OutcomeTable.from_rows(rows), FakeEncoder(), config=QUICK)
    for limits in (Constraints(max_cost_usd=10.0), Constraints(max_latency_s=10.0)):
        with pytest.raises(ConstraintError, match="the least is unknown for every pair"):
            priceless.decide(TABLE.queries[0].replace(constraints=limits))
    assert priceless.decide(TABLE.queries[0]).kind == "route"


def test_outcomes_without_responses_teach_what_can_be_learned_without_comparing() -> None:
    rows = [{**row, "response": None} for row in TABLE.table.to_pylist()]
    router = train(OutcomeTable.from_rows(rows), FakeEncoder(), config=QUICK)
    assert router.decide(TABLE.queries[0]).kind == "route"


def test_an_unknown_cost_so_far_counts_as_was_expected() -> None:
    limits = Constraints(max_cost_usd=0.03, pairs=frozenset({Pair("cheap"), Pair("large")}))
    query = TABLE.queries[0].replace(constraints=limits)
    large = Decision(kind="route", pair=Pair("large"))
    unknown = START.then(large, Observation(pair=Pair("large"), error="OSError: gone", cost_usd=None))
    assert trained().decide(query, unknown).pair == Pair("cheap"), "0.02 were expected, and 0.001 more fit"
    less = query.replace(constraints=limits.replace(max_cost_usd=0.0205))
    ended = trained().decide(less, unknown)
    assert (ended.kind, ended.rule) == ("answer", "limit"), "0.02 and 0.001 are more than 0.0205"


@pytest.mark.parametrize(
    "setting", [{"cost_weight": 1.5}, {"cost_weight": "much"}, {"max_turns": 0}, {"max_turns": 5}, {"max_turns": 2.5}]
)
def test_settings_out_of_range(setting: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=next(iter(setting))):
        trained().configure(**setting)


def test_a_high_cost_weight_spends_less() -> None:
    executor = ReplayExecutor(TABLE)

    def spent(weight: float) -> float:
        router = trained().configure(cost_weight=weight)
        return sum(solve(query, router, executor).cost_usd or 0.0 for query in TABLE.queries)

    assert spent(0.98) < spent(0.01)
    assert price_of(0.5) == 1.0
    assert price_of(1.0) == 1000.0


def test_members_that_join_are_used_without_training() -> None:
    rows = [
        {**row, "model": "newcomer", "tool": "none", "score": 1.0, "response": str(3 * number + 7), "cost_usd": 1e-4}
        for number, row in enumerate(TABLE.select(pairs=TABLE.pairs[:1]).table.to_pylist()[:30])
    ]
    probes = OutcomeTable.from_rows(rows)
    joined = trained().add_pairs(probes)
    newcomer = Pair("newcomer", "none")
    assert newcomer in joined.pairs
    assert newcomer not in trained().pairs
    assert len(joined.featurizer.memory.vectors) == len(TABLE.query_ids)
    whole = TABLE.joined(OutcomeTable.from_rows([*rows]))
    asked = [solve(query, joined, ReplayExecutor(whole)) for query in whole.queries[:30]]
    assert any(seen.pair == newcomer for trajectory in asked for seen in trajectory.observations)


def test_answers_of_members_that_join_are_compared_with_those_remembered() -> None:
    known = TABLE.select(pairs=TABLE.pairs[:1]).table.to_pylist()
    rows = [{**row, "model": "echo", "tool": "none", "response": f"The answer is {row['response']}.0"} for row in known]
    record = trained().add_pairs(OutcomeTable.from_rows(rows)).featurizer.record
    pairs = trained().add_pairs(OutcomeTable.from_rows(rows)).pairs
    echo, first = pairs.index(Pair("echo", "none")), pairs.index(TABLE.pairs[0])
    others = [number for number in range(len(pairs)) if number not in (echo, first)]
    # The echo agrees with the first pair where that is wrong too, so their agreement tells least.
    assert all(record.if_agreed[echo, first] < record.if_agreed[echo, other] for other in others)


def test_pairs_in_another_order_get_the_same_decisions() -> None:
    router, turned = trained(), trained()._with(trained().featurizer.restrict(tuple(reversed(trained().pairs))))
    executor = ReplayExecutor(TABLE)
    for query in TABLE.queries[:10]:
        one, two = solve(query, router, executor), solve(query, turned, executor)
        assert [step.decision.pair for step in one.steps] == [step.decision.pair for step in two.steps]
        assert one.answer == two.answer


def test_the_policy_is_small() -> None:
    policy = CompactPolicy(PolicyConfig())
    assert sum(parameter.numel() for parameter in policy.parameters()) < 2_000_000


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    trained().save(tmp_path / "router")
    config = tmp_path / "router" / "config.json"
    config.write_text(config.read_text().replace('"styles"', '"stiles"'))
    with pytest.raises(ArtifactError, match="damaged"):
        Router.load(tmp_path / "router", FakeEncoder())


HALF = 1500
DISTANCES = np.array([0.1] * HALF + [0.9] * HALF)
NEAR_ONLY = np.array([1.0] * HALF + [0.0] * HALF)
ALWAYS = np.ones(2 * HALF)


def test_calibration_by_hand() -> None:
    """Near queries do as well by the first path and cost less; far ones do not."""
    cluster, rl = (NEAR_ONLY, 0.001 * ALWAYS), (ALWAYS, 0.002 * ALWAYS)
    found = calibrate(DISTANCES, cluster, rl)
    assert 0.1 < found.distance < 0.9
    assert (found.share, found.gain) == (0.5, 0.0)
    dearer = calibrate(DISTANCES, (NEAR_ONLY, 0.1 * ALWAYS), rl)
    assert dearer.distance == 0.0
    near = DISTANCES < 0.5
    unknown, spread = np.where(near, np.nan, 0.001), (ALWAYS, np.where(near, 0.002, 0.01))
    assert calibrate(DISTANCES, cluster, spread).share == 0.5
    assert calibrate(DISTANCES, (NEAR_ONLY, unknown), spread).distance == 0.0  # unknown is not free
    with pytest.raises(SettingError, match="held-out"):
        calibrate(DISTANCES[:0], cluster, rl)


def test_that_hardly_any_query_tells_the_paths_apart_proves_nothing() -> None:
    """On 300 queries a path that is worse on 4 of 1000, and better on 1, mostly shows no difference at all."""
    taken = 0
    for seed in range(25):
        generator = np.random.default_rng(seed)
        luck = generator.random(300)
        score = np.where(luck < 0.001, 1.0, np.where(luck > 0.9955, -1.0, 0.0))
        taken += calibrate(np.zeros(300), (score, np.zeros(300)), (np.zeros(300), np.ones(300)), seed=seed).share > 0
    assert not taken


def test_luck_does_not_open_the_first_path() -> None:
    """A path that is right on 3 of 100 queries less, at the same mean cost, is hardly ever taken for a better one."""
    taken = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        rl = (generator.random(150) < 0.88).astype(float), generator.exponential(0.01, 150)
        cluster = (generator.random(150) < 0.85).astype(float), generator.exponential(0.01, 150)
        taken += calibrate(generator.random(150), cluster, rl, seed=seed).share > 0
    assert taken <= 4


def test_where_no_cost_is_known_the_paths_part_by_accuracy_alone() -> None:
    unknown = np.nan * ALWAYS
    assert calibrate(DISTANCES, (NEAR_ONLY, unknown), (ALWAYS, unknown)).share == 0.5


def test_the_dual_path_says_which_way_it_took() -> None:
    cluster = ClusterRouter(FakeEncoder(), n_clusters=2).fit(TABLE)
    dual = DualRouter(cluster, trained(), calibration=Calibration(distance=100.0, queries=10))
    query = TABLE.queries[0]
    assert dual.decide(query).rule.startswith("cluster-path")
    assert "nearer than 100.00" in dual.decide(query).reason
    assert dual.configure(path="rl").decide(query).rule.startswith("rl-path")
    cautious = DualRouter(cluster, trained(cautious=True), calibration=Calibration(distance=100.0, queries=10))
    assert cautious.decide(query).rule.startswith("rl-path")
    with pytest.raises(SettingError, match="path is 'both'"):
        dual.configure(path="both")
    with pytest.raises(SettingError, match="joins a cluster router"):
        DualRouter(trained(), trained())  # type: ignore[arg-type]
    stranger = ClusterRouter(FakeEncoder(), n_clusters=2).fit(
        OutcomeTable.from_rows([{**row, "model": "x"} for row in TABLE.table.to_pylist()])
    )
    with pytest.raises(PoolError, match="no pair in common"):
        DualRouter(stranger, trained())


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        (Constraints(), "rl-path"),
        (Constraints(max_cost_usd=0.004), "rl-path"),  # two calls at 0.001 and 0.002
        (Constraints(max_cost_usd=0.0025), "cluster-path"),
        (Constraints(max_latency_s=0.9), "cluster-path"),  # half a second each
        (Constraints(pairs=frozenset(TABLE.pairs[:1]), max_cost_usd=1.0), "cluster-path"),
    ],
)
def test_the_dual_path_by_budget(limits: Constraints, path: str) -> None:
    cluster = ClusterRouter(FakeEncoder(), n_clusters=2).fit(TABLE)
    dual = DualRouter(cluster, trained(), path="budget")
    decision = dual.decide(TABLE.queries[0].replace(constraints=limits))
    assert decision.rule.startswith(path)
    assert "room for a second call" in decision.reason


def test_either_path_of_a_dual_router_looks_a_knob_up_in_its_own_curve(tmp_path: Path) -> None:
    def point(value: float | None, accuracy: float, cost: float) -> OperatingPoint:
        return OperatingPoint(
            value_usd=value,
            always=None if value else str(TABLE.pairs[0]),
            accuracy=accuracy,
            accuracy_ci95=(accuracy, accuracy),
            versus_single=0.0,
            cost_usd_per_1k=cost,
            cost_known=1.0,
            latency_s_mean=None,
            calls_per_query=1.0,
        )

    def curve(value: float) -> OperatingCurve:
        points = (point(10 * value, 0.9, 3.0), point(value, 0.8, 2.0), point(None, 0.5, 1.0))
        return OperatingCurve(points=points, chosen=0, best=0, n_queries=100, reason="")

    cluster, policy = ClusterRouter(FakeEncoder(), n_clusters=2).fit(TABLE), trained()
    cluster.curve, policy.curve = curve(0.01), curve(0.02)
    DualRouter(cluster, policy).save(tmp_path / "dual")
    dual = Router.load(tmp_path / "dual", FakeEncoder())
    assert isinstance(dual, DualRouter)
    for knobs, values in (({"target": 0.0}, (0.1, 0.2)), ({"budget": 2.0, "path": "rl"}, (0.01, 0.02))):
        set_so = dual.configure(**knobs)
        assert (set_so.cluster.settings["value_usd"], set_so.rl.settings["value_usd"]) == values
        assert set_so.path == knobs.get("path", "calibrated")
    with pytest.raises(SettingError, match="give one of them"):
        dual.configure(target=1.0, value=0.05)


def test_members_that_join_are_known_to_both_paths() -> None:
    cluster = ClusterRouter(FakeEncoder(), n_clusters=2).fit(TABLE)
    dual = DualRouter(cluster, trained(), calibration=Calibration(distance=1.0, queries=10))
    rows = [{**row, "model": "fresh"} for row in TABLE.table.to_pylist() if row["model"] == "cheap"]
    joined = dual.add_pairs(OutcomeTable.from_rows(rows[:20]))
    fresh = Pair("fresh")
    assert joined.pairs == (*dual.pairs, fresh)
    only = TABLE.queries[0].replace(constraints=Constraints(pairs=frozenset({fresh})))
    for path in ("cluster", "rl"):
        assert joined.configure(path=path).decide(only).pair == fresh
    assert fresh not in (*dual.pairs, *dual.cluster.pairs, *cluster.pairs)


def test_costs_are_those_of_the_table() -> None:
    chosen = trained().decide(TABLE.queries[0]).chosen
    assert chosen is not None
    assert chosen.expected_cost_usd == pytest.approx(COSTS[str(chosen.pair)], rel=1e-4)
