"""Which pairs can answer a query, and which come last after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.errors import ConstraintError
from langchain_atlas.failures.kinds import is_of_provider

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from langchain_atlas.loop.contracts import ExecutorLike, RouterLike
    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Query, Trajectory


def suiting(
    query: Query,
    router: RouterLike,
    executor: ExecutorLike,
    able: frozenset[Pair] | None = None,
    *,
    beside: str = "",
    bound: Collection[Pair] = (),
) -> Query:
    """Return the query, restricted to pairs that can answer it.

    Three things are checked. What the request itself needs of a pair, such as accepting the caller's own tools, is
    mandatory (`able`). So are the pairs that the executor rules out (`Executor.unable`), for instance because they
    can't hold the query with its history and tools, or can't read its documents. What the executor says about images
    (`Executor.suited`) is a preference: if none of the router's pairs is declared to read them, the pairs are called
    anyway, because a model may read images without the pool saying so.

    Args:
        query: the query.
        router: the router that decides.
        executor: the executor that runs pairs.
        able: the pairs that can take the request at all; None for any.
        beside: text sent along that is not in the query, such as the caller's own tools as JSON.
        bound: pairs whose tools the caller runs.

    Raises:
        ConstraintError: the query allows none of the pairs that can take the request.
    """
    able = _left(query, router, able, executor.unable(query, beside=beside, bound=bound), executor)
    suited = executor.suited(query)
    if suited is None and able is None:
        return query
    known, wanted = frozenset(router.pairs), query.constraints.pairs
    allowed = wanted if able is None else able if wanted is None else able & wanted
    if able is not None and (not allowed or (known and known.isdisjoint(allowed))):
        names = ", ".join(sorted(map(str, known or able))[:4])
        raise ConstraintError(
            f"None of the pairs {names} can take this request: it brings tools of its own, needs tools that somebody "
            "else runs, names a model, or allows other pairs only."
        )
    if suited is not None:
        fitting = suited if allowed is None else suited & allowed
        if fitting and not (known and known.isdisjoint(fitting)):
            allowed = fitting
    return query if allowed is wanted else query.replace(constraints=query.constraints.replace(pairs=allowed))


def _left(
    query: Query,
    router: RouterLike,
    able: frozenset[Pair] | None,
    unable: Mapping[Pair, str],
    executor: ExecutorLike,
) -> frozenset[Pair] | None:
    """Return the pairs that can take the request.

    Raises:
        ConstraintError: there is none; the message says why.
    """
    if not unable:
        return able
    wanted, known = query.constraints.pairs, frozenset(router.pairs) or frozenset(executor.pairs)
    asked = (known if able is None else able & known) if wanted is None else wanted & known
    left = (known if able is None else able) - unable.keys()
    if asked and asked.isdisjoint(left) and not asked.isdisjoint(unable):
        reasons = dict.fromkeys(unable[pair] for pair in sorted(asked, key=str) if pair in unable)
        raise ConstraintError(f"No pair can take this query: {'; '.join(list(reasons)[:3])}.")
    return left


def elsewhere(query: Query, trajectory: Trajectory, router: RouterLike, executor: ExecutorLike) -> Query:
    """Return the query, marked with the pairs to avoid: those whose provider failed earlier in the trajectory.

    A provider that is unreachable, is overloaded or rejects the key will fail for its other models too.

    Args:
        query: the query.
        trajectory: the steps taken for it so far.
        router: the router that decides.
        executor: the executor that runs pairs.
    """
    provider = getattr(executor, "provider", lambda _: None)
    failed = {provider(seen.pair) for seen in trajectory.observations if seen.failed and is_of_provider(seen)}
    failed.discard(None)
    if not failed:
        return query
    return query.replace(avoid=frozenset(pair for pair in router.pairs if provider(pair) in failed))
