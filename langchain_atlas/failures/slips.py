"""Callers' mistakes that can be detected before anything runs: arguments in the wrong place or of the wrong type."""

from __future__ import annotations

from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.pool.pairs import Pair, as_pair
from langchain_atlas.trajectory import START, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable


def check_sides(router: Any, executor: Any) -> None:
    """Make sure that the router argument is a router and the executor argument an executor.

    Raises:
        InvalidInputError: one of them is not; the message says so if the two are swapped.
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
    """Return the query given to a router or an executor as a `Query`; a text is converted.

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
    """Return the trajectory unchanged if it is one.

    Raises:
        InvalidInputError: it is not a `Trajectory`.
    """
    if isinstance(given, Trajectory):
        return given
    raise InvalidInputError(
        f"The trajectory is {_named(given)}; it must be a Trajectory. It comes second: decide(query, trajectory)."
    )


def as_first_pair(given: Any) -> Pair:
    """Return a pair unchanged, or parse one from its written form.

    Raises:
        PoolError: the text is not a pair.
        InvalidInputError: it is neither.
    """
    if isinstance(given, Pair | str):
        return as_pair(given)
    raise InvalidInputError(
        f"The pair is {_named(given)}; it must be a Pair, or written 'model@@tool'. It comes first: run(pair, query)."
    )


def deciding(decide: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a router's `decide` or `adecide` so that its arguments are checked first."""
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
    """Wrap an executor's `run` or `arun` so that its arguments are checked first."""
    if iscoroutinefunction(run):

        @wraps(run)
        async def achecked(self: Any, pair: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            return await run(self, as_first_pair(pair), as_query(query), *args, **kwargs)

        return achecked

    @wraps(run)
    def checked(self: Any, pair: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        return run(self, as_first_pair(pair), as_query(query), *args, **kwargs)

    return checked


def check_methods(cls: type, names: tuple[str, ...], check: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Wrap the methods that a class itself defines so that they check their arguments; abstract ones are skipped."""
    for name in names:
        method = vars(cls).get(name)
        if callable(method) and not getattr(method, "__isabstractmethod__", False):
            setattr(cls, name, check(method))


def _named(given: Any) -> str:
    """Describe a given value briefly: a text or a number as it is, anything else by its type."""
    if given is None or isinstance(given, int | float):
        return repr(given)
    if isinstance(given, str):
        return repr(given if len(given) < 80 else f"{given[:77]}...")  # noqa: PLR2004  # enough to recognise it
    if isinstance(given, type):
        return f"the class {given.__name__}, not an instance of it"
    return f"a {type(given).__name__}"
