"""What a user writes: limits that hold over many calls, and how long a failing model is left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_atlas.amounts import Caps
from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.loop.limits.ledger import MemoryLedger
from langchain_atlas.pool.pairs import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Query

Away = Literal["refuse", "allow"]
"""What happens while the store can't be reached."""

SCOPES = ("day", "user", "thread", "run")
"""What a limit can be for: everybody's day, a user's day, a thread, a run."""


@dataclass(frozen=True)
class Limits:
    """Limits on what many calls may take together, and on which members may be called.

    Give them to an integration: ``AtlasNode(router, executor, store=..., limits=Limits(day_usd=20))``. With a store,
    they hold for all processes that use it; without one, for all integrations that are given this object.

    A day is a day in UTC. Users, threads and runs are named by the config: ``{"configurable": {"user_id": ...,
    "thread_id": ..., "run_id": ...}}``; subgraphs and agents within a run inherit the names.

    Members are pairs (``model@@tool``), or models, which means all their pairs.

    Raises:
        SettingError: a value is out of range.
    """

    day_usd: float | None = None
    """Dollars that all calls of a day may cost together; None for no limit, as for all that follow."""
    day_s: float | None = None
    """Seconds that all calls of a day may take together."""
    day_calls: int | None = None
    """Number of calls of pairs in a day."""
    user_usd: float | None = None
    """Dollars for a user and a day."""
    user_s: float | None = None
    """Seconds for a user and a day."""
    user_calls: int | None = None
    """Calls for a user and a day."""
    thread_usd: float | None = None
    """Dollars for a thread."""
    thread_s: float | None = None
    """Seconds for a thread."""
    thread_calls: int | None = None
    """Calls for a thread."""
    run_usd: float | None = None
    """Dollars for a run."""
    run_s: float | None = None
    """Seconds for a run."""
    run_calls: int | None = None
    """Calls for a run."""
    unknown_usd: float | None = None
    """Dollars that a call counts as if neither its cost nor an expectation of it is known; a decision of unknown cost
    too, where the router asks a model. With None, such a pair is not called where a limit on dollars is set."""
    members: Collection[str] | None = None
    """Members that may be called; None for all."""
    user_members: Mapping[str, Collection[str]] | None = None
    """Members that single users may be given, by the user's id; the others may be given all."""
    private_members: Collection[str] | None = None
    """Members that private queries may be sent to. With None, private queries are refused. A model means those of its
    pairs whose tool stays in this process (none, calculator, Python, OCR); others are named as pairs."""
    private_services: Collection[str] | None = None
    """Models and services besides the pairs that may see private queries, by name: the model that a router asks, an
    encoder that calls a service, a judge. Those that run in this process may see any."""
    private: Callable[[Query], bool] | None = None
    """Whether a query is private, in addition to those that the application marks (``context={"private": True}``)."""
    cooldown_s: float | None = None
    """Seconds for which a model is left out after it failed; None never leaves one out."""
    cooldown_after: int = 3
    """Number of failures in a row, not more than `cooldown_s` apart, after which a model is left out."""
    if_store_is_away: Away = "refuse"
    """While the store can't be reached: ``refuse`` calls, or ``allow`` them within this process's own count."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            number = one.name.endswith(("_usd", "_s", "_calls")) or one.name == "cooldown_after"
            if not number or (value is None and one.name != "cooldown_after"):
                continue
            whole = one.name.endswith(("_calls", "_after"))
            least = 1 if one.name == "cooldown_after" else 0
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not value >= least:
                raise SettingError(
                    f"{one.name} is {value!r}; it must be a {'whole ' * whole}number from {least}"
                    f"{'' if one.name == 'cooldown_after' else ', or None'}."
                )
        if self.if_store_is_away not in get_args(Away):
            raise SettingError(
                f"if_store_is_away is {self.if_store_is_away!r}. {suggest(self.if_store_is_away, get_args(Away))}"
            )
        if self.user_members is not None and not isinstance(self.user_members, Mapping):
            raise SettingError(
                f"user_members is {self.user_members!r}; it must give members by user, such as {{'guest': ['small']}}."
            )
        if self.private is not None and not callable(self.private):
            raise SettingError(f"private is {self.private!r}; it must be a function of the query, or None.")
        for name, given in (*self._lists.items(), ("private_services", self.private_services)):
            if given is not None and (isinstance(given, str) or not isinstance(given, Collection)):
                such = given if isinstance(given, str) else "small"
                raise SettingError(f"{name} is {given!r}; it must be a list of names, such as [{such!r}].")

    @cached_property
    def caps(self) -> dict[str, Caps]:
        """The limits by scope; only those scopes that have one."""
        found = {scope: Caps(*(getattr(self, f"{scope}_{unit}") for unit in ("usd", "s", "calls"))) for scope in SCOPES}
        return {scope: caps for scope, caps in found.items() if caps != Caps()}

    @cached_property
    def memory(self) -> MemoryLedger:
        """What this process used, where there is no store, or while it is away."""
        return MemoryLedger()

    @cached_property
    def private_viewers(self) -> frozenset[str]:
        """Names of all that may see a private query, besides what runs in this process."""
        return frozenset(map(str, (*(self.private_members or ()), *(self.private_services or ()))))

    @property
    def _lists(self) -> dict[str, Any]:
        """The lists of members by name."""
        lists: dict[str, Any] = {"members": self.members, "private_members": self.private_members}
        return lists | {f"user_members[{user!r}]": given for user, given in (self.user_members or {}).items()}

    def check_members(self, pairs: Iterable[Pair]) -> None:
        """Make sure that all members are known.

        Args:
            pairs: the pairs that exist; with none, anything is accepted.

        Raises:
            SettingError: a member is not one of them, nor the model of one.
        """
        known = [*map(str, pairs)]
        known += dict.fromkeys(pair.partition(SEPARATOR)[0] for pair in known)
        for name, given in self._lists.items():
            for member in given or ():
                if known and str(member) not in known:
                    raise SettingError(f"{name} names {str(member)!r}. {suggest(str(member), known)}")


def among(pair: Pair, members: Collection[str]) -> bool:
    """Return whether a pair is one of the members, or its model is."""
    return any(str(member) in (pair.model, str(pair)) for member in members)
