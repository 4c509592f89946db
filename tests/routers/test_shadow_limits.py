"""What a candidate's calls cost counts in the day's budget, which the live router's calls share."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas import Limits, Pair, Query, Router, ShadowRouter, Store, solve
from langchain_atlas.errors import ArtifactError
from langchain_atlas.integrations.chain import AtlasChain
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter
from langchain_atlas.trajectory import START, Candidate, Decision, Observation, Trajectory, last_answer
from langchain_atlas.usage import Spending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIVE, CANDIDATE = Pair("live"), Pair("candidate")
USD = {LIVE: 0.01, CANDIDATE: 0.05}
TODAY = f"day:{datetime.now(UTC).date().isoformat()}"


class Priced(Router):
    """Routes to one pair, whose cost it expects; its decisions cost something themselves if it says so."""

    def __init__(self, pair: Pair, *, deciding_usd: float | None = None) -> None:
        self._pair, self._deciding_usd = pair, deciding_usd

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return (LIVE, CANDIDATE)

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        del query
        if trajectory.steps:
            return last_answer(trajectory, rule="once", reason="")
        chosen = Candidate(pair=self._pair, expected_success=0.5, expected_cost_usd=USD[self._pair])
        spent = None if self._deciding_usd is None else Spending(cost_usd=self._deciding_usd)
        return Decision(kind="route", pair=self._pair, chosen=chosen, spent=spent)


def run(pair: Pair, query: Query) -> Observation:
    return Observation(pair=pair, answer=f"{pair.model} on {query.text}", cost_usd=USD[pair], latency_s=0.1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/atlas.db")
    yield opened
    opened.close()


def shadowed(candidate: Router) -> ShadowRouter:
    return ShadowRouter(
        Priced(LIVE),
        candidate,
        executor=ScriptedExecutor(run),
        check=lambda _, first, second: (float("candidate" in first), float("candidate" in second)),
        share=1.0,
        max_cost=100.0,
        random_state=0,
    )


def answered(router: Router, limits: Limits, questions: int, store: Store | None = None) -> Any:
    chain = AtlasChain(router, ScriptedExecutor(run), store=store, limits=limits)
    for number in range(questions):
        chain.invoke(f"question {number}")
    return (limits.memory if store is None else store.ledger).used([TODAY])[TODAY]


@pytest.mark.parametrize("kept", [False, True], ids=["memory", "store"])
def test_its_calls_count_in_the_ledger_of_the_live_router(kept: bool, store: Store) -> None:
    limits = Limits(day_usd=100)
    with shadowed(Priced(CANDIDATE)) as router:
        answered(router, limits, 4, store if kept else None)
        assert router.wait()
        report = router.report()
        used = (store.ledger if kept else limits.memory).used([TODAY])[TODAY]
    assert report.compared == 4
    assert used.usd == pytest.approx(4 * (0.01 + 0.05))
    assert used.calls == 8


def test_the_same_on_the_event_loop() -> None:
    limits = Limits(day_usd=100)
    with shadowed(Priced(CANDIDATE)) as router:
        asyncio.run(AtlasChain(router, ScriptedExecutor(run), limits=limits).ainvoke("question"))
        assert router.wait()
    assert limits.memory.used([TODAY])[TODAY].usd == pytest.approx(0.06)


def test_a_day_without_room_for_them_compares_nothing_and_live_calls_go_on() -> None:
    limits = Limits(day_usd=0.19)
    with shadowed(Priced(CANDIDATE)) as router:
        for _ in range(3):
            answered(router, limits, 1)
            assert router.wait()
        assert router.report().compared == 3
        for _ in range(1):
            answered(router, limits, 1)
            assert router.wait()
        report = router.report()
    used = limits.memory.used([TODAY])[TODAY]
    assert (report.compared, report.unaffordable, report.failed) == (3, 1, 0)
    assert used.usd == pytest.approx(4 * 0.01 + 3 * 0.05)
    assert used.usd <= 0.19 + 1e-9


def test_a_query_on_which_both_decide_the_same_is_not_compared_on_such_a_day_either() -> None:
    """Else only those would count, and the candidate would look like the live router."""
    limits = Limits(day_usd=0.02)
    with shadowed(Priced(CANDIDATE)) as router:
        answered(router, limits, 1)
        assert router.wait()
        router.candidate = Priced(LIVE)
        answered(router, limits, 1)
        assert router.wait()
        report = router.report()
    assert (report.compared, report.unaffordable) == (0, 2)


def test_its_own_decisions_count_too() -> None:
    limits = Limits(day_usd=100)
    with shadowed(Priced(CANDIDATE, deciding_usd=0.5)) as router:
        answered(router, limits, 1)
        assert router.wait()
    used = limits.memory.used([TODAY])[TODAY]
    assert used.usd == pytest.approx(0.01 + 0.05 + 2 * 0.5), "one to see whether it agrees, one to compare"


def test_users_threads_and_runs_pay_for_what_they_ask_alone() -> None:
    limits = Limits(day_usd=100, user_usd=0.02, thread_calls=3)
    config: Any = {"configurable": {"user_id": "ada", "thread_id": "1"}}
    with shadowed(Priced(CANDIDATE)) as router:
        chain = AtlasChain(router, ScriptedExecutor(run), limits=limits)
        for number in range(2):
            chain.invoke(f"question {number}", config)
        assert router.wait()
        assert router.report().compared == 2
    day = TODAY.partition(":")[2]
    used = limits.memory.used([TODAY, f"user:{day}:ada", "thread:1"])
    assert used[f"user:{day}:ada"].usd == pytest.approx(0.02)
    assert used["thread:1"].calls == 2
    assert used[TODAY].usd == pytest.approx(0.12)


def test_without_a_limit_on_the_day_nothing_is_counted() -> None:
    limits = Limits(user_usd=1)
    config: Any = {"configurable": {"user_id": "ada"}}
    with shadowed(Priced(CANDIDATE)) as router:
        AtlasChain(router, ScriptedExecutor(run), limits=limits).invoke("question", config)
        assert router.wait()
        assert router.report().compared == 1
    assert limits.memory.used([TODAY])[TODAY].usd == 0


def test_a_call_of_unknown_cost_ends_the_comparison() -> None:
    executor = ScriptedExecutor(lambda pair, _: Observation(pair=pair, answer="s", model_calls=10, latency_s=0.1))
    with ShadowRouter(
        Priced(LIVE), Priced(CANDIDATE), executor=executor, check=lambda *_: "tie", share=1.0, max_cost=10.0
    ) as router:
        for _ in range(3):
            solve("q", router, ScriptedExecutor(run), limits=Limits(day_usd=100))
            assert router.wait()
        report = router.report()
    assert (len(executor.calls), report.compared, report.unaffordable, report.unknown_costs) == (1, 1, 2, 1)


def test_decisions_count_though_the_call_is_not_affordable(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"executor": ScriptedExecutor(run), "check": lambda *_: "tie", "share": 1.0}
    limits, path = Limits(day_usd=100), tmp_path / "shadow.json"
    with ShadowRouter(
        Priced(LIVE), Priced(CANDIDATE, deciding_usd=0.5), max_cost=0.52, path=path, **settings
    ) as router:
        solve("q", router, ScriptedExecutor(run), limits=limits)
        assert router.wait()
        report = router.report()
    assert (report.unaffordable, report.spent_usd) == (1, pytest.approx(1.0))
    assert limits.memory.used({TODAY})[TODAY].usd == pytest.approx(1.0 + USD[LIVE])
    with ShadowRouter(Priced(LIVE), Priced(LIVE), max_cost=0.52, path=path, **settings) as again:
        solve("q", again, ScriptedExecutor(run))
        assert again.wait()
        assert again.report().compared == 0, "nothing is compared after a call was refused, also after a restart"
    path.write_text(path.read_text().replace('"is_empty"', '"was_empty"'))
    with pytest.raises(ArtifactError, match="not the state of a shadow"):
        ShadowRouter(Priced(LIVE), Priced(LIVE), max_cost=0.52, path=path, **settings)


def test_it_says_so_where_nothing_is_known_of_what_a_call_costs() -> None:
    unpriced = ScriptedRouter(Decision(kind="route", pair=CANDIDATE))
    with ShadowRouter(
        Priced(LIVE), unpriced, executor=ScriptedExecutor(run), check=lambda *_: "tie", share=1.0, max_cost=10.0
    ) as router:
        solve("q", router, ScriptedExecutor(run), limits=Limits(day_usd=100))
        assert router.wait()
        report = router.report()
    assert (report.unaffordable, report.failed) == (1, 1)
    assert "nothing is known of what candidate@@none costs" in report.last_error
