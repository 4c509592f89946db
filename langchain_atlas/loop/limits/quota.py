"""Limits with the ledger that they are counted in."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_atlas.errors import LimitError, OutcomeError, SettingError
from langchain_atlas.loop.limits.settings import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from langchain_atlas.loop.limits.ledger import LimitLedger
    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Query

Value = TypeVar("Value")

_SCOPES_OF_ONE = ("user", "thread", "run")
_UNITS = ("usd", "s", "calls")


@dataclass(frozen=True)
class Quota:
    """Limits, and the ledger in which they are counted."""

    limits: Limits
    """The limits."""
    ledger: LimitLedger
    """What was used of them."""

    def tried(self, work: Callable[[LimitLedger], Value]) -> Value:
        """Return what some work on the ledger returns.

        Raises:
            LimitError: the store can't be reached, and calls are refused then.
        """
        try:
            return work(self.ledger)
        except OutcomeError as error:
            if self.limits.if_store_is_away == "allow":
                return work(self.limits.memory)
            raise LimitError(
                f"Limits are set, and what was used of them can't be read or written, so no pair is called. {error} "
                "With if_store_is_away='allow', this process would count alone meanwhile."
            ) from error

    def of_the_day(self) -> Quota | None:
        """Return what calls count in that nobody asked for, such as a candidate's: the day alone; None if it is open.

        A user, a thread or a run pays for what it asks. Failures of such calls leave no model out.
        """
        if "day" not in self.limits.caps:
            return None
        unset: dict[str, Any] = {f"{scope}_{unit}": None for scope in _SCOPES_OF_ONE for unit in _UNITS}
        # Whose query it is has been looked at where it was decided.
        day = replace(self.limits, **unset, user_members=None, cooldown_s=None, if_store_is_away="refuse")
        return Quota(day, self.ledger)


_DECIDING: ContextVar[Quota | None] = ContextVar("langchain_atlas_deciding", default=None)


@contextmanager
def deciding_within(quota: Quota) -> Iterator[None]:
    """Let a router that decides inside the block see within which limits; see `quota_of_decision`."""
    token = _DECIDING.set(quota)
    try:
        yield
    finally:
        _DECIDING.reset(token)


def quota_of_decision() -> Quota | None:
    """Return the limits within which the decision that is being made is acted on; None without any."""
    return _DECIDING.get()


def as_quota(limits: Any, store: Any = None, pairs: Iterable[Pair] = ()) -> Quota | None:
    """Return the limits that an integration was given, with the ledger to count them in.

    Args:
        limits: `Limits`; None for none.
        store: the store that holds the ledger; without one, it is in memory.
        pairs: the pairs that exist.

    Raises:
        SettingError: it is not `Limits`, or it names members that do not exist.
    """
    if limits is None:
        return None
    if not isinstance(limits, Limits):
        raise SettingError(f"limits is {limits!r}; give Limits, such as Limits(day_usd=20).")
    limits.check_members(pairs)
    ledger = None if store is None else getattr(store, "ledger", None)
    return Quota(limits, limits.memory if ledger is None else ledger)


def needs_limits(query: Query) -> None:
    """Make sure that a query may be decided on where there are no limits.

    Raises:
        LimitError: it is marked private.
    """
    if query.private:
        raise LimitError(
            "The query is marked private, and nothing says which members may see it. Give the integration "
            "limits=Limits(private_members=[...])."
        )
