"""Who may see a query: which pairs it may be sent to, and whether it is private."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import LimitError, SettingError
from langchain_atlas.loop.limits.cooldowns import callable_pairs
from langchain_atlas.loop.limits.scopes import named, unnamed
from langchain_atlas.loop.limits.settings import among

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from langchain_atlas.loop.limits.settings import Limits
    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Query


class MemberRules:
    """The rules of `Limits` on members and private queries, for one trajectory.

    Args:
        limits: the limits.
        pairs: the router's pairs; empty if it accepts any.
        stays_here: whether a pair's tool shows a query to nobody; None if that does not matter.
    """

    def __init__(self, limits: Limits, pairs: tuple[Pair, ...], stays_here: Callable[[Pair], bool] | None) -> None:
        self._limits = limits
        self._pairs = pairs
        self._stays_here = stays_here
        self._is_private = False
        self._looked_at: Query | None = None

    def narrowed(self, query: Query) -> Query:
        """Return the query, restricted to the members that may have it.

        Raises:
            LimitError: there is none.
        """
        query = self.marked(query)
        lists = self._lists(query)
        if not lists:
            return query
        known = callable_pairs(query, self._pairs)
        allowed = frozenset(pair for pair in known if self._refusal(pair, lists) is None)
        if known and not allowed:
            by_tool = next(
                (pair for pair in sorted(known, key=str) if all(map(partial(among, pair), lists.values()))), None
            )
            why = "" if by_tool is None else f" {self._refusal(by_tool, lists)}"
            raise LimitError(
                f"None of the pairs {', '.join(sorted(map(str, known))[:4])} is among the {' and the '.join(lists)}, "
                f"to which this query may be sent.{why}"
            )
        if not allowed or len(allowed) == len(known):
            return query
        return query.replace(constraints=query.constraints.replace(pairs=allowed))

    def _lists(self, query: Query) -> dict[str, Any]:
        """Return the lists of members that apply to a query, by name."""
        limits = self._limits
        lists: dict[str, Any] = {}
        if limits.members is not None:
            lists["members"] = limits.members
        if limits.user_members is not None:
            user = named("user")
            if user is None:
                raise SettingError(unnamed("user", "user_members"))
            if user in limits.user_members:
                lists[f"user_members[{user!r}]"] = limits.user_members[user]
        if self.marked(query).private:
            lists["private_members"] = () if limits.private_members is None else limits.private_members
        return lists

    def marked(self, query: Query) -> Query:
        """Return the query, marked as private if it is, with the names of those that may see it.

        Once a query of the trajectory is private, all are: what a router makes of it may not look like it any more.
        """
        if not self._is_private and query is not self._looked_at:
            self._looked_at, function = query, self._limits.private
            self._is_private = query.private or (function is not None and bool(function(query)))
        viewers = self._limits.private_viewers
        if not self._is_private or (query.private and query.seen_by == viewers):
            return query
        return query.replace(private=True, seen_by=viewers)

    def _refusal(self, pair: Pair, lists: Mapping[str, Collection[str]]) -> str | None:
        """Return why a pair may not be asked; None if it may."""
        for name, members in lists.items():
            if not among(pair, members):
                return f"{pair} is not one of {name}, so it is not asked."
            by_model = name == "private_members" and str(pair) not in map(str, members)
            if by_model and self._stays_here is not None and not self._stays_here(pair):
                return (
                    f"{name} has the model of {pair}, but its tool may show the query elsewhere, so it is not asked. "
                    f"Name the pair if it may: private_members=[{str(pair)!r}]."
                )
        return None

    def check(self, pair: Pair, query: Query) -> None:
        """Make sure that a query may be sent to a pair.

        Raises:
            LimitError: it may not.
        """
        refusal = self._refusal(pair, self._lists(query))
        if refusal is not None:
            raise LimitError(refusal)
