"""Keeps the calls of a trajectory within limits that hold over many: `Limits`, counted in a `LimitLedger`.

See ``docs/limits.md``. The loop's `Handler` asks before each decision, and before and after each call.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from langchain_core.utils.uuid import uuid7

from langchain_atlas.amounts import Caps, Use
from langchain_atlas.errors import ConstraintError, LimitError, SettingError
from langchain_atlas.failures.kinds import failed_call
from langchain_atlas.loop.limits.cooldowns import is_for_a_while, rested
from langchain_atlas.loop.limits.members import MemberRules
from langchain_atlas.loop.limits.pair_budget import Budget
from langchain_atlas.loop.limits.scopes import named, storable, unnamed
from langchain_atlas.loop.limits.trajectory_limits import SPENT, dollars_used
from langchain_atlas.trajectory import last_answer, with_all_spent

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from langchain_atlas.loop.limits.quota import Quota
    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory

_LOG = logging.getLogger(__name__)
_LIMIT = f"{LimitError.__module__}:{LimitError.__qualname__}"
_UNITS = {"usd": "dollars", "s": "seconds", "calls": "calls"}


class Meter:
    """Keeps one trajectory within a quota.

    Args:
        quota: the quota.
        pairs: the router's pairs; empty if it accepts any.
        stays_here: whether a pair's tool shows a query to nobody.
    """

    def __init__(self, quota: Quota, pairs: tuple[Pair, ...], stays_here: Callable[[Pair], bool] | None = None) -> None:
        self._quota = quota
        self._limits = quota.limits
        self._pairs = pairs
        self._name = ""
        self._each: float | None = None
        self._left: Caps = Caps()
        self._tightest = ""
        self._is_charged = False
        self._members = MemberRules(self._limits, pairs, stays_here)

    def deciding(self, query: Query, trajectory: Trajectory) -> Generator[Query, Decision, Decision]:
        """Have a decision made that the limits allow.

        Returns:
            A generator that yields queries to decide on, is sent the decision or has the router's `ConstraintError`
            raised in it, and returns the decision.

        Raises:
            LimitError: a limit is reached, and there is no answer yet.
            SettingError: a limit is for a user, a thread or a run, and the config names none.
        """
        wide, caps = self._members.narrowed(query), self._caps()
        try:
            decision = yield from self._chosen(wide, trajectory)
        except ConstraintError as error:
            refused = _last_refusal(trajectory)
            if refused is None:
                raise
            return _end(trajectory, f"{refused} {error}")
        if not caps:
            return decision
        try:
            self._count_deciding(decision, caps)
        except LimitError as error:
            return _end(trajectory, str(error), decision)
        if decision.pair is not None:
            decision = yield from self._fitting(decision, caps, wide, trajectory)
        return decision

    def count(self, decision: Decision) -> None:
        """Count the dollars of a decision that is acted on elsewhere, if its router asked a model. Never raises."""
        caps = self._caps()
        if caps:
            try:
                self._count_deciding(decision, caps)
            except LimitError as error:
                _LOG.warning("What a decision took could not be counted. %s", error)

    def _count_deciding(self, decision: Decision, caps: dict[str, Caps]) -> None:
        """Count the dollars of the router's own models, whatever they decided: they are spent already.

        Raises:
            LimitError: they are not known, and dollars are limited.
        """
        if decision.spent is None:
            return
        usd = self._limits.unknown_usd if decision.spent.cost_usd is None else decision.spent.cost_usd
        if usd is None and self._needs_dollars:
            raise LimitError(
                f"{self._dollar_limit} is set, and nothing is known of what the router's own model costs. Give its "
                "prices, or say with unknown_usd what a decision counts as."
            )
        name, took = str(uuid7()), Use(usd=usd or 0.0)
        try:
            self._quota.tried(lambda ledger: ledger.charge(name, took, dict.fromkeys(caps, Caps())))
            self._quota.tried(lambda ledger: ledger.settle(name, took))
        except LimitError as error:
            _LOG.warning("What a decision took could not be counted. %s", error)

    def _chosen(
        self, wide: Query, trajectory: Trajectory, left: Caps | None = None
    ) -> Generator[Query, Decision, Decision]:
        """Have a decision made without the models that failed lately; one of these is better than none.

        Args:
            wide: the query, for any model.
            trajectory: the steps so far.
            left: what a call may take at most; None for what the query says.
        """
        first = self._rested(wide, trajectory)
        try:
            return (yield first if left is None else _within(first, trajectory, left))
        except ConstraintError:
            if first is wide:
                raise
        return (yield wide if left is None else _within(wide, trajectory, left))

    def _fitting(
        self, decision: Decision, caps: dict[str, Caps], wide: Query, trajectory: Trajectory
    ) -> Generator[Query, Decision, Decision]:
        """Return a decision if its call fits into the limits, or else have one made whose call does."""
        try:
            used = self._quota.tried(lambda ledger: ledger.used(caps))
        except LimitError as error:
            return _end(trajectory, str(error), decision)
        full = _full(caps, used, Use(calls=1))
        if full is not None:
            return _end(trajectory, self._said(*full, used[full[0]]), decision)
        full = _full(caps, used, self._expected(decision) or Use(usd=float("inf"), calls=1))
        if full is None:
            return decision
        said = self._said(*full, used[full[0]])
        try:
            other = yield from self._chosen(wide, trajectory, _left(caps, used))
            self._count_deciding(other, caps)
        except ConstraintError as error:
            return _end(trajectory, f"{said} {error}", decision)
        return with_all_spent(other, decision, other)

    def charge(self, query: Query, decision: Decision) -> Observation | None:
        """Charge a call that is about to be made.

        Returns:
            None if it may be made; else the observation of a call that failed before anybody was called.

        Raises:
            SettingError: as for `deciding`.
        """
        pair = decision.pair
        assert pair is not None  # noqa: S101  # only such decisions are acted on
        self._is_charged, self._left = False, Caps()
        try:
            self._members.check(pair, query)
        except LimitError as error:
            return _refused(pair, error)
        caps = self._caps()
        if not caps:
            return None
        expected = self._expected(decision)
        if expected is None:
            return _refused(pair, LimitError(_unpriced(pair, self._dollar_limit)))
        self._name = decision.id or str(uuid7())
        try:
            full = self._quota.tried(lambda ledger: ledger.charge(self._name, expected, caps))
            used = self._quota.tried(lambda ledger: ledger.used(caps))
        except LimitError as error:
            return _refused(pair, error)
        if full is not None:
            unit = (*caps[full].passed(used[full], expected), "usd")[0]
            return _refused(pair, LimitError(self._said(full, unit, used[full])))
        self._is_charged = True
        before = {scope: use.less(expected) for scope, use in used.items()}
        self._left, self._tightest = _left(caps, before), _tightest(caps, before)
        return None

    def is_priced(self, decision: Decision) -> bool:
        """Whether it is known, or settled, what a call counts as; always true where dollars are not limited."""
        return self._expected(decision) is not None

    def settle(self, decision: Decision, observation: Observation) -> None:
        """Count what a call took, and whether its model failed. Never raises."""
        try:
            if self._is_charged:
                took = self._took(decision, observation)
                self._is_charged = False
                self._quota.tried(lambda ledger: ledger.settle(self._name, took))
            if self._limits.cooldown_s is not None:
                self._note(observation, self._limits.cooldown_s)
        except LimitError as error:
            _LOG.warning("What a call took could not be counted; it counts as expected. %s", error)
        finally:
            self._left = Caps()

    def marked(self, query: Query) -> Query:
        """Return the query, marked as private if it is; see `MemberRules.marked`."""
        return self._members.marked(query)

    def seconds(self, seconds: float | None) -> float | None:
        """Return how many seconds the charged call may take, of which its query leaves so many."""
        left = self._left.seconds
        return seconds if left is None else left if seconds is None else min(left, seconds)

    def budget(self, budget: Budget | None) -> Budget | None:
        """Return how many dollars the charged call may take, of which its query leaves so many."""
        left = self._left.usd
        if left is None or (budget is not None and budget.usd <= left):
            return budget
        return Budget(left, self._each if budget is None else budget.expected_usd, self._tightest)

    @property
    def waits(self) -> bool:
        """Whether its methods may wait for a database."""
        return self._quota.ledger.waits

    def _rested(self, query: Query, trajectory: Trajectory) -> Query:
        if self._limits.cooldown_s is None:
            return query
        try:
            failing = self._quota.tried(lambda ledger: ledger.failing())
        except LimitError as error:
            _LOG.warning("Which models are left out is not known, so none is. %s", error)
            return query
        return rested(query, trajectory, self._pairs, failing)

    def _note(self, observation: Observation, cooldown_s: float) -> None:
        """Note whether a pair's model failed."""
        model, after = observation.pair.model, self._limits.cooldown_after
        if is_for_a_while(observation):
            self._quota.tried(lambda ledger: ledger.failed(model, cooldown_s, after))
        elif not observation.failed and model in self._quota.tried(lambda ledger: ledger.failing()):
            self._quota.tried(lambda ledger: ledger.answered(model))

    def _caps(self) -> dict[str, Caps]:
        """Return the limits by the names of what they are for, such as ``day:2026-03-01``.

        Raises:
            SettingError: the config does not name it.
        """
        today = datetime.now(UTC).date().isoformat()
        caps: dict[str, Caps] = {}
        for scope, cap in self._limits.caps.items():
            if scope == "day":
                caps[f"day:{today}"] = cap
                continue
            name = named(scope)
            if name is None:
                units = zip(("usd", "s", "calls"), cap, strict=True)
                raise SettingError(unnamed(scope, *(f"{scope}_{unit}" for unit, value in units if value is not None)))
            name = storable(name)
            caps[f"{scope}:{today}:{name}" if scope == "user" else f"{scope}:{name}"] = cap
        return caps

    @property
    def _needs_dollars(self) -> bool:
        return any(cap.usd is not None for cap in self._limits.caps.values())

    @property
    def _dollar_limit(self) -> str:
        """The name of the first limit on dollars."""
        return next(f"{scope}_usd" for scope, cap in self._limits.caps.items() if cap.usd is not None)

    def _expected(self, decision: Decision) -> Use | None:
        """Return what a call is expected to take; None if its dollars are limited and nothing is known of them."""
        chosen = decision.chosen
        each = None if chosen is None else chosen.expected_cost_usd
        self._each = self._limits.unknown_usd if each is None else each
        if self._each is None and self._needs_dollars:
            return None
        seconds = None if chosen is None else chosen.expected_latency_s
        return Use(self._each or 0.0, seconds or 0.0, 1)

    def _took(self, decision: Decision, observation: Observation) -> Use:
        expected = self._expected(decision) or Use()
        usd = observation.cost_usd
        if usd is None:
            usd = (self._each or 0.0) * max(1, observation.model_calls)
        seconds = expected.seconds if observation.latency_s is None else observation.latency_s
        return Use(usd, seconds, 1)

    def _said(self, scope: str, unit: str, used: Use) -> str:
        """Return the sentence that says which limit leaves no room."""
        kind = scope.partition(":")[0]
        name, amount = f"{kind}_{unit}", {"usd": used.usd, "s": used.seconds, "calls": used.calls}[unit]
        until = {"day": " today", "user": " by this user today"}.get(kind, f" in this {kind}")
        later = ", or wait for the next day (UTC)" if kind in ("day", "user") else ""
        limit = getattr(self._limits, name)
        return (
            f"{name} is {limit:g}, and {amount:.4g} {_UNITS[unit]} are used{until}, so this pair is not asked. "
            f"Raise {name}{later}."
        )


def _full(caps: dict[str, Caps], used: dict[str, Use], more: Use) -> tuple[str, str] | None:
    """Return the first scope without room, and which of its amounts that is; None if all have room."""
    for scope, cap in caps.items():
        units = cap.passed(used[scope], more)
        if units:
            return scope, units[0]
    return None


def _left(caps: dict[str, Caps], used: dict[str, Use]) -> Caps:
    """Return the least that is left in any scope."""
    usd = [max(0.0, cap.rounded_usd - used[scope].usd) for scope, cap in caps.items() if cap.usd is not None]
    seconds = [max(0.0, cap.seconds - used[scope].seconds) for scope, cap in caps.items() if cap.seconds is not None]
    return Caps(min(usd, default=None), min(seconds, default=None))


def _tightest(caps: dict[str, Caps], used: dict[str, Use]) -> str:
    """Return the name of the limit that leaves the fewest dollars; empty if none limits them."""
    left = {scope: cap.rounded_usd - used[scope].usd for scope, cap in caps.items() if cap.usd is not None}
    return f"{min(left, key=left.__getitem__).partition(':')[0]}_usd" if left else ""


def _within(query: Query, trajectory: Trajectory, left: Caps) -> Query:
    """Return the query with limits of its own that what is left allows."""
    limits = query.constraints
    changes: dict[str, float] = {}
    if left.usd is not None:
        most = (dollars_used(trajectory) or 0.0) + left.usd
        changes["max_cost_usd"] = most if limits.max_cost_usd is None else min(most, limits.max_cost_usd)
    if left.seconds is not None:
        most = sum(seen.latency_s or 0.0 for seen in trajectory.observations) + max(left.seconds, 1e-9)
        changes["max_latency_s"] = most if limits.max_latency_s is None else min(most, limits.max_latency_s)
    return query.replace(constraints=limits.replace(**changes))


def _end(trajectory: Trajectory, reason: str, decision: Decision | None = None) -> Decision:
    """Return the decision to give the answer that there is, in the place of one that a limit does not allow.

    Raises:
        LimitError: there is none.
    """
    if all(seen.failed for seen in trajectory.observations):
        raise LimitError(reason)
    return with_all_spent(last_answer(trajectory, rule=SPENT, reason=reason), decision)


def _last_refusal(trajectory: Trajectory) -> str | None:
    """Return why the last call of the trajectory that a limit did not allow was refused; None if there is none."""
    said = [seen.error for seen in trajectory.observations if _LIMIT in seen.error_types]
    return said[-1] if said else None


def _refused(pair: Pair, error: LimitError) -> Observation:
    return failed_call(pair, error, cost_usd=0.0, latency_s=0.0, model_calls=0)


def _unpriced(pair: Pair, limit: str) -> str:
    return (
        f"{limit} is set, and nothing is known of what {pair} costs, so it is not asked. Give the router outcomes with "
        "costs, or say with unknown_usd what such a call counts as."
    )
