"""A router that follows the scores in a store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from recorded import KINDS

from langchain_atlas import ClusterRouter, LearningRouter, Query, Store
from langchain_atlas.errors import SettingError
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster.statistics import SUMS
from langchain_atlas.trajectory import START, Decision, Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from langchain_atlas import OutcomeTable
    from langchain_atlas.encoders import Encoder

DAY = 86_400.0
BEST, WORDS, FORM = KINDS["arithmetic"]
QUERY = Query(text=FORM.format(WORDS[0]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/atlas.db")
    yield opened
    opened.close()


@pytest.fixture
def base(outcomes: OutcomeTable, encoder: Encoder) -> ClusterRouter:
    return ClusterRouter(encoder, n_clusters=3, cost_weight=0.0, guard=0.0).fit(outcomes)


@pytest.fixture
def learning(base: ClusterRouter, store: Store) -> Iterator[Callable[..., LearningRouter]]:
    made: list[LearningRouter] = []

    def make(**settings: Any) -> LearningRouter:
        made.append(LearningRouter(base, store, **{"every_s": 3600, **settings}))
        return made[-1]

    yield make
    for router in made:
        router.close()


def scored(store: Store, name: str, pair: str, score: float, text: str = QUERY.text) -> None:
    decision = Decision(kind="route", pair=Pair.parse(pair), id=name)
    store.keep(Query(text=text), START, decision)
    store.keep(Query(text=text), START, decision, Observation(pair=Pair.parse(pair), answer="yes", cost_usd=0.5))
    store.record(name, score=score)
    assert store.flush()


def sums(router: Any) -> dict[str, np.ndarray]:
    return router.router.statistics_.arrays()


def test_takes_another_pair_once_scores_say_so(store: Store, learning: Callable[..., LearningRouter]) -> None:
    router = learning()
    assert str(router.decide(QUERY).pair) == BEST
    other = next(str(pair) for pair in router.pairs if str(pair) != BEST)
    for number in range(60):
        scored(store, f"bad-{number}", BEST, 0.0)
        scored(store, f"good-{number}", other, 1.0)
    assert router.refresh() == 120
    assert router.refresh() == 0
    assert str(router.decide(QUERY).pair) == other


def test_follows_by_itself_within_seconds_in_every_process(
    store: Store, learning: Callable[..., LearningRouter]
) -> None:
    first, second = learning(every_s=0.2), learning(every_s=0.2)
    before = sums(first)["count"].sum()
    scored(store, "d-1", BEST, 1.0)
    end = time.monotonic() + 5
    while time.monotonic() < end and not all(sums(each)["count"].sum() > before for each in (first, second)):
        time.sleep(0.05)
    for name in SUMS:
        np.testing.assert_allclose(sums(first)[name], sums(second)[name])
    assert sums(first)["count"].sum() == before + first.router.statistics_.repeats  # type: ignore[attr-defined]


def test_learned_in_steps_is_learned_at_once(store: Store, learning: Callable[..., LearningRouter]) -> None:
    steps = learning(half_life_days=3)
    now = time.time()
    for number in range(12):
        scored(store, f"d-{number}", BEST, (number % 3) / 2, FORM.format(WORDS[number % len(WORDS)]))
        steps.refresh(now + number * DAY / 4)
    scored(store, "d-3", BEST, 1.0)  # a score that changes its mind
    steps.refresh(now + 5 * DAY)
    once = learning(half_life_days=3)
    once.refresh(now + 5 * DAY)
    for name in SUMS:
        np.testing.assert_allclose(sums(steps)[name], sums(once)[name], atol=1e-6)


def test_old_evidence_counts_half_after_a_half_life(
    base: ClusterRouter, store: Store, learning: Callable[..., LearningRouter]
) -> None:
    router = learning(half_life_days=7)
    scored(store, "d-1", BEST, 1.0)
    now = time.time()
    router.refresh(now + 14 * DAY)
    column = router.pairs.index(Pair.parse(BEST))
    counted = router.router.statistics_.outcomes[column]  # type: ignore[attr-defined]
    assert counted == pytest.approx((base.statistics_.outcomes[column] + 1) / 4, rel=1e-4)


def test_new_pair_is_learned_unless_the_router_is_restricted(
    store: Store, learning: Callable[..., LearningRouter]
) -> None:
    router = learning()
    restricted = router.restrict(router.pairs[:2])
    for number in range(40):
        scored(store, f"new-{number}", "newcomer@@none", 1.0)
        scored(store, f"old-{number}", BEST, 0.0)
    router.refresh()
    restricted.refresh()
    restricted.close()
    assert str(router.decide(QUERY).pair) == "newcomer@@none"
    assert restricted.pairs == router.pairs[:2]


def test_outcomes_without_text_or_score_are_left_out(
    tmp_path: Path, base: ClusterRouter, learning: Callable[..., LearningRouter]
) -> None:
    url = f"sqlite:///{tmp_path}/private.db"
    store = Store(url, keep_texts=False)
    scored(store, "d-1", BEST, 1.0)
    router = LearningRouter(base, store, every_s=3600)
    assert router.refresh() == 0
    router.close()
    store.close()


def test_begins_with_the_latest_outcomes_of_a_large_store(
    store: Store, base: ClusterRouter, learning: Callable[..., LearningRouter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a store of many years holds neither fills the memory nor is all embedded before anything is learned."""
    for number in range(30):
        scored(store, f"call-{number}", BEST, 1.0, text=f"a question of a new kind {number}")
    router, every = learning(most_outcomes=10), learning()
    repeats = base.statistics_.repeats
    assert router.refresh() == 10
    assert (sums(router)["count"] - base.statistics_.count).sum() == 10 * repeats
    assert sorted(router._known) == sorted(f"call-{number}" for number in range(20, 30))
    assert all(known.row["response"] is None for known in router._known.values())
    scored(store, "late", BEST, 0.0)
    assert router.refresh() == 1, "later, all that is new is learned"
    monkeypatch.setattr("langchain_atlas.routers.cluster.learning._AT_ONCE", 7)
    assert every.refresh() == 31
    assert (sums(every)["count"] - base.statistics_.count).sum() == pytest.approx(31 * repeats)


def test_a_refit_reads_the_latest_outcomes_too(
    store: Store, learning: Callable[..., LearningRouter], outcomes: OutcomeTable
) -> None:
    for number in range(12):
        scored(store, f"call-{number}", BEST, 0.0, text=f"a question of a new kind {number}")
    router = learning(most_outcomes=5)
    router.refit(outcomes)
    column = router.pairs.index(Pair.parse(BEST))
    assert router.router.statistics_.outcomes[column] == pytest.approx(18 + 5)  # type: ignore[attr-defined]


def test_a_store_that_is_away_is_told_once_and_decisions_go_on(
    tmp_path: Path, base: ClusterRouter, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(f"sqlite:///{tmp_path}/missing/atlas.db")
    router = LearningRouter(base, store, every_s=0.05)
    deadline = time.monotonic() + 20
    while not caplog.text and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # looks that fail as well
    assert str(router.decide(QUERY).pair) == BEST
    router.close()
    assert caplog.text.count("Nothing can be learned from the store for now") == 1
    store.close()


def test_slips_are_told(base: ClusterRouter, store: Store) -> None:
    with pytest.raises(SettingError, match="only a cluster router can learn"):
        LearningRouter(SinglePairRouter(BEST), store)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="half_life_days is 0; it must be a number above 0"):
        LearningRouter(base, store, half_life_days=0)
    with pytest.raises(SettingError, match="most_outcomes is 0; it must be a whole number from 1"):
        LearningRouter(base, store, most_outcomes=0)


def test_a_pair_that_changes_is_learned_anew(
    store: Store, learning: Callable[..., LearningRouter], caplog: pytest.LogCaptureFixture
) -> None:
    """Without noticing, 200 right answers outweigh 40 wrong ones."""
    slow, quick = learning(notice_changes=False), learning()
    for number in range(200):
        scored(store, f"before-{number}", BEST, 1.0)
    for router in (slow, quick):
        router.refresh()
    for number in range(40):
        scored(store, f"after-{number}", BEST, 0.0)
    for router in (slow, quick):
        router.refresh()
    column = quick.pairs.index(Pair.parse(BEST))
    assert sums(slow)["success"][:, column].sum() > 200
    assert sums(quick)["success"].sum(axis=0)[column] / sums(quick)["count"].sum(axis=0)[column] < 0.5
    assert f"The success of {BEST} fell" in caplog.text


def test_a_model_that_changes_is_doubted_with_its_other_tools_too(
    store: Store, learning: Callable[..., LearningRouter]
) -> None:
    router = learning()
    for number in range(240):
        scored(store, f"call-{number}", BEST, float(number < 200))
    before, pairs = sums(router), router.pairs
    router.refresh()
    siblings = [at for at, pair in enumerate(pairs) if pair.model == Pair.parse(BEST).model and str(pair) != BEST]
    others = [at for at, pair in enumerate(pairs) if pair.model != Pair.parse(BEST).model]
    assert siblings
    after = sums(router)
    assert (after["count"].sum(axis=0)[siblings] <= np.minimum(before["count"].sum(axis=0)[siblings], 20 * 6)).all()
    np.testing.assert_allclose(after["count"][:, others], before["count"][:, others])


def test_is_fitted_anew_on_all_that_the_store_holds(
    store: Store, learning: Callable[..., LearningRouter], outcomes: OutcomeTable
) -> None:
    router = learning()
    for number in range(20):
        scored(store, f"call-{number}", BEST, 0.0, text=f"a question of a new kind {number}")
    router.refit(outcomes)
    assert router.pairs == tuple(outcomes.pairs)
    column = router.pairs.index(Pair.parse(BEST))
    assert router.router.statistics_.outcomes[column] == pytest.approx(18 + 20)
    assert router.refresh() == 0


def test_bought_outcomes_of_late_count_in_this_refit_and_in_later_ones(
    store: Store, learning: Callable[..., LearningRouter], outcomes: OutcomeTable
) -> None:
    """Of a pair that has changed, they are outcomes since the change; the table's are from before."""
    router = learning()
    scored(store, "call", BEST, 1.0, text="a question of a new kind")
    late = outcomes.select(query_ids=outcomes.query_ids[:6])
    router._changed[Pair.parse(BEST)] = time.time() - DAY
    for _ in range(2):
        router.refit(outcomes, probes=None if router._probes else late)
        counted = router.router.statistics_.outcomes  # type: ignore[attr-defined]
        assert counted[router.pairs.index(Pair.parse(BEST))] == pytest.approx(18 + 6 + 1)
        assert counted.sum() == pytest.approx(3 * (18 + 6) + 1)


def test_is_fitted_anew_by_itself_while_decisions_go_on(
    store: Store, learning: Callable[..., LearningRouter], base: ClusterRouter, outcomes: OutcomeTable
) -> None:
    scored(store, "new", BEST, 1.0, text="a question of a new kind")
    router = learning(every_s=0.05, refit_days=1e-6, table=outcomes)
    router._refit_s = 0.3
    deadline = time.monotonic() + 20
    while router.router.clusterings_ is base.clusterings_:  # type: ignore[attr-defined]
        assert router.decide(QUERY).pair is not None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    known: Any = router.router
    assert known.statistics_.outcomes.sum() == pytest.approx(base.statistics_.outcomes.sum() + 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"refit_days": 0}, "refit_days is 0; it must be a number above 0"),
        ({"refit_days": 7}, "refit_days is 7, but what the router was fitted on is not given; say table="),
    ],
)
def test_fitting_anew_by_itself_needs_its_table(
    base: ClusterRouter, store: Store, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        LearningRouter(base, store, **given)


def test_a_new_pair_inherits_while_it_learns(store: Store, learning: Callable[..., LearningRouter]) -> None:
    router = learning()
    model, tool = BEST.split("@@")
    router.inherit([f"{model}-2@@{tool}"], outcomes=5)
    assert router.router.statistics_.outcomes[-1] == pytest.approx(5)
    scored(store, "first", f"{model}-2@@{tool}", 1.0)
    assert router.refresh() == 1
    assert router.router.statistics_.outcomes[-1] == pytest.approx(6)
