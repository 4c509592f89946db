"""The one loop: a router decides, an executor acts, until there is an answer.

It is written once, as a generator: `turns` yields effects (see `effects.py`), is sent what came of each or has its
error raised where it waits, and returns the trajectory. It does no input or output itself. A `Handler` carries effects
out, and four drivers take them there: `drive` and `adrive`, and `stream` and `astream` for replies that are streamed.
Every integration and every benchmark runs it; see ``docs/architecture.md``. It knows routers and executors by their
contracts alone, so that both may be steps of chains by it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_atlas.budgets import budget
from langchain_atlas.checks import as_query, check_sides
from langchain_atlas.contracts import elsewhere, left_for, permitted, suiting
from langchain_atlas.deadlines import abegun_within, allowance, begun_within, deadline
from langchain_atlas.effects import Call, Decide, Effect, GetModel, Run, Steps, Tell
from langchain_atlas.error_kinds import failed_call
from langchain_atlas.errors import BrokenStreamError, SettingError
from langchain_atlas.masked_errors import keys_masked
from langchain_atlas.secrets import error_text
from langchain_atlas.tracing import adecision_run, aexecution_run, asolve_run, decision_run, execution_run, solve_run
from langchain_atlas.tracing.tokens import HOLD_BACK_S, Held, settled, sure_reply, unbroken
from langchain_atlas.trajectory import START, Decision, Observation, Query, Trajectory, last_answer

if TYPE_CHECKING:
    from langchain_atlas.contracts import ExecutorLike, RouterLike
    from langchain_atlas.pool import Model, Pair

MAX_TURNS = 4
"""Most turns of a trajectory before the last answer is given (section 3 of the paper)."""

TURN_LIMIT = "turn-limit"
"""The rule of the decision to answer because all turns are used."""

Value = TypeVar("Value")

Deciding = Callable[[Query, Trajectory], Steps[Decision]]
Acting = Callable[[Query, Decision, Trajectory], Steps[Observation]]


def ask_router(query: Query, trajectory: Trajectory) -> Steps[Decision]:
    """Have the router decide."""
    decision: Decision = yield Decide(query, trajectory)
    return decision


def run_pair(query: Query, decision: Decision, trajectory: Trajectory) -> Steps[Observation]:
    """Have the executor run the decided pair."""
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
    """Go round until there is an answer.

    Args:
        query: what is asked.
        decide: how it is decided; by the router, unless an integration keeps to an earlier decision.
        act: how a decided pair is called; None for not at all: the trajectory then ends with that decision.
        first_reply: the rule by which the first call that succeeds is the answer; None leaves that to the router.

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
    """Get a pair's model, call it, and read its reply; a call that raises is an observation with its error.

    Args:
        pair: the pair.
        model: its model.
        request: makes the request of the chat model.
        read: makes the observation of the reply and the seconds that it took.
        live: whether the reply is sure to be the answer.
        seconds: how long the call may take; None for any time.
    """
    try:
        chat_model = yield GetModel(model.name)
        start = time.perf_counter()  # what came before, such as importing LiteLLM, is not the pair's latency
        reply = yield Call(request(chat_model), live, seconds)
    except Exception as error:  # noqa: BLE001  # whatever a provider raises is an observation
        text = failure(error, model.api_key_env)
        return failed_call(pair, error, model.api_key_env, text=text)
    return read(reply, time.perf_counter() - start)


def failure(error: Exception, variable: str | None = None) -> str:
    """Return what an error says, for a record: its type and its message, with stars in place of keys.

    Args:
        error: the error.
        variable: the environment variable that holds the key of the model that was called.

    Raises:
        GraphBubbleUp: that is what the error is; an interrupt of the graph is no failure.
        BrokenStreamError: so it is; no other call can make it good.
    """
    from langgraph.errors import GraphBubbleUp

    if isinstance(error, GraphBubbleUp | BrokenStreamError):
        raise error
    return error_text(error, variable)


def asked(query: Query, decision: Decision) -> Query:
    """Return the query as the decided pair is to be asked."""
    return query if decision.input is None else query.replace(text=decision.input)


def limited(decision: Decision, trajectory: Trajectory, max_turns: int, router: RouterLike) -> Decision:
    """Return the decision, or once the turns are used up and it is not to answer, the decision to do so.

    The router is asked even then: of several answers, it knows which to give. Where it says that failures are no turns,
    it can go on while there are pairs that it has not tried.
    """
    if decision.kind == "answer" or _turns_used(trajectory, router) < max_turns:
        return decision
    return last_answer(trajectory, rule=TURN_LIMIT, reason=f"All {max_turns} turns are used.")


def _turns_used(trajectory: Trajectory, router: RouterLike) -> int:
    if getattr(router, "failures_are_turns", True):
        return len(trajectory.steps)
    failed = [seen.pair for seen in trajectory.observations if seen.failed]
    return len(trajectory.steps) - len(set(failed))  # a pair that fails again has used a turn


def checked_turns(max_turns: int) -> int:
    """Return a limit of turns if it is one.

    Raises:
        SettingError: it is below 1.
    """
    if max_turns < 1:
        raise SettingError(f"max_turns is {max_turns!r}; a loop needs at least 1 turn.")
    return max_turns


@dataclass(frozen=True)
class Handler:
    """Carries effects out, each decision and each run of a pair as a run of the trace.

    Raises:
        SettingError: `max_turns` is below 1.
        InvalidInputError: router or executor is none, say because the two are swapped.
    """

    router: RouterLike | None = None
    """Who decides; None where nothing is decided."""
    executor: Any = None
    """Who runs pairs, an `ExecutorLike`, and where models are got, knows them: a `LiveExecutor`. None for nobody."""
    max_turns: int = MAX_TURNS
    """Most turns (calls and thoughts) before the loop ends by itself; see `limited`."""
    call: Callable[[Any], Any] | None = None
    """Calls a model; for `ado`, it returns something to await."""
    live: bool | None = None
    """Whether a run that succeeds is the answer, and may be streamed as it comes; None goes by the router."""
    hold_back_s: float | None = HOLD_BACK_S
    """Seconds for which a graph's stream does not get such a reply, as it may break off; None until it is whole."""
    tell: Callable[[Decision], Any] | None = None
    """Tells whoever listens what was decided; for `ado`, it may return something to await."""
    key: str | None = None
    """What a trajectory goes by whose effects are carried out by several handlers, such as the nodes of a graph."""

    def __post_init__(self) -> None:
        checked_turns(self.max_turns)
        check_sides(self.router, self.executor)

    def scope(self) -> AbstractContextManager[object]:
        """Return the context in which tools keep what they know from one run of the trajectory to the next."""
        if self.executor is None:
            return nullcontext()
        executor: ExecutorLike = self.executor
        return executor.trajectory() if self.key is None else executor.trajectory(self.key, last=False)

    def do(self, effect: Effect) -> Any:
        """Carry an effect out."""
        match effect:
            case Decide(query, trajectory):
                return decision_run(query, trajectory, lambda: self._decide(query, trajectory))
            case Run(pair, query, seconds, dollars):
                held = Held(self._is_live, self.hold_back_s)
                with allowance(seconds), budget(dollars):
                    seen = held.run(lambda: execution_run(pair, query, lambda: self.executor.run(pair, query)))
                return settled(held, seen)
            case GetModel(model):
                return self.executor.chat_model(model)
            case Call(request, live, seconds):
                assert self.call is not None  # noqa: S101  # who yields calls says how they are made
                call, held = self.call, Held(live, self.hold_back_s)
                with deadline(seconds), sure_reply(live), unbroken(held):
                    return held.run(lambda: call(request))
            case Tell(decision):
                return None if self.tell is None else self.tell(decision)

    async def ado(self, effect: Effect) -> Any:
        """Carry an effect out on the event loop."""
        match effect:
            case Decide(query, trajectory):
                return await adecision_run(query, trajectory, lambda: self._adecide(query, trajectory))
            case Run(pair, query, seconds, dollars):
                held = Held(self._is_live, self.hold_back_s)
                with allowance(seconds), budget(dollars):
                    seen = await held.arun(lambda: aexecution_run(pair, query, lambda: self.executor.arun(pair, query)))
                return settled(held, seen)
            case GetModel(model):
                return await self.executor.achat_model(model)
            case Call(request, live, seconds):
                assert self.call is not None  # noqa: S101  # who yields calls says how they are made
                call, held = self.call, Held(live, self.hold_back_s)
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
        """Return the query as the router is told it: with the pairs to avoid after a failure."""
        assert self.router is not None  # noqa: S101  # who has something decided says by whom
        return query if self.executor is None else elsewhere(query, trajectory, self.router, self.executor)


@dataclass(frozen=True)
class Whole:
    """What a stream ends with: all of it."""

    value: Any
    """What the steps returned, or the reply that the chunks make up."""


@keys_masked
def stream(steps: Steps[Any], handler: Handler, chunks: Callable[[Any], Iterator[Any]]) -> Generator[Any, None, None]:
    """Take steps in the foreground, and yield the chunks of live calls, and then a `Whole`.

    Args:
        steps: the steps.
        handler: carries their effects out.
        chunks: streams a request: yields its chunks, and then a `Whole`.
    """
    with handler.scope():
        try:
            effect = next(steps)
            while True:
                reply = None
                try:
                    if isinstance(effect, Call) and effect.live:
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
    """Do what `stream` does on the event loop."""
    with handler.scope():
        try:
            effect = next(steps)
            while True:
                reply = None
                try:
                    if isinstance(effect, Call) and effect.live:
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
    """Take steps in the foreground, and return what they come to."""

    def whole(request: Any) -> Iterator[Whole]:
        yield Whole(handler.do(Call(request, live=True)))

    (last,) = stream(steps, handler, whole)
    value: Value = last.value
    return value


async def adrive(steps: Steps[Value], handler: Handler) -> Value:
    """Take steps on the event loop, and return what they come to."""

    async def whole(request: Any) -> AsyncIterator[Whole]:
        yield Whole(await handler.ado(Call(request, live=True)))

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
    """Go round the loop until there is an answer.

    Args:
        query: what is asked.
        router: who decides, a `Router`.
        executor: who acts, an `Executor`.
        max_turns: most turns (calls and thoughts) before the loop ends by itself.
        hold_back_s: seconds for which a graph around does not stream a reply, see `Handler`.

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
    """Do what `solve` does without blocking the event loop."""
    handler = Handler(router, executor, max_turns, hold_back_s=hold_back_s)
    query = suiting(as_query(query), router, executor)
    return await asolve_run(query, lambda: adrive(turns(query), handler))
