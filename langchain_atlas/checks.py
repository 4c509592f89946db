"""Slips of a caller that can be told before anything runs: what is given in the wrong place or the wrong form."""

from __future__ import annotations

from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.pairs import Pair
from langchain_atlas.trajectory import START, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable


def check_sides(router: Any, executor: Any) -> None:
    """Make sure that a router stands where the router belongs, and an executor where the executor does.

    Raises:
        InvalidInputError: one does not; the message says so where the two are swapped.
    """
    wrong = [
        f"the {side} is {_named(given)}, which can't {verb}"
        for side, given, verb in (("router", router, "decide"), ("executor", executor, "run"))
        if given is not None and (isinstance(given, type) or not callable(getattr(given, verb, None)))
    ]
    if not wrong:
        return
    swapped = callable(getattr(router, "run", None)) and callable(getattr(executor, "decide", None))
    advice = (
        "They are swapped: the router comes first, then the executor." if swapped else "Give a router and an executor."
    )
    told = "; ".join(wrong)
    raise InvalidInputError(f"{told[0].upper()}{told[1:]}. {advice}")


def as_query(given: Any) -> Query:
    """Return what a router or an executor is asked as a `Query`; a text is made into one.

    Raises:
        InvalidInputError: it is neither.
    """
    if isinstance(given, Query):
        return given
    if isinstance(given, str):
        return Query(text=given)
    raise InvalidInputError(
        f"The query is {_named(given)}; it must be a Query or a text. Messages are read by 'invoke', and by AtlasChain."
    )


def as_trajectory(given: Any) -> Trajectory:
    """Return what was done so far, if that is what it is.

    Raises:
        InvalidInputError: it is no `Trajectory`.
    """
    if isinstance(given, Trajectory):
        return given
    raise InvalidInputError(
        f"The trajectory is {_named(given)}; it must be a Trajectory. It comes second: decide(query, trajectory)."
    )


def as_pair(given: Any) -> Pair:
    """Return a pair as it is, or read one from its written form.

    Raises:
        PoolError: the text is no pair.
        InvalidInputError: it is neither.
    """
    if isinstance(given, Pair):
        return given
    if isinstance(given, str):
        return Pair.parse(given)
    raise InvalidInputError(
        f"The pair is {_named(given)}; it must be a Pair, or written 'model@@tool'. It comes first: run(pair, query)."
    )


def deciding(decide: Callable[..., Any]) -> Callable[..., Any]:
    """Check what a router's `decide` or `adecide` is given, before it sees it."""
    if iscoroutinefunction(decide):

        @wraps(decide)
        async def achecked(self: Any, query: Any, trajectory: Any = START, *args: Any, **kwargs: Any) -> Any:
            return await decide(self, as_query(query), as_trajectory(trajectory), *args, **kwargs)

        return achecked

    @wraps(decide)
    def checked(self: Any, query: Any, trajectory: Any = START, *args: Any, **kwargs: Any) -> Any:
        return decide(self, as_query(query), as_trajectory(trajectory), *args, **kwargs)

    return checked


def running(run: Callable[..., Any]) -> Callable[..., Any]:
    """Check what an executor's `run` or `arun` is given, before it sees it."""
    if iscoroutinefunction(run):

        @wraps(run)
        async def achecked(self: Any, pair: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            return await run(self, as_pair(pair), as_query(query), *args, **kwargs)

        return achecked

    @wraps(run)
    def checked(self: Any, pair: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        return run(self, as_pair(pair), as_query(query), *args, **kwargs)

    return checked


def check_methods(cls: type, names: tuple[str, ...], check: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Have the methods that a class writes itself check what they are given; abstract ones are left alone."""
    for name in names:
        method = vars(cls).get(name)
        if callable(method) and not getattr(method, "__isabstractmethod__", False):
            setattr(cls, name, check(method))


def _named(given: Any) -> str:
    """Write what was given, shortly: a text or a number as it is, anything else by its type."""
    if given is None or isinstance(given, int | float):
        return repr(given)
    if isinstance(given, str):
        return repr(given if len(given) < 80 else f"{given[:77]}...")  # noqa: PLR2004  # enough to know it by
    if isinstance(given, type):
        return f"the class {given.__name__}, and not one that was made of it"
    return f"a {type(given).__name__}"
