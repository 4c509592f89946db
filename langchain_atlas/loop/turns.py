"""The one loop: a router decides, an executor acts, until there is an answer.

It is written once, as a generator: `turns` yields effects (see `loop/effects.py`), receives the result of each or has
its error raised at the `yield`, and returns the trajectory. It does no input or output itself. A `Handler` carries
effects out, and there are four drivers: `drive` and `adrive`, and `stream` and `astream` for streamed replies.
Every integration and every benchmark runs it; see ``docs/architecture.md``. It depends only on the contracts of routers
and executors, so that both can use it when they are steps of a chain.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_atlas.budgets import budget
from langchain_atlas.errors import BrokenStreamError, SettingError
from langchain_atlas.failures.kinds import failed_call
from langchain_atlas.failures.masked_errors import keys_masked
from langchain_atlas.failures.slips import as_query, check_sides
from langchain_atlas.loop.contracts import elsewhere, left_for, permitted, suiting
from langchain_atlas.loop.deadlines import abegun_within, allowance, begun_within, deadline
from langchain_atlas.loop.effects import CallModel, Decide, Effect, GetModel, Run, Steps, Tell
from langchain_atlas.secrets import error_text
from langchain_atlas.tracing import adecision_run, aexecution_run, asolve_run, decision_run, execution_run, solve_run
from langchain_atlas.tracing.tokens import HOLD_BACK_S, HeldTokens, settled, sure_reply, unbroken
from langchain_atlas.trajectory import START, Decision, Observation, Query, Trajectory, last_answer

if TYPE_CHECKING:
    from langchain_atlas.loop.contracts import ExecutorLike, RouterLike
    from langchain_atlas.pool.pool import Model, Pair

MAX_TURNS = 4
"""Maximum number of turns of a trajectory before the last answer is given (section 3 of the paper)."""

TURN_LIMIT = "turn-limit"
"""The `Decision.rule` of a decision to answer because all turns are used."""

Value = TypeVar("Value")

Deciding = Callable[[Query, Trajectory], Steps[Decision]]
Acting = Callable[[Query, Decision, Trajectory], Steps[Observation]]


def ask_router(query: Query, trajectory: Trajectory) -> Steps[Decision]:
    """Have the router decide."""
    decision: Decision = yield Decide(query, trajectory)
    return decision


def run_pair(query: Query, decision: Decision, trajectory: Trajectory) -> Steps[Observation]:
    """Have the executor run the chosen pair."""
    assert decision.pair is not None  # noqa: S101  # only such decisions are acted on
    observation: Observation = yield Run(decision.pair, asked(query, decision), *left_for(query, decision, trajectory))
    return observation


def turns(
    query: Query,
    *,
    decide: Deciding = ask_router,
    act: Acting | None = run_pair,
    first_reply: str | None = None,
) -> Steps[Trajectory]:
    """Repeat turns until there is an answer.

    Args:
        query: the query.
        decide: the steps that decide; by default those of the router, but an integration may keep an earlier decision.
        act: the steps that call the chosen pair; with None, the trajectory ends with the decision to call one.
        first_reply: the rule under which the first successful call is the answer; None leaves that to the router.

    Returns:
        Steps that return the trajectory.
    """
    trajectory = START
    while not trajectory.done:
        decision = yield from decide(query, trajectory)
        if act is None and decision.pair is not None:
            return trajectory.then(decision)
        yield Tell(decision)
        if decision.pair is None or act is None:
            trajectory = trajectory.then(decision)
        else:
            observation = yield from act(query, decision, trajectory)
            trajectory = trajectory.then(decision, observation)
            if first_reply is not None and not observation.failed:
                trajectory = trajectory.then(last_answer(trajectory, rule=first_reply, reason=""))
    return trajectory


def call_model(
    pair: Pair,
    model: Model,
    request: Callable[[Any], Any],
    read: Callable[[Any, float], Observation],
    *,
    live: bool = False,
    seconds: float | None = None,
) -> Steps[Observation]:
    """Get a pair's model, call it, and read its reply; a call that raises becomes an observation with its error.

    Args:
        pair: the pair.
        model: its model.
        request: builds the request from the chat model.
        read: builds the observation from the reply and the seconds that it took.
        live: whether the reply is certain to be the answer.
        seconds: how long the call may take; None for no limit.
    """
    try:
        chat_model = yield GetModel(model.name)
        start = time.perf_counter()  # earlier work, such as importing LiteLLM, is not part of the pair's latency
        reply = yield CallModel(request(chat_model), live, seconds)
    except Exception as error:  # noqa: BLE001  # whatever a provider raises is an observation
        text = failure(error, model.api_key_env)
        return failed_call(pair, error, model.api_key_env, text=text)
    return read(reply, time.perf_counter() - start)


def failure(error: Exception, variable: str | None = None) -> str:
    """Return the type and the message of an error for a record, with keys masked.

    Args:
        error: the error.
        variable: the environment variable that holds the key of the model that was called.

    Raises:
        GraphBubbleUp: the error is one; an interrupt of the graph is not a failure.
        BrokenStreamError: the error is one; no other call can make up for it.
    """
    from langgraph.errors import GraphBubbleUp

    if isinstance(error, GraphBubbleUp | BrokenStreamError):
        raise error
    return error_text(error, variable)


def asked(query: Query, decision: Decision) -> Query:
    """Return the query to run the chosen pair on."""
    return query if decision.input is None else query.replace(text=decision.input)


def limited(decision: Decision, trajectory: Trajectory, max_turns: int, router: RouterLike) -> Decision:
    """Return the decision, unless the turns are used up: then return a decision to answer.

    The router still decides then, because it knows which of several answers to give. If it does not count failures as
    turns, it can continue while there are pairs that it has not tried.
    """
    if decision.kind == "answer" or _turns_used(trajectory, router) < max_turns:
        return decision
    return last_answer(trajectory, rule=TURN_LIMIT, reason=f"All {max_turns} turns are used.")


def _turns_used(trajectory: Trajectory, router: RouterLike) -> int:
    if getattr(router, "failures_are_turns", True):
        return len(trajectory.steps)
    failed = [seen.pair for seen in trajectory.observations if seen.failed]
    return len(trajectory.steps) - len(set(failed))  # a pair that fails again uses a turn


def checked_turns(max_turns: int) -> int:
    """Return a turn limit if it is valid.

    Raises:
        SettingError: it is below 1.
    """
    if max_turns < 1:
        raise SettingError(f"max_turns is {max_turns!r}; a loop needs at least 1 turn.")
    return max_turns


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

    def __post_init__(self) -> None:
        checked_turns(self.max_turns)
        check_sides(self.router, self.executor)

    def scope(self) -> AbstractContextManager[object]:
        """Return a context manager within which tools keep their state between the runs of the trajectory."""
        if self.executor is None:
            return nullcontext()
        executor: ExecutorLike = self.executor
        return executor.trajectory() if self.key is None else executor.trajectory(self.key, last=False)

    def do(self, effect: Effect) -> Any:
        """Carry out an effect and return its result."""
        match effect:
            case Decide(query, trajectory):
                return decision_run(query, trajectory, lambda: self._decide(query, trajectory))
            case Run(pair, query, seconds, dollars):
                held = HeldTokens(self._is_live, self.hold_back_s)
                with allowance(seconds), budget(dollars):
                    seen = held.run(lambda: execution_run(pair, query, lambda: self.executor.run(pair, query)))
                return settled(held, seen)
            case GetModel(model):
                return self.executor.chat_model(model)
            case CallModel(request, live, seconds):
                assert self.call is not None  # noqa: S101  # who yields calls says how they are made
                call, held = self.call, HeldTokens(live, self.hold_back_s)
                with deadline(seconds), sure_reply(live), unbroken(held):
                    return held.run(lambda: call(request))
            case Tell(decision):
                return None if self.tell is None else self.tell(decision)

    async def ado(self, effect: Effect) -> Any:
        """Async version of `do`."""
        match effect:
            case Decide(query, trajectory):
                return await adecision_run(query, trajectory, lambda: self._adecide(query, trajectory))
            case Run(pair, query, seconds, dollars):
                held = HeldTokens(self._is_live, self.hold_back_s)
                with allowance(seconds), budget(dollars):
                    seen = await held.arun(lambda: aexecution_run(pair, query, lambda: self.executor.arun(pair, query)))
                return settled(held, seen)
            case GetModel(model):
                return await self.executor.achat_model(model)
            case CallModel(request, live, seconds):
                assert self.call is not None  # noqa: S101  # who yields calls says how they are made
                call, held = self.call, HeldTokens(live, self.hold_back_s)
                with deadline(seconds), sure_reply(live), unbroken(held):
                    return await held.arun(lambda: call(request))
            case Tell(decision):
                told = None if self.tell is None else self.tell(decision)
                return await told if isawaitable(told) else None

    @property
    def _is_live(self) -> bool:
        if self.live is not None:
            return self.live
        return self.router is None or getattr(self.router, "takes_first_answer", False)

    def _decide(self, query: Query, trajectory: Trajectory) -> Decision:
        assert self.router is not None  # noqa: S101  # who has something decided says by whom
        decision = self.router.decide(self._told(query, trajectory), trajectory)
        return permitted(limited(decision, trajectory, self.max_turns, self.router), query, trajectory)

    async def _adecide(self, query: Query, trajectory: Trajectory) -> Decision:
        assert self.router is not None  # noqa: S101  # who has something decided says by whom
        decision = await self.router.adecide(self._told(query, trajectory), trajectory)
        return permitted(limited(decision, trajectory, self.max_turns, self.router), query, trajectory)

    def _told(self, query: Query, trajectory: Trajectory) -> Query:
        """Return the query as the router receives it: with the pairs to avoid after a failure."""
        assert self.router is not None  # noqa: S101  # who has something decided says by whom
        return query if self.executor is None else elsewhere(query, trajectory, self.router, self.executor)


@dataclass(frozen=True)
class Whole:
    """The last item of a stream: its complete result."""

    value: Any
    """The return value of the steps, or the reply that the chunks add up to."""


@keys_masked
def stream(steps: Steps[Any], handler: Handler, chunks: Callable[[Any], Iterator[Any]]) -> Generator[Any, None, None]:
    """Run steps synchronously; yield the chunks of live calls, and then a `Whole`.

    Args:
        steps: the steps.
        handler: carries out their effects.
        chunks: streams a request: yields its chunks, and then a `Whole`.
    """
    with handler.scope():
        try:
            effect = next(steps)
            while True:
                reply = None
                try:
                    if isinstance(effect, CallModel) and effect.live:
                        for item in begun_within(effect.seconds, chunks(effect.request)):
                            if isinstance(item, Whole):
                                reply = item.value
                            else:
                                yield item
                    else:
                        reply = handler.do(effect)
                except Exception as error:  # noqa: BLE001  # the steps say what an error leads to
                    effect = steps.throw(error)
                else:
                    effect = steps.send(reply)
        except StopIteration as end:
            yield Whole(end.value)


@keys_masked
async def astream(
    steps: Steps[Any], handler: Handler, chunks: Callable[[Any], AsyncIterator[Any]]
) -> AsyncGenerator[Any, None]:
    """Async version of `stream`."""
    with handler.scope():
        try:
            effect = next(steps)
            while True:
                reply = None
                try:
                    if isinstance(effect, CallModel) and effect.live:
                        async for item in abegun_within(effect.seconds, chunks(effect.request)):
                            if isinstance(item, Whole):
                                reply = item.value
                            else:
                                yield item
                    else:
                        reply = await handler.ado(effect)
                except Exception as error:  # noqa: BLE001  # the steps say what an error leads to
                    effect = steps.throw(error)
                else:
                    effect = steps.send(reply)
        except StopIteration as end:
            yield Whole(end.value)


def drive(steps: Steps[Value], handler: Handler) -> Value:
    """Run steps synchronously and return their result."""

    def whole(request: Any) -> Iterator[Whole]:
        yield Whole(handler.do(CallModel(request, live=True)))

    (last,) = stream(steps, handler, whole)
    value: Value = last.value
    return value


async def adrive(steps: Steps[Value], handler: Handler) -> Value:
    """Async version of `drive`."""

    async def whole(request: Any) -> AsyncIterator[Whole]:
        yield Whole(await handler.ado(CallModel(request, live=True)))

    (last,) = [item async for item in astream(steps, handler, whole)]
    value: Value = last.value
    return value


def solve(
    query: Query | str,
    router: RouterLike,
    executor: ExecutorLike,
    *,
    max_turns: int = MAX_TURNS,
    hold_back_s: float | None = HOLD_BACK_S,
) -> Trajectory:
    """Run the loop until there is an answer.

    Args:
        query: the query.
        router: the `Router` that decides.
        executor: the `Executor` that runs pairs.
        max_turns: maximum number of turns (calls and thoughts) before the loop ends.
        hold_back_s: seconds to hold a reply back from an enclosing graph's stream; see `Handler`.

    Returns:
        The trajectory; its last step is the decision to answer.

    Raises:
        SettingError: `max_turns` is below 1.
        AtlasError: the router could not decide.
    """
    handler = Handler(router, executor, max_turns, hold_back_s=hold_back_s)
    query = suiting(as_query(query), router, executor)
    return solve_run(query, lambda: drive(turns(query), handler))


async def asolve(
    query: Query | str,
    router: RouterLike,
    executor: ExecutorLike,
    *,
    max_turns: int = MAX_TURNS,
    hold_back_s: float | None = HOLD_BACK_S,
) -> Trajectory:
    """Async version of `solve`."""
    handler = Handler(router, executor, max_turns, hold_back_s=hold_back_s)
    query = suiting(as_query(query), router, executor)
    return await asolve_run(query, lambda: adrive(turns(query), handler))
