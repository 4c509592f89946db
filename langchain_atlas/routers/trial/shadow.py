"""A candidate router that decides beside the live one, and is compared with it, before it decides anything."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from langchain_atlas.amounts import add_known
from langchain_atlas.errors import ArtifactError, ConstraintError, PoolError, SettingError
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.limits.meter import Meter
from langchain_atlas.loop.limits.quota import quota_of_decision
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS
from langchain_atlas.records import Record
from langchain_atlas.routers.trial.background import Background
from langchain_atlas.routers.trial.comparing import (
    CallBudget,
    Check,
    UnaffordableError,
    candidate_trajectory,
    same_choice,
    score_difference,
)
from langchain_atlas.routers.trial.sequential import DEFAULT_ERROR, SequentialTest
from langchain_atlas.routers.trial.state_file import StateFile
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.tracing import untraced
from langchain_atlas.trajectory import START, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from langchain_atlas.loop.contracts import ExecutorLike
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router

DEFAULT_GAIN = 0.02
"""Default gain in score that is worth switching for."""
WAITING = 256
"""Default number of queries that may wait to be compared."""

_VERDICTS: dict[str, Literal["switch", "don't", "not yet"]] = {"above": "switch", "below": "don't", "open": "not yet"}
_COUNTS = ("queries", "decided", "agreed", "unaffordable", "priced")
_SUMS = ("live_usd", "candidate_usd")


class ShadowReport(Record):
    """What was seen of a candidate so far; as text, it is a few sentences."""

    verdict: Literal["switch", "don't", "not yet"]
    """``switch``: the candidate is better. ``don't``: it is not better by as much as the gain. ``not yet``: too few
    queries were compared to say."""
    more: int | None
    """About how many more queries must be compared for a verdict; 0 with one, None if nothing is compared."""
    queries: int
    """Number of queries that the live router began."""
    decided: int
    """Number of them for which the candidate decided, too."""
    agreed: int
    """Number of those for which both decided the same first step."""
    compared: int
    """Number of queries whose answers were compared."""
    mean: float | None
    """Mean score of the candidate's answers minus that of the live router's; None before the first."""
    interval: tuple[float, float]
    """Confidence interval of that; it holds at all times together, with probability ``1 - error``."""
    gain: float
    """Gain that is worth switching for."""
    error: float
    """Probability of a wrong verdict, at most."""
    spent_usd: float
    """Dollars that the candidate's calls, and its decisions, cost; those of unknown cost not included."""
    unknown_costs: int
    """Number of its calls and decisions of unknown cost."""
    live_usd: float | None
    """Mean dollars of a compared query with the live router; None when unknown."""
    candidate_usd: float | None
    """Mean dollars that such a query would cost with the candidate, whether or not a call was shared; None when
    unknown."""
    unaffordable: int
    """Number of sampled queries that were not compared, because that might have passed `max_cost`."""
    dropped: int
    """Number of jobs that were dropped, because too many waited."""
    failed: int
    """Number of jobs that failed."""
    last_error: str = ""
    """The error of the last one; empty if none did."""

    def __str__(self) -> str:
        agreed = f"{self.agreed} of {self.decided}" if self.decided else "none yet"
        lines = [f"{self.verdict}{self._why}", f"Same first decision: {agreed}."]
        if self.mean is not None:
            low, high = self.interval
            lines.append(
                f"{self.compared} queries compared: {100 * self.mean:+.1f} points ({100 * low:+.1f} to "
                f"{100 * high:+.1f}), spent {self.spent_usd:.4g} dollars."
            )
        left_out = {
            "not compared for the limit on dollars": self.unaffordable,
            "dropped because too many waited": self.dropped,
            f"failed (last: {self.last_error})": self.failed,
            "calls of unknown cost": self.unknown_costs,
        }
        lines += [f"{count} {what}." for what, count in left_out.items() if count]
        return " ".join(lines)

    @property
    def _why(self) -> str:
        if self.verdict == "switch":
            return f": the candidate is better (error {self.error:g})."
        if self.verdict == "don't":
            return f": the candidate is not better by {100 * self.gain:g} points (error {self.error:g})."
        if self.more is None:
            return ": no answers are compared. Give share, executor, check and max_cost."
        return f": about {self.more} more compared queries."


@dataclass
class _Watch:
    """What the copies of one shadow router share."""

    background: Background
    test: SequentialTest
    purse: CallBudget
    file: StateFile
    draw: random.Random
    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0.0))

    def count(self, name: str) -> None:
        with self.lock:
            self.counts[name] += 1

    def to_json(self) -> dict[str, Any]:
        with self.lock:
            purse = {"spent": self.purse.spent, "unknown": self.purse.unknown, "is_empty": self.purse.is_empty}
            return {"test": self.test.to_json(), "counts": {**self.counts}, "sums": {**self.sums}, "purse": purse}

    def resume(self, kept: dict[str, Any]) -> None:
        self.test = SequentialTest.from_json(kept["test"])
        self.counts = {name: int(kept["counts"][name]) for name in _COUNTS}
        self.sums = {name: float(kept["sums"][name]) for name in _SUMS}
        purse = kept["purse"]
        self.purse.spent, self.purse.unknown = float(purse["spent"]), int(purse["unknown"])
        self.purse.is_empty = bool(purse["is_empty"])


class ShadowRouter(RouterWrapper):
    """Decides as the live router does, while a candidate is watched beside it.

    The candidate decides for each query, in a background thread, and calls nobody. On a sampled `share` of the queries
    its answer is compared with the live one: where it decides otherwise, `executor` runs what it decides. Where it
    decides the same, the answers are the same, and nothing is called. Nothing of this delays, changes or fails the live
    router's decisions; what could not be done is counted in the `report`.

    A query is compared when the live router decides to answer. Where an integration ends with a model's first reply
    (`AtlasMiddleware`, and `ChatAtlas` where the caller runs the tools), only first decisions are compared. A candidate
    that raises has given an empty answer. It may call what the query allows the live router: fit both on one pool, or
    queries for which the candidate has no such pair count as failed.

    Sampled calls are real: they cost money, and tools run a second time. Give an `executor` whose tools may. Where the
    integration has `Limits` on a day, the candidate's calls and decisions count in it, too; a day without room for them
    is one on which nothing is compared.

    Args:
        live: the router that decides.
        candidate: the router that might replace it.
        executor: runs what the candidate decides; any `Executor`.
        check: compares two answers, without being told whose they are; see `Check`.
        share: share of the queries whose answers are compared, 0 to 1.
        max_cost: dollars that the candidate's calls may cost in all; no call begins that is expected to pass it.
        gain: gain in score that is worth switching for, above 0.
        error: probability of a wrong verdict, at most: that it says ``switch`` although the candidate is no better, or
            ``don't`` although it is better by `gain` or more.
        max_turns: maximum number of turns of a candidate's trajectory.
        waiting: number of queries that may wait for the background thread; more are dropped and counted.
        path: a JSON file that keeps what was seen, so that a restart continues; one process may write it. None keeps
            nothing.
        random_state: seed of which queries are sampled, and of the order in which answers are shown.

    Raises:
        SettingError: a setting is out of range, or one that a share above 0 needs is missing.
        InvalidInputError: `live` or `candidate` is not a router, or `executor` not an executor.
        ArtifactError: the file holds something else.
        WritingError: the file can't be written.
    """

    not_deciding: ClassVar[tuple[str, ...]] = ("candidate", "_watch", "_executor", "_check", "_share", "_max_turns")

    def __init__(
        self,
        live: Router,
        candidate: Router,
        *,
        executor: ExecutorLike | None = None,
        check: Check | None = None,
        share: float = 0.0,
        max_cost: float | None = None,
        gain: float = DEFAULT_GAIN,
        error: float = DEFAULT_ERROR,
        max_turns: int = MAX_TURNS,
        waiting: int = WAITING,
        path: str | Path | None = None,
        random_state: int | None = None,
    ) -> None:
        super().__init__(live)
        check_sides(live, executor)
        check_sides(candidate, executor)
        _check_sampling(share, max_cost, {"executor": executor, "check": check})
        if not 0 < gain <= 1:
            raise SettingError(f"gain is {gain!r}; it is the difference of mean scores worth switching for, above 0.")
        self.candidate: Router | None = candidate
        self._executor, self._check, self._share, self._max_turns = executor, check, share, max_turns
        self._watch = _Watch(
            Background(waiting),
            SequentialTest(0.0, gain, error),
            CallBudget(max_cost),
            StateFile(path, "shadow", {"gain": gain, "error": error}),
            random.Random(random_state),  # noqa: S311  # a sample, no secret
        )
        kept = self._watch.file.read()
        if kept is not None:
            try:
                self._watch.resume(kept)
            except (KeyError, TypeError, ValueError) as wrong:
                raise ArtifactError(
                    f"{str(path)!r} is not the state of a shadow: {wrong!r}. Restore it, or name another file."
                ) from wrong

    def __repr__(self) -> str:
        """Show both routers."""
        return f"{type(self).__name__}({self.router!r}, candidate={self.candidate!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide as the live router does; see `Router.decide`."""
        return self._watched(query, trajectory, self.router.decide(query, trajectory))

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide as the live router does, on the event loop."""
        return self._watched(query, trajectory, await self.router.adecide(query, trajectory))

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries as the live router does."""
        decisions = self.router.decide_batch(queries)
        return [self._watched(query, START, decision) for query, decision in zip(queries, decisions, strict=True)]

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a copy with both routers restricted; a candidate that has none of the pairs is not watched in it."""
        kept = tuple(pairs)
        restricted = self._around(self.router.restrict(kept))
        try:
            restricted.candidate = None if self.candidate is None else self.candidate.restrict(kept)
        except PoolError:
            restricted.candidate = None
        return restricted

    def report(self) -> ShadowReport:
        """Return what was seen so far, with the verdict."""
        watch = self._watch
        with watch.lock:
            test, counts, priced = watch.test, {**watch.counts}, watch.counts["priced"]
            means = {name: watch.sums[name] / priced if priced else None for name in _SUMS}
            return ShadowReport(
                verdict=_VERDICTS[test.verdict],
                more=test.more if self._share or test.verdict != "open" else None,
                compared=test.count,
                mean=test.mean,
                interval=test.interval,
                gain=test.high,
                error=test.error,
                spent_usd=watch.purse.spent,
                unknown_costs=watch.purse.unknown,
                dropped=watch.background.dropped,
                failed=watch.background.failed,
                last_error=watch.background.last_error,
                **{name: counts[name] for name in _COUNTS if name != "priced"},
                **means,
            )

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait until the background thread has done what was asked of it; return whether it did in time."""
        return self._watch.background.wait(seconds)

    def close(self, seconds: float = 10.0) -> bool:
        """Stop watching: drop what waits, let the call that runs end, and keep the state.

        The live router goes on deciding.

        Args:
            seconds: how long to wait for the call that runs.

        Returns:
            Whether that ended in time.
        """
        ended = self._watch.background.close(seconds)
        self._watch.file.write(self._watch.to_json, now=True)
        return ended

    def _watched(self, query: Query, trajectory: Trajectory, decision: Decision) -> Decision:
        """Return the live decision unchanged, and have the candidate watched."""
        watch, candidate = self._watch, self.candidate
        if query.private:
            return decision  # nobody else may see it
        if not trajectory.steps:
            watch.count("queries")
            if candidate is not None:
                meter = self._meter(candidate)
                watch.background.submit(lambda: self._compare_first(candidate, query, decision, meter))
        if decision.kind == "answer" and candidate is not None and self._share and watch.test.verdict == "open":
            with watch.lock:
                is_sampled = watch.draw.random() < self._share
            if is_sampled:
                counted = self._meter(candidate)
                watch.background.submit(lambda: self._compare(candidate, query, trajectory.then(decision), counted))
        return decision

    def _meter(self, candidate: Router) -> Meter | None:
        """Return what counts the candidate's calls in the day's budget of the decision being made; None without one."""
        quota = quota_of_decision()
        day = None if quota is None else quota.of_the_day()
        return None if day is None else Meter(day, candidate.pairs, getattr(self._executor, "stays_here", None))

    def _compare_first(self, candidate: Router, query: Query, live: Decision, meter: Meter | None) -> None:
        with untraced():
            decision = candidate.decide(query)
        self._pay_for([decision], meter)
        watch = self._watch
        with watch.lock:
            watch.counts["decided"] += 1
            watch.counts["agreed"] += same_choice(decision, live)
        watch.file.write(watch.to_json)

    def _pay_for(self, made: Sequence[Decision], meter: Meter | None) -> None:
        """Count what the candidate spent on models of its own to make some decisions."""
        for decision in made:
            if meter is not None:
                meter.count(decision)
            if decision.spent is not None:
                with self._watch.lock:
                    self._watch.purse.pay(decision.spent.cost_usd)

    def _compare(self, candidate: Router, query: Query, live: Trajectory, meter: Meter | None) -> None:
        watch = self._watch
        assert self._executor is not None  # noqa: S101  # a share above 0 needs both
        assert self._check is not None  # noqa: S101
        if watch.test.verdict != "open":
            return  # it came while this waited
        if watch.purse.is_closed:
            watch.count("unaffordable")
            return
        handler = Handler(candidate, self._executor, self._max_turns)
        made: list[Decision] = []
        try:
            theirs = candidate_trajectory(query, live, handler, watch.purse, meter=meter, made=made)
        except UnaffordableError as error:
            watch.count("unaffordable")
            if error.args:  # not for what is used: nobody knows what the call costs
                watch.background.count_failure(error)
            return
        except (ConstraintError, PoolError):
            raise  # it can't be compared on this query: the executor, or what the live router may call, leaves it none
        except Exception as error:  # noqa: BLE001  # a router that breaks gives no answer
            watch.background.count_failure(error)
            theirs = START
        finally:
            self._pay_for(made, meter)
        difference = score_difference(self._check, query, live.answer, theirs.answer, watch.draw)
        costs = [add_known(one.cost_usd, one.deciding_usd) for one in (live, theirs)]
        with watch.lock:
            watch.test.add(difference)
            if None not in costs:
                watch.counts["priced"] += 1
                watch.sums["live_usd"] += costs[0]
                watch.sums["candidate_usd"] += costs[1]
        watch.file.write(watch.to_json)


def _check_sampling(share: float, max_cost: float | None, needed: dict[str, Any]) -> None:
    """Raise an error if the share of compared queries is out of range, or lacks something."""
    if not 0 <= share <= 1:
        raise SettingError(f"share is {share!r}; it is a share of the queries, from 0 to 1.")
    if max_cost is not None and not max_cost >= 0:
        raise SettingError(f"max_cost is {max_cost!r}; it is an amount in dollars, from 0.")
    missing = [name for name, value in {**needed, "max_cost": max_cost}.items() if value is None]
    if share and missing:
        raise SettingError(
            f"share is {share!r}, so that the candidate's answers are compared: give {', '.join(missing)}, too."
        )
