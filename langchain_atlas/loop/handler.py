"""What carries the loop's effects out."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import ConstraintError
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.loop.deadlines import allowance, deadline
from langchain_atlas.loop.effects import CallModel, Decide, Effect, GetModel, Keep, Run, Tell, Verify
from langchain_atlas.loop.identity import identified
from langchain_atlas.loop.limits.meter import Meter
from langchain_atlas.loop.limits.pair_budget import budget
from langchain_atlas.loop.limits.quota import Quota, deciding_within, needs_limits
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS, checked_turns, limited, permitted
from langchain_atlas.loop.suiting import elsewhere
from langchain_atlas.tracing import adecision_run, aexecution_run, decision_run, execution_run, is_observed
from langchain_atlas.tracing.tokens import HOLD_BACK_S, HeldTokens, settled, sure_reply, unbroken
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas.loop.contracts import ExecutorLike, RouterLike, StoreLike
    from langchain_atlas.trajectory import Decision, Observation, Trajectory


@dataclass(frozen=True)
class Handler:
    """Carries out effects; each decision and each run of a pair is a run in the trace.

    Raises:
        SettingError: `max_turns` is below 1.
        InvalidInputError: the router or the executor is not one, for example because they are swapped.
    """

    router: RouterLike | None = None
    """The router; None if no step decides anything."""
    executor: Any = None
    """Runs pairs. Any `ExecutorLike`; a `LiveExecutor` if chat models are requested. None if no step runs anything."""
    max_turns: int = MAX_TURNS
    """Maximum number of turns (calls and thoughts) before the loop ends; see `limited`."""
    call: Callable[[Any], Any] | None = None
    """Calls a model; for `ado`, it returns an awaitable."""
    live: bool | None = None
    """Whether a run that succeeds is the answer and may be streamed immediately; None leaves that to the router."""
    hold_back_s: float | None = HOLD_BACK_S
    """Seconds to hold such a reply back from a graph's stream, as it may break off; None until it is complete."""
    tell: Callable[[Decision], Any] | None = None
    """Called with each decision; for `ado`, it may return an awaitable."""
    key: str | None = None
    """Key of a trajectory whose effects are carried out by several handlers, such as the nodes of a graph."""
    store: StoreLike | None = None
    """Where decisions, and what came of them, are kept; None to keep nothing."""
    quota: Quota | None = None
    """Limits that hold over many trajectories; None for none."""

    def __post_init__(self) -> None:
        checked_turns(self.max_turns)
        check_sides(self.router, self.executor)

    def scope(self) -> AbstractContextManager[object]:
        """Return a context manager within which tools keep their state between the runs of the trajectory."""
        if self.executor is None:
            return nullcontext()
        executor: ExecutorLike = self.executor
        return executor.trajectory() if self.key is None else executor.trajectory(self.key, last=False)

    def do(self, effect: Effect) -> Any:  # noqa: PLR0911  # one for each effect
        """Carry out an effect and return its result."""
        if self.quota is not None:
            effect = self.bounded(effect)
        match effect:
            case Decide(query, trajectory):
                decide = partial(self._decide, query, trajectory)
                return decision_run(query, trajectory, decide) if self._is_observed else decide()
            case Run(pair, query, seconds, dollars):
                held = HeldTokens(self._is_live, self.hold_back_s)
                with allowance(seconds), budget(dollars):
                    run = partial(self.executor.run, pair, query)
                    seen = held.run(partial(execution_run, pair, query, run) if self._is_observed else run)
                return settled(held, seen)
            case GetModel(model):
                return self.executor.chat_model(model)
            case CallModel(request, live, seconds):
                assert self.call is not None  # noqa: S101  # who yields calls says how they are made
                call, held = self.call, HeldTokens(live, self.hold_back_s)
                with deadline(seconds), sure_reply(live), unbroken(held):
                    return held.run(lambda: call(request))
            case Verify(query, observation):
                return self.executor.verify(query, observation)
            case Tell(decision):
                decision = self._identified(decision)
                if self.tell is not None:
                    self.tell(decision)
                return decision
            case Keep():
                return self._keep(effect)

    async def ado(self, effect: Effect) -> Any:  # noqa: C901, PLR0911  # one for each effect
        """Async version of `do`."""
        if self.quota is not None:
            effect = self.bounded(effect)
        match effect:
            case Decide(query, trajectory):
                decide = partial(self._adecide, query, trajectory)
                return await (adecision_run(query, trajectory, decide) if self._is_observed else decide())
            case Run(pair, query, seconds, dollars):
                held = HeldTokens(self._is_live, self.hold_back_s)
                with allowance(seconds), budget(dollars):
                    run = partial(self.executor.arun, pair, query)
                    seen = await held.arun(partial(aexecution_run, pair, query, run) if self._is_observed else run)
                return settled(held, seen)
            case GetModel(model):
                return await self.executor.achat_model(model)
            case CallModel(request, live, seconds):
                assert self.call is not None  # noqa: S101  # who yields calls says how they are made
                call, held = self.call, HeldTokens(live, self.hold_back_s)
                with deadline(seconds), sure_reply(live), unbroken(held):
                    return await held.arun(lambda: call(request))
            case Verify(query, observation):
                return await self.executor.averify(query, observation)
            case Tell(decision):
                decision = self._identified(decision)
                told = None if self.tell is None else self.tell(decision)
                if isawaitable(told):
                    await told
                return decision
            case Keep():
                if self.quota is None or not self._meter.waits:
                    return self._keep(effect)
                return await asyncio.to_thread(self._keep, effect)

    @cached_property
    def _is_observed(self) -> bool:
        """Whether anybody hears of the runs of this trajectory; who does is settled before it begins."""
        return is_observed()

    @property
    def _is_live(self) -> bool:
        if self.live is not None:
            return self.live
        return self.router is None or getattr(self.router, "takes_first_answer", False)

    def _identified(self, decision: Decision) -> Decision:
        return decision if self.store is None and self.quota is None else identified(decision, self.router)

    @cached_property
    def _meter(self) -> Meter:
        assert self.quota is not None  # noqa: S101  # asked for only then
        pairs = () if self.router is None else self.router.pairs
        return Meter(self.quota, pairs, getattr(self.executor, "stays_here", None))

    def bounded(self, effect: Any) -> Any:
        """Return an effect within the quota, if there is one: its call takes no more, and a private query is marked."""
        if self.quota is None:
            return effect
        match effect:
            case Run(_, query, seconds, dollars):
                return replace(
                    effect,
                    query=self._meter.marked(query),
                    seconds=self._meter.seconds(seconds),
                    budget=self._meter.budget(dollars),
                )
            case Verify(query, _) | Keep(query, _, _, _):
                return replace(effect, query=self._meter.marked(query))
            case CallModel(_, _, seconds):
                return replace(effect, seconds=self._meter.seconds(seconds))
        return effect

    def _keep(self, effect: Keep) -> Observation | None:
        """Keep a decision, or what came of it; return what comes of it instead, if a limit does not allow the call."""
        if self.quota is not None:
            if effect.observation is not None:
                self._meter.settle(effect.decision, effect.observation)
            elif (refused := self._meter.charge(effect.query, effect.decision)) is not None:
                return refused
        else:
            needs_limits(effect.query)
        if self.store is not None:
            self.store.keep(effect.query, effect.trajectory, effect.decision, effect.observation)
        return None

    def _prepare(self, trajectory: Trajectory) -> None:
        """Have the executor prepare while the first decision is made."""
        prepare = None if trajectory.steps else getattr(self.executor, "prepare", None)
        if prepare is not None:
            prepare()

    def _decide(self, query: Query, trajectory: Trajectory) -> Decision:
        assert self.router is not None  # noqa: S101  # who has something decided says by whom
        self._prepare(trajectory)
        told = self._told(query, trajectory)
        decide = self.router.decide if self.quota is None else self._decide_within
        decision = decide(told, trajectory)
        return self._identified(
            permitted(limited(decision, trajectory, self.max_turns, self.router), query, trajectory)
        )

    async def _adecide(self, query: Query, trajectory: Trajectory) -> Decision:
        assert self.router is not None  # noqa: S101  # who has something decided says by whom
        self._prepare(trajectory)
        told = self._told(query, trajectory)
        decide = self.router.adecide if self.quota is None else self._adecide_within
        decision = await decide(told, trajectory)
        return self._identified(
            permitted(limited(decision, trajectory, self.max_turns, self.router), query, trajectory)
        )

    def _decide_within(self, query: Query, trajectory: Trajectory) -> Decision:
        """Have the router decide within the quota."""
        assert self.router is not None  # noqa: S101  # the caller looked
        assert self.quota is not None  # noqa: S101
        asking = self._meter.deciding(query, trajectory)
        try:
            asked = next(asking)
            while True:
                try:
                    with deciding_within(self.quota):
                        decision = self.router.decide(asked, trajectory)
                except ConstraintError as error:
                    asked = asking.throw(error)
                else:
                    asked = asking.send(decision)
        except StopIteration as end:
            decided: Decision = end.value
            return decided

    async def _adecide_within(self, query: Query, trajectory: Trajectory) -> Decision:
        """Async version of `_decide_within`."""
        assert self.router is not None  # noqa: S101  # the caller looked
        assert self.quota is not None  # noqa: S101
        asking = self._meter.deciding(query, trajectory)
        asked: Query | Decision = await self._stepped(partial(next, asking))
        while isinstance(asked, Query):
            try:
                with deciding_within(self.quota):
                    decision = await self.router.adecide(asked, trajectory)
            except ConstraintError as error:
                asked = await self._stepped(partial(asking.throw, error))
            else:
                asked = await self._stepped(partial(asking.send, decision))
        return asked

    async def _stepped(self, step: Callable[[], Query]) -> Query | Decision:
        """Take a step of a generator, which may wait for a database; return what it yields or, at its end, returns."""

        def taken() -> Query | Decision:
            try:
                return step()
            except StopIteration as end:  # which can't leave a thread
                decided: Decision = end.value
                return decided

        return await asyncio.to_thread(taken) if self._meter.waits else taken()

    def _told(self, query: Query, trajectory: Trajectory) -> Query:
        """Return the query as the router receives it: with the pairs to avoid after a failure."""
        if self.quota is None:
            needs_limits(query)
        assert self.router is not None  # noqa: S101  # who has something decided says by whom
        return query if self.executor is None else elsewhere(query, trajectory, self.router, self.executor)
