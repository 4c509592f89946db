"""A shadow router decides as the live one does, and says whether the candidate would be better."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from langchain_atlas import Constraints, Pair, Query, Router, ShadowRouter, asolve, solve
from langchain_atlas.errors import ArtifactError, SettingError
from langchain_atlas.testing import RouterConformance, ScriptedExecutor, ScriptedRouter
from langchain_atlas.trajectory import START, Candidate, Decision, Observation
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_atlas import Trajectory

A, B, C = Pair("a"), Pair("b"), Pair("c")
QUERIES = [Query(text=f"question {number}", id=f"q{number}") for number in range(40)]


class Broken(ScriptedRouter):
    """Raises at every decision."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        del query, trajectory
        raise OSError("no such file")


def priced(cost: float | None) -> ScriptedExecutor:
    return ScriptedExecutor(
        lambda pair, query: Observation(pair=pair, answer=f"{pair.model} on {query.text}", cost_usd=cost, usage=Usage())
    )


def prefer(model: str) -> Callable[[Query, str, str], Any]:
    def check(_: Query, first: str, second: str) -> Any:
        return (float(first.startswith(model)), float(second.startswith(model)))

    return check


def shadowed(live: Router, candidate: Router, executor: Any = None, **settings: Any) -> ShadowRouter:
    given = {"share": 1.0, "max_cost": 100.0, "check": prefer("b"), "executor": executor or priced(0.01)}
    return ShadowRouter(live, candidate, **{**given, "random_state": 0, **settings})


class TestShadow(RouterConformance):
    """It is a router as any other."""

    def make_router(self) -> Router:
        return shadowed(ScriptedRouter(A), ScriptedRouter(B))


class TestShadowOfABrokenCandidate(RouterConformance):
    """A candidate that raises changes nothing."""

    def make_router(self) -> Router:
        return ShadowRouter(ScriptedRouter(A), Broken(B))


LIVE = {
    "one call": lambda: ScriptedRouter(A),
    "three calls": lambda: ScriptedRouter(A, Decision(kind="think", answer="hm"), B, A),
}


@pytest.mark.parametrize("live", LIVE)
@pytest.mark.parametrize("candidate", [ScriptedRouter(B), ScriptedRouter(A, C), Broken(A)])
def test_trajectories_are_those_of_the_live_router(live: str, candidate: Router) -> None:
    plain, executor = LIVE[live](), priced(0.01)
    with shadowed(LIVE[live](), candidate) as router:
        for query in QUERIES[:8]:
            expected = solve(query, plain, executor, max_turns=6)
            assert solve(query, router, executor, max_turns=6) == expected
            assert asyncio.run(asolve(query, router, executor, max_turns=6)) == expected
        assert router.decide_batch(QUERIES) == plain.decide_batch(QUERIES)
        assert router.wait()
    assert router.report().queries == 16 + len(QUERIES)


def test_without_a_share_the_candidate_decides_and_calls_nobody() -> None:
    executor = priced(0.01)
    with ShadowRouter(ScriptedRouter(A), ScriptedRouter(B), executor=executor) as router:
        for query in QUERIES[:5]:
            solve(query, router, executor)
        assert router.wait()
        report = router.report()
    assert (report.decided, report.agreed, report.compared, report.more) == (5, 0, 0, None)
    assert len(executor.calls) == 5
    assert str(report).startswith("not yet: no answers are compared. Give share")


def test_a_better_candidate_is_found_and_a_worse_one(tmp_path: Path) -> None:
    for model, verdict in (("b", "switch"), ("a", "don't")):
        with shadowed(ScriptedRouter(A), ScriptedRouter(B), check=prefer(model)) as router:
            for query in QUERIES:
                solve(query, router, priced(0.01))
            assert router.wait()
            report = router.report()
        assert report.verdict == verdict
        assert report.more == 0
        assert report.compared < len(QUERIES), "nothing more is called once there is a verdict"
        assert report.spent_usd == pytest.approx(0.01 * report.compared)


def test_the_check_does_not_learn_whose_answer_is_whose() -> None:
    firsts: list[str] = []

    def check(_: Query, first: str, second: str) -> str:
        firsts.append(first[0])
        return "first" if first.startswith("b") else "second"

    with shadowed(ScriptedRouter(A), ScriptedRouter(B), check=check) as router:
        for query in QUERIES[:6]:
            solve(query, router, priced(0.01))
        assert router.wait()
        assert router.report().mean == 1.0
    assert set(firsts) == {"a", "b"}


def test_what_both_decide_is_called_once_only() -> None:
    """The candidate goes the live router's way for two calls, and calls the third alone."""
    executor = priced(0.01)
    with shadowed(ScriptedRouter(A, B), ScriptedRouter(A, B, C), executor) as router:
        solve(QUERIES[0], router, priced(0.01))
        assert router.wait()
        report = router.report()
    assert [pair for pair, _ in executor.calls] == [C]
    assert report.spent_usd == pytest.approx(0.01)
    assert (report.live_usd, report.candidate_usd) == (pytest.approx(0.02), pytest.approx(0.03))


def test_the_same_answer_counts_as_equal_and_costs_nothing() -> None:
    executor = priced(0.01)
    with shadowed(ScriptedRouter(A), ScriptedRouter(A), executor, check=None.__class__) as router:
        solve(QUERIES[0], router, priced(0.01))
        assert router.wait()
        assert (router.report().compared, router.report().mean, executor.calls) == (1, 0.0, [])


@pytest.mark.parametrize(("cost", "calls"), [(0.3, 4), (None, 1)])
def test_the_limit_on_dollars_holds_and_nothing_is_compared_after_it(cost: float | None, calls: int) -> None:
    """After a call of unknown cost nothing is left; after the limit even free comparisons don't count."""
    executor = priced(cost)
    with shadowed(ScriptedRouter(A), ScriptedRouter(B), executor, max_cost=1.0, gain=0.001) as router:
        for query in QUERIES[:10]:
            solve(query, router, priced(0.01))
        assert router.wait()
        report = router.report()
    assert len(executor.calls) == calls
    assert (report.compared, report.unaffordable) == (calls, 10 - calls)
    assert report.unknown_costs == (cost is None)
    assert "not compared for the limit on dollars" in str(report)


def test_a_call_expected_to_pass_the_limit_does_not_begin() -> None:
    dear = Decision(kind="route", pair=B, chosen=Candidate(pair=B, expected_success=0.9, expected_cost_usd=2.0))
    executor = priced(0.01)
    with shadowed(ScriptedRouter(A), ScriptedRouter(dear), executor, max_cost=1.0) as router:
        solve(QUERIES[0], router, priced(0.01))
        assert router.wait()
        assert router.report().unaffordable == 1
    assert executor.calls == []


def test_a_slow_candidate_delays_nobody_and_what_waits_too_long_is_dropped() -> None:
    go = threading.Event()

    def slow(pair: Pair, _: Query) -> str:
        go.wait(20)
        return f"answer of {pair}"

    before = set(threading.enumerate())
    router = shadowed(ScriptedRouter(A), ScriptedRouter(B), ScriptedExecutor(slow), waiting=3)
    start = time.monotonic()
    for query in QUERIES:
        solve(query, router, priced(0.01))
    assert time.monotonic() - start < 5
    assert router.report().dropped > 60
    assert not router.wait(0.01)
    go.set()
    assert router.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "atlas-trial" and thread not in before]
    assert solve(QUERIES[0], router, priced(0.01)).answer == "a on question 0", "the live router goes on"


def test_a_candidate_that_raises_has_given_an_empty_answer() -> None:
    with shadowed(ScriptedRouter(A), Broken(B), check=prefer("a")) as router:
        for query in QUERIES:
            solve(query, router, priced(0.01))
        assert router.wait()
        report = router.report()
    assert report.verdict == "don't"
    assert report.mean == -1.0
    assert "OSError: no such file" in report.last_error


@pytest.mark.parametrize("said", ["better", (2, 0), None, (0.5,), 1.0])
def test_a_check_that_says_something_else_is_counted_as_failed(said: Any) -> None:
    with shadowed(ScriptedRouter(A), ScriptedRouter(B), check=lambda *_: said) as router:
        assert solve(QUERIES[0], router, priced(0.01)).answer == "a on question 0"
        assert router.wait()
        report = router.report()
    assert (report.failed, report.compared) == (1, 0)
    assert "A check returns 'first', 'second' or 'tie'" in report.last_error


def test_a_query_that_leaves_the_candidate_no_pair_is_not_compared() -> None:
    only = QUERIES[0].replace(constraints=Constraints(pairs=frozenset({A})))
    with shadowed(ScriptedRouter(A), ScriptedRouter(B)) as router:
        assert solve(only, router, priced(0.01)).answer == "a on question 0"
        assert router.wait()
        assert router.report().compared == 0
        assert router.report().failed == 2


def test_a_restart_goes_on_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shadow.json"
    for queries in (QUERIES[:3], QUERIES[3:6]):
        with shadowed(ScriptedRouter(A), ScriptedRouter(B), path=path) as router:
            for query in queries:
                solve(query, router, priced(0.01))
            assert router.wait()
            report = router.report()
    assert (report.queries, report.compared) == (6, 6)
    assert report.spent_usd == pytest.approx(0.06)
    assert json.loads(path.read_text())["kind"] == "shadow"
    with pytest.raises(ArtifactError, match="settings"):
        shadowed(ScriptedRouter(A), ScriptedRouter(B), path=path, gain=0.1)
    path.write_text('{"schema": 1')
    with pytest.raises(ArtifactError, match="is not a trial's state"):
        shadowed(ScriptedRouter(A), ScriptedRouter(B), path=path)


def test_copies_are_watched_together() -> None:
    with shadowed(ScriptedRouter(A), ScriptedRouter(A)) as router:
        solve(QUERIES[0], router.restrict([A, B]), priced(0.01))
        solve(QUERIES[1], router, priced(0.01))
        assert router.wait()
        assert router.report().compared == 2


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"share": 2.0}, "share is 2.0"),
        ({"check": None}, "give check, too"),
        ({"max_cost": None}, "give max_cost, too"),
        ({"max_cost": -1.0}, "max_cost is -1.0"),
        ({"gain": 0.0}, "gain is 0.0"),
        ({"error": 0.6}, "error is 0.6"),
        ({"waiting": 0}, "waiting is 0"),
    ],
)
def test_a_setting_that_can_not_be_is_refused_at_once(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        shadowed(ScriptedRouter(A), ScriptedRouter(B), **settings)


def replayed(live: np.ndarray, candidate: np.ndarray, seed: int) -> Any:
    """Return the report of made-up outcomes, watched through the whole loop until there is a verdict."""
    rng = np.random.default_rng(seed)
    scores = {"a": live, "b": candidate}

    def check(query: Query, first: str, second: str) -> tuple[float, float]:
        at = int(str(query.id))
        return scores[first[0]][at], scores[second[0]][at]

    executor = priced(0.001)
    with shadowed(ScriptedRouter(A), ScriptedRouter(B), executor, check=check, gain=0.1) as router:
        while router.report().verdict == "open" or router.report().verdict == "not yet":
            for at in rng.integers(0, len(live), 50):
                solve(Query(text="?", id=str(at)), router, executor)
            assert router.wait()
        return router.report()


def test_verdicts_on_made_up_outcomes_are_right() -> None:
    """A candidate better by 10 points, and one that is not; the table of BFCL's outcomes is in docs/shadow.md."""
    live = np.array([1.0] * 60 + [0.0] * 40)
    better, equal = live.copy(), live.copy()
    better[58:], better[72:] = 1.0, 0.0  # 12 answers more
    equal[50:70] = 1.0 - equal[50:70]
    assert [replayed(live, better, seed).verdict for seed in range(3)] == ["switch"] * 3
    assert [replayed(live, equal, seed).verdict for seed in range(3)] == ["don't"] * 3
