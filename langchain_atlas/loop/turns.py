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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_atlas.errors import BrokenStreamError
from langchain_atlas.failures.kinds import failed_call
from langchain_atlas.failures.masked_errors import keys_masked
from langchain_atlas.failures.slips import as_query
from langchain_atlas.loop.deadlines import abegun_within, begun_within
from langchain_atlas.loop.effects import CallModel, Decide, GetModel, Keep, Run, Steps, Tell, Verify
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.limits.quota import as_quota
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS, left_for
from langchain_atlas.loop.suiting import suiting
from langchain_atlas.masking import error_text
from langchain_atlas.tracing import asolve_run, solve_run
from langchain_atlas.tracing.tokens import HOLD_BACK_S
from langchain_atlas.trajectory import START, Decision, Observation, Query, Trajectory, last_answer

if TYPE_CHECKING:
    from langchain_atlas.loop.contracts import ExecutorLike, RouterLike, StoreLike
    from langchain_atlas.loop.limits.settings import Limits
    from langchain_atlas.pool.pool import Model, Pair

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


def kept(act: Acting, query: Query, decision: Decision, trajectory: Trajectory) -> Steps[Observation]:
    """Act on a decision, if limits allow it; have it, and what came of it, kept in the store, if there is one."""
    refused: Observation | None = yield Keep(query, trajectory, decision)
    if refused is not None:
        return refused
    observation = yield from act(query, decision, trajectory)
    yield Keep(query, trajectory, decision, observation)
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
        decision = yield Tell(decision)
        if decision.pair is None or act is None:
            trajectory = trajectory.then(decision)
        else:
            observation = yield from kept(act, query, decision, trajectory)
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
    query: Query,
    live: bool = False,
    seconds: float | None = None,
) -> Steps[Observation]:
    """Get a pair's model, call it, and read its reply; a call that raises becomes an observation with its error.

    Args:
        pair: the pair.
        model: its model.
        request: builds the request from the chat model.
        read: builds the observation from the reply and the seconds that it took.
        query: the query, for the check of the answer.
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
    observation = read(reply, time.perf_counter() - start)
    if observation.failed or not observation.answer:  # such as a call of a tool that the caller runs
        return observation
    checked: Observation = yield Verify(query, observation)
    return checked


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
                        for item in begun_within(handler.bounded(effect).seconds, chunks(effect.request)):
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
                        async for item in abegun_within(handler.bounded(effect).seconds, chunks(effect.request)):
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


@keys_masked
def drive(steps: Steps[Value], handler: Handler) -> Value:
    """Run steps synchronously and return their result."""
    with handler.scope():
        try:
            effect = next(steps)
            while True:
                reply = None
                try:
                    reply = handler.do(effect)
                except Exception as error:  # noqa: BLE001  # the steps say what an error leads to
                    effect = steps.throw(error)
                else:
                    effect = steps.send(reply)
        except StopIteration as end:
            value: Value = end.value
            return value


@keys_masked
async def adrive(steps: Steps[Value], handler: Handler) -> Value:
    """Async version of `drive`."""
    with handler.scope():
        try:
            effect = next(steps)
            while True:
                reply = None
                try:
                    reply = await handler.ado(effect)
                except Exception as error:  # noqa: BLE001  # the steps say what an error leads to
                    effect = steps.throw(error)
                else:
                    effect = steps.send(reply)
        except StopIteration as end:
            value: Value = end.value
            return value


def solve(
    query: Query | str,
    router: RouterLike,
    executor: ExecutorLike,
    *,
    max_turns: int = MAX_TURNS,
    hold_back_s: float | None = HOLD_BACK_S,
    store: StoreLike | None = None,
    limits: Limits | None = None,
) -> Trajectory:
    """Run the loop until there is an answer.

    Args:
        query: the query.
        router: the `Router` that decides.
        executor: the `Executor` that runs pairs.
        max_turns: maximum number of turns (calls and thoughts) before the loop ends.
        hold_back_s: seconds to hold a reply back from an enclosing graph's stream; see `Handler`.
        store: keeps decisions and what came of them, such as a `Store`; None keeps nothing.
        limits: limits that hold over many calls, counted in the store; see ``docs/limits.md``.

    Returns:
        The trajectory; its last step is the decision to answer.

    Raises:
        SettingError: `max_turns` is below 1.
        AtlasError: the router could not decide.
    """
    quota = as_quota(limits, store, executor.pairs)
    handler = Handler(router, executor, max_turns, hold_back_s=hold_back_s, store=store, quota=quota)
    query = suiting(as_query(query), router, executor)
    return solve_run(query, lambda: drive(turns(query), handler))


async def asolve(
    query: Query | str,
    router: RouterLike,
    executor: ExecutorLike,
    *,
    max_turns: int = MAX_TURNS,
    hold_back_s: float | None = HOLD_BACK_S,
    store: StoreLike | None = None,
    limits: Limits | None = None,
) -> Trajectory:
    """Async version of `solve`."""
    quota = as_quota(limits, store, executor.pairs)
    handler = Handler(router, executor, max_turns, hold_back_s=hold_back_s, store=store, quota=quota)
    query = suiting(as_query(query), router, executor)
    return await asolve_run(query, lambda: adrive(turns(query), handler))
