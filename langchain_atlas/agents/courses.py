"""What a door does for one model call, written down once for its synchronous and its asynchronous form.

A course is a generator. It yields what it wishes to be done (ask the router, run a pair, reach a model, call it), is
sent what came of it or has the error raised where it stands, and returns the reply.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langgraph.errors import GraphBubbleUp

from langchain_atlas.errors import ExecutionError
from langchain_atlas.loop import adecide, aexecute, decide, execute, limited
from langchain_atlas.trajectory import Observation

if TYPE_CHECKING:
    from langchain_atlas.execution.live import LiveExecutor
    from langchain_atlas.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Decision, Query, Trajectory


@dataclass(frozen=True)
class Decide:
    """A wish to have the router decide."""

    query: Query
    """What is asked."""
    trajectory: Trajectory
    """What was decided and seen so far."""


@dataclass(frozen=True)
class Run:
    """A wish to have the executor run a pair."""

    pair: Pair
    """The pair."""
    query: Query
    """What it is asked."""


@dataclass(frozen=True)
class Reach:
    """A wish for the chat model that reaches a model of the pool."""

    model: str
    """Its name."""


@dataclass(frozen=True)
class Call:
    """A wish to call a model, in the way of the door."""

    request: Any
    """What the door's own caller takes."""
    live: bool = False
    """Whether its reply is sure to be the door's, so that it can be streamed as it comes."""


Wish = Decide | Run | Reach | Call
Course = Generator[Wish, Any, Any]
"""Yields wishes, is sent what came of them, returns the door's reply."""


def decided(query: Query, trajectory: Trajectory, max_turns: int) -> Course:
    """Have the router decide until it is done thinking; the course's value is the decision and the trajectory."""
    while True:
        decision: Decision = limited((yield Decide(query, trajectory)), trajectory, max_turns)
        if decision.kind != "think":
            return decision, trajectory
        trajectory = trajectory.then(decision)


@dataclass(frozen=True)
class Whole:
    """What a stream ends with: all of it."""

    value: Any
    """What the course returned, or the reply that the chunks make up."""


class BrokenStreamError(ExecutionError):
    """A reply broke off after some of it was streamed; another can't take its place."""


def failed_observation(pair: Pair, error: Exception) -> Observation:
    """Return what is observed of a call that raised.

    Raises:
        GraphBubbleUp: that is what it raised; an interrupt of the graph is no failure.
        BrokenStreamError: likewise; it can't be made good by another call.
    """
    if isinstance(error, GraphBubbleUp | BrokenStreamError):
        raise error
    return Observation(pair=pair, error=f"{type(error).__name__}: {error}")


def stream_out(
    course: Course, do: Callable[[Any], Any], flow: Callable[[Any], Iterator[Any]]
) -> Generator[Any, None, None]:
    """Carry a course out in the foreground, and yield the chunks of its live calls, and then a `Whole`.

    Args:
        course: the course.
        do: does what a wish says; see `Hands`.
        flow: streams a request: yields its chunks, and then a `Whole`.
    """
    try:
        wish = next(course)
        while True:
            reply = None
            try:
                if isinstance(wish, Call) and wish.live:
                    for item in flow(wish.request):
                        if isinstance(item, Whole):
                            reply = item.value
                        else:
                            yield item
                else:
                    reply = do(wish)
            except Exception as error:  # noqa: BLE001  # the course says what an error leads to
                wish = course.throw(error)
            else:
                wish = course.send(reply)
    except StopIteration as end:
        yield Whole(end.value)


async def astream_out(
    course: Course, do: Callable[[Any], Awaitable[Any]], flow: Callable[[Any], AsyncIterator[Any]]
) -> AsyncGenerator[Any, None]:
    """Do what `stream_out` does on the event loop."""
    try:
        wish = next(course)
        while True:
            reply = None
            try:
                if isinstance(wish, Call) and wish.live:
                    async for item in flow(wish.request):
                        if isinstance(item, Whole):
                            reply = item.value
                        else:
                            yield item
                else:
                    reply = await do(wish)
            except Exception as error:  # noqa: BLE001  # the course says what an error leads to
                wish = course.throw(error)
            else:
                wish = course.send(reply)
    except StopIteration as end:
        yield Whole(end.value)


def carry_out(course: Course, do: Callable[[Any], Any]) -> Any:
    """Carry a course out in the foreground.

    Args:
        course: the course.
        do: does what a wish says; see `Hands`.
    """

    def flow(request: Any) -> Iterator[Whole]:
        yield Whole(do(Call(request)))

    (last,) = stream_out(course, do, flow)
    return last.value


async def acarry_out(course: Course, do: Callable[[Any], Awaitable[Any]]) -> Any:
    """Do what `carry_out` does on the event loop."""

    async def flow(request: Any) -> AsyncIterator[Whole]:
        yield Whole(await do(Call(request)))

    (last,) = [item async for item in astream_out(course, do, flow)]
    return last.value


@dataclass(frozen=True)
class Hands:
    """Does what courses wish."""

    router: Router
    """Who decides."""
    executor: LiveExecutor
    """Who runs pairs and knows the chat models."""
    call: Callable[[Any], Any]
    """Calls a model; for `ado`, it returns something to await."""

    def do(self, wish: Wish) -> Any:
        """Do what a wish says."""
        match wish:
            case Decide(query, trajectory):
                return decide(self.router, query, trajectory)
            case Run(pair, query):
                return execute(self.executor, pair, query)
            case Reach(model):
                return self.executor.chat_model(model)
            case Call(request):
                return self.call(request)

    async def ado(self, wish: Wish) -> Any:
        """Do what a wish says on the event loop."""
        match wish:
            case Decide(query, trajectory):
                return await adecide(self.router, query, trajectory)
            case Run(pair, query):
                return await aexecute(self.executor, pair, query)
            case Reach(model):
                return await self.executor.achat_model(model)
            case Call(request):
                return await self.call(request)
