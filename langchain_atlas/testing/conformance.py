"""The tests that every router must pass.

Subclass `RouterConformance` in a test file, override `make_router`, and pytest does the rest::

    class TestMyRouter(RouterConformance):
        def make_router(self) -> Router:
            return MyRouter().fit(table)

        def queries(self) -> list[Query]:
            return [Query(text="What is 6 times 7?"), Query(text="Write a poem.")]
"""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import pytest

from langchain_atlas.errors import ConstraintError, PoolError, SettingError
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS, TURN_LIMIT
from langchain_atlas.loop.turns import drive, solve, turns
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.testing.fakes import ScriptedExecutor
from langchain_atlas.trajectory import Constraints, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from langchain_atlas.encoders import Encoder

STRANGER = Pair("no-such-model", "no-such-tool")
"""A pair that no router has."""


class RouterConformance:
    """Tests of the contract of `Router`; see the module for how to use them."""

    max_turns: ClassVar[int] = MAX_TURNS
    """Number of turns within which the router must decide to answer."""

    def make_router(self) -> Router:
        """Return the router under test, fitted."""
        raise NotImplementedError("Say how to make the router: override make_router().")

    def queries(self) -> Sequence[Query]:
        """Return a few queries to try it on."""
        return [Query(text="What is 6 times 7?"), Query(text="Who wrote Hamlet?"), Query(text="Sort [3, 1, 2].")]

    def encoder(self) -> Encoder | None:
        """Return the encoder to load a saved router with; None if its name is enough to find it."""
        return None

    def load(self, folder: Path) -> Router:
        """Return the router that was saved to `folder`."""
        return Router.load(folder, self.encoder())

    def test_decides(self) -> None:
        """A decision is a `Decision`, and the same one for a repeated query."""
        router = self.make_router()
        for query in self.queries():
            decision = router.decide(query)
            assert isinstance(decision, Decision)
            assert decision.kind != "answer", "there is nothing to answer with before anything was asked"
            assert router.decide(query) == decision, "deciding must not change the router"

    def test_decides_the_same_whatever_was_asked_before(self) -> None:
        """The order of the queries does not matter."""
        router = self.make_router()
        forwards = [router.decide(query) for query in self.queries()]
        backwards = [router.decide(query) for query in reversed(self.queries())]
        assert forwards == backwards[::-1]

    def test_routes_to_its_own_pairs(self) -> None:
        """The first call goes to one of `Router.pairs`."""
        router = self.make_router()
        for query in self.queries():
            pair = self._first_pair(router, query)
            assert not router.pairs or pair in router.pairs

    def test_answers_after_a_call_that_succeeded(self) -> None:
        """It reaches an answer, which comes from a call."""
        router = self.make_router()
        for query in self.queries():
            trajectory = self._drive(router, query, ScriptedExecutor(lambda pair, _: f"the answer of {pair}"))
            assert trajectory.answer is not None
            source = trajectory.answered_by
            assert source is None or trajectory.answer == source.answer

    def test_ends_when_every_call_fails(self) -> None:
        """It gives up, and does not invent an answer."""
        router = self.make_router()
        for query in self.queries():
            trajectory = self._drive(router, query, ScriptedExecutor(lambda _, __: RuntimeError("told to fail")))
            assert trajectory.calls >= 1
            assert trajectory.answered_by is None, "no call returned the answer that is said to be a call's"

    def test_batch(self) -> None:
        """`decide_batch` decides like `decide`, except for rounding."""
        router, queries = self.make_router(), list(self.queries())
        decided = [_what(router.decide(query)) for query in queries]
        assert [_what(decision) for decision in router.decide_batch(queries)] == decided
        assert router.decide_batch([]) == []

    def test_async(self) -> None:
        """`adecide` decides like `decide`, except for rounding when it decides for many tasks."""
        router = self.make_router()

        async def decide_all() -> list[Decision]:
            return list(await asyncio.gather(*(router.adecide(query) for query in self.queries())))

        decided = [_what(decision) for decision in asyncio.run(decide_all())]
        assert decided == [_what(router.decide(query)) for query in self.queries()]

    def test_threads_share_it(self) -> None:
        """Many threads get the same decisions as one."""
        router, queries = self.make_router(), list(self.queries()) * 8
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(router.decide, queries)) == [router.decide(query) for query in queries]

    def test_keeps_to_the_pairs_that_a_query_allows(self) -> None:
        """If only one pair is allowed, that one is called."""
        router = self.make_router()
        for query in self.queries():
            for pair in router.pairs[:8]:
                allowed = query.replace(constraints=Constraints(pairs=frozenset({pair, STRANGER})))
                assert self._first_pair(router, allowed) == pair

    def test_refuses_a_query_that_allows_no_pair(self) -> None:
        """If none of its pairs is allowed, it raises an error and does not choose another pair."""
        router = self._with_pairs()
        query = self.queries()[0].replace(constraints=Constraints(pairs=frozenset({STRANGER})))
        with pytest.raises(ConstraintError):
            router.decide(query)

    def test_decisions_are_json(self) -> None:
        """A decision survives being written and read."""
        router = self.make_router()
        for query in self.queries():
            decision = router.decide(query)
            assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision

    def test_save_and_load(self, tmp_path: Path) -> None:
        """A router that was saved and loaded makes the same decisions and has the same settings."""
        router = self.make_router()
        if not router.kind:
            pytest.skip(f"{type(router).__name__} can't be saved")
        router.save(tmp_path / "router")
        loaded = self.load(tmp_path / "router")
        assert type(loaded) is type(router)
        assert loaded.pairs == router.pairs
        assert loaded.settings == router.settings
        assert [loaded.decide(query) for query in self.queries()] == [router.decide(query) for query in self.queries()]

    def test_restrict(self) -> None:
        """A restricted router chooses from the remaining pairs, and the original router is unchanged."""
        router = self._with_pairs()
        before = [router.decide(query) for query in self.queries()]
        for pair in router.pairs[:8] if len(router.pairs) > 1 else ():
            smaller = router.restrict([pair, STRANGER])
            assert smaller.pairs == (pair,)
            assert {self._first_pair(smaller, query) for query in self.queries()} == {pair}
        assert [router.restrict(router.pairs).decide(query) for query in self.queries()] == before
        assert [router.decide(query) for query in self.queries()] == before

    def test_restrict_to_nothing(self) -> None:
        """Restricting it to pairs that it does not have is an error."""
        router = self._with_pairs()
        with pytest.raises(PoolError):
            router.restrict([STRANGER])

    def test_configure(self) -> None:
        """Settings are set by name; setting them to their current values changes nothing."""
        router = self.make_router()
        with pytest.raises(SettingError):
            router.configure(no_such_setting=1)
        same = router.configure(**router.settings)
        assert same.settings == router.settings
        assert [same.decide(query) for query in self.queries()] == [router.decide(query) for query in self.queries()]

    def _with_pairs(self) -> Router:
        router = self.make_router()
        if not router.pairs:
            pytest.skip(f"{type(router).__name__} takes any pair")
        return router

    def _first_pair(self, router: Router, query: Query) -> Pair:
        """Return the first pair that is called; thoughts may come before."""
        decision = drive(turns(query, act=None), Handler(router, max_turns=self.max_turns)).steps[-1].decision
        assert decision.rule != TURN_LIMIT, f"no pair was asked in {self.max_turns} turns"
        assert decision.pair is not None, f"it answers before any call: {decision.reason}"
        return decision.pair

    def _drive(self, router: Router, query: Query, executor: ScriptedExecutor) -> Trajectory:
        """Run the loop, and make sure that the turn limit does not end it."""
        trajectory = solve(query, router, executor, max_turns=self.max_turns)
        assert trajectory.steps[-1].decision.rule != TURN_LIMIT, f"no answer in {self.max_turns} turns"
        return trajectory


def _what(decision: Decision) -> tuple[object, ...]:
    """Return the decision without the numbers behind it."""
    return decision.kind, decision.pair, decision.input, decision.answer, decision.rule, decision.cluster
