"""A candidate router that decides a small share of the queries, and is rolled back once it is found to be worse."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, ClassVar, Self

from langchain_core.runnables.config import ensure_config
from langgraph.errors import GraphBubbleUp

from langchain_atlas.errors import InvalidInputError, PoolError, SettingError
from langchain_atlas.failures.masked_errors import cleaned
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.routers.trial.canary_state import COUNTS, CanaryReport, CanaryState
from langchain_atlas.routers.trial.sequential import DEFAULT_ERROR, SequentialTest
from langchain_atlas.routers.trial.state_file import StateFile
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.trajectory import START, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections import OrderedDict
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.trial.canary_state import Arm, Status

_LOG = logging.getLogger(__name__)

DEFAULT_LOSS = 0.02
"""Default loss in score below which a candidate may be promoted."""
_REMEMBERED = 100_000
_DECISIONS = 10_000


class Canary(RouterWrapper):
    """Lets a candidate decide a share of the queries, and rolls it back by itself once it is found to be worse.

    Who decides is drawn by a hash of the thread's id (LangGraph's ``thread_id``), or of the query's id outside of a
    thread: a conversation stays with its router. Outcomes come in by `record`, at any time and in any order. They
    are compared by a sequential test, which may stop at any time; see `routers/trial/sequential.py`. A rollback takes
    effect at the next decision. If the candidate raises an error, the live router decides instead.

    Args:
        live: the router that decides most queries.
        candidate: the router that might replace it.
        share: share of the threads, or queries, that the candidate decides, above 0 and below 1.
        error: probability of rolling back a candidate that is not worse, at most, however long it runs.
        loss: the report says that the candidate may be promoted once it is found to lose less than this; a candidate
            that loses as much is said so with probability `error` at most.
        key: returns what is hashed of a query; by default the id of the thread, of the query, or the first message.
        salt: makes another draw of the same threads.
        path: a JSON file that keeps what was seen, so that a restart continues; one process may write it. None keeps
            nothing.

    Raises:
        SettingError: a setting is out of range.
        InvalidInputError: `live` or `candidate` is not a router.
        ArtifactError: the file holds something else.
        WritingError: the file can't be written.
    """

    not_deciding: ClassVar[tuple[str, ...]] = ("_state",)

    def __init__(
        self,
        live: Router,
        candidate: Router,
        *,
        share: float = 0.05,
        error: float = DEFAULT_ERROR,
        loss: float = DEFAULT_LOSS,
        key: Callable[[Query], str] | None = None,
        salt: str = "",
        path: str | Path | None = None,
    ) -> None:
        super().__init__(live)
        check_sides(live, None)
        check_sides(candidate, None)
        if not 0 < share < 1:
            raise SettingError(f"share is {share!r}; it is the candidate's share of the threads, above 0 and below 1.")
        if not 0 < loss <= 1:
            raise SettingError(f"loss is {loss!r}; it is a difference of mean scores, above 0 and up to 1.")
        self.candidate: Router | None = candidate
        self._share, self._salt, self._key = share, salt, key or _thread_or_query
        settings: dict[str, float | str] = {"share": share, "error": error, "loss": loss, "salt": salt}
        self._state = CanaryState(SequentialTest(-loss, 0.0, error), StateFile(path, "canary", settings))
        kept = self._state.file.read()
        if kept is not None:
            self._state.resume(kept)

    def __repr__(self) -> str:
        """Show both routers, and which of them decide."""
        return f"{type(self).__name__}({self._router!r}, candidate={self.candidate!r}, status={self.status!r})"

    @property
    def status(self) -> Status:
        """``running``, ``rolled back`` or ``promoted``."""
        return self._state.status

    @property
    def router(self) -> Router:
        """The live router; after a promotion, the candidate."""
        return self._router if self.status != "promoted" or self.candidate is None else self.candidate

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of all routers that may decide."""
        routers = self._deciding()
        if not all(router.pairs for router in routers):
            return ()
        return tuple(dict.fromkeys(pair for router in routers for pair in router.pairs))

    @property
    def takes_first_answer(self) -> bool:
        """Whether all routers that may decide answer with the first call that succeeds."""
        return all(router.takes_first_answer for router in self._deciding())

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Have the query's router decide; see `Router.decide`."""
        candidate = self._drawn(query)
        if candidate is not None:
            try:
                return self._noted(query, trajectory, "candidate", candidate.decide(query, trajectory))
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001  # whatever the candidate raises must not reach the user
                self._stood_in(error)
        return self._noted(query, trajectory, self._arm(candidate), self.router.decide(query, trajectory))

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Have the query's router decide, on the event loop."""
        candidate = self._drawn(query)
        if candidate is not None:
            try:
                return self._noted(query, trajectory, "candidate", await candidate.adecide(query, trajectory))
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001  # whatever the candidate raises must not reach the user
                self._stood_in(error)
        return self._noted(query, trajectory, self._arm(candidate), await self.router.adecide(query, trajectory))

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries: the live router its part at once, the candidate one by one."""
        drawn = [self._drawn(query) is not None for query in queries]
        live = [query for query, is_candidate in zip(queries, drawn, strict=True) if not is_candidate]
        decided = iter(self.router.decide_batch(live) if live else [])
        return [
            self.decide(query) if is_candidate else self._noted(query, START, self._arm(None), next(decided))
            for query, is_candidate in zip(queries, drawn, strict=True)
        ]

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a copy with both routers restricted; a candidate that has none of the pairs decides nothing in it."""
        kept = tuple(pairs)
        restricted = self._copied()
        try:
            restricted.candidate = None if self.candidate is None else self.candidate.restrict(kept)
        except PoolError:
            if self.status == "promoted":
                raise
            restricted.candidate = None
        if self.status != "promoted":
            restricted._router = self._router.restrict(kept)  # noqa: SLF001  # of its own class
        return restricted

    def record(self, of: Decision | Query | str | None = None, *, score: float, key: str | None = None) -> Status:
        """Take in the outcome of a query; the candidate may be rolled back by it.

        A query counts once. Outcomes of one conversation are alike; where conversations are long, record one a thread.

        Args:
            of: the query, its id, or a decision that this canary returned for it.
            score: the score, 0 to 1.
            key: instead, what the draw was by, such as the thread's id; for queries that another process decided, or
                that were decided long ago. Such outcomes are not checked for repetition.

        Returns:
            The status.

        Raises:
            InvalidInputError: the query is not known here, or the score is not a number from 0 to 1.
        """
        if isinstance(score, bool | int | float) and 0 <= score <= 1:
            score = float(score)
        else:
            raise InvalidInputError(f"score is {score!r}; it must be a number from 0 to 1.")
        state = self._state
        with state.lock:
            arm, name = (self._arm_by_hash(key), None) if key is not None else self._arm_of(of)
            if state.status != "running":
                state.counts["late"] += 1
                return state.status
            if name is not None and name in state.recorded:
                state.counts["repeated"] += 1
                return state.status
            if name is not None:
                _remember(state.recorded, name, None, _REMEMBERED)
            state.take(arm, score)
            if state.test.is_below:
                self._end("rolled back")
        state.file.write(state.to_json)
        return state.status

    def promote(self) -> None:
        """Let the candidate decide everything from now on."""
        self._end("promoted")

    def roll_back(self) -> None:
        """Let the live router decide everything from now on."""
        self._end("rolled back")

    def close(self) -> None:
        """Keep the state now; otherwise the last second of outcomes may be missing from the file."""
        self._state.file.write(self._state.to_json, now=True)

    def report(self) -> CanaryReport:
        """Return what was seen so far."""
        state = self._state
        with state.lock:
            test, counts = state.test, {name: state.counts[name] for name in COUNTS}
            scores = {
                f"{arm}_score": total / counts[f"recorded_{arm}"] if counts[f"recorded_{arm}"] else None
                for arm, total in state.sums.items()
            }
            return CanaryReport(
                status=state.status,
                may_be_promoted=test.verdict == "above" and not test.is_below,
                more=test.more if state.status == "running" else 0,
                difference=test.mean,
                interval=test.interval,
                error=test.error,
                loss=-test.low,
                **counts,
                **scores,
            )

    def _deciding(self) -> tuple[Router, ...]:
        is_running = self.status == "running" and self.candidate is not None
        return (self._router, self.candidate) if is_running and self.candidate is not None else (self.router,)

    def _drawn(self, query: Query) -> Router | None:
        """Return the candidate if a query is its own; None for the live router, and once the canary has ended."""
        if self.status != "running" or self.candidate is None:
            return None
        return self.candidate if self._arm_by_hash(self._key(query)) == "candidate" else None

    def _arm_by_hash(self, key: str) -> Arm:
        digest = hashlib.blake2b(f"{self._salt}\0{key}".encode("utf-8", "replace"), digest_size=8).digest()
        return "candidate" if int.from_bytes(digest) < self._share * 2**64 else "live"

    def _arm(self, drawn: Router | None) -> Arm:
        """Return whose outcome it is: a query drawn for the candidate is its own even if the live router stands in."""
        return "live" if drawn is None and self.status != "promoted" else "candidate"

    def _noted(self, query: Query, trajectory: Trajectory, arm: Arm, decision: Decision) -> Decision:
        state = self._state
        with state.lock:
            name = query.id or self._key(query)
            if not trajectory.steps:
                state.counts[arm] += 1
                _remember(state.arms, name, arm, _REMEMBERED)
            held, of = state.decisions.get(id(decision), (None, None))
            is_shared = held is decision and of != name  # the router returns one object for several queries
            _remember(state.decisions, id(decision), (decision, None if is_shared else name), _DECISIONS)
        return decision

    def _arm_of(self, of: Decision | Query | str | None) -> tuple[Arm, str]:
        """Return whose a query was, and its name.

        Raises:
            InvalidInputError: it is not known here.
        """
        name: str | None = None
        if isinstance(of, Decision):
            decision, name = self._state.decisions.get(id(of), (None, None))
            name = name if decision is of else None
        elif isinstance(of, Query):
            name = of.id or self._key(of)
        elif isinstance(of, str):
            name = of
        arm = None if name is None else self._state.arms.get(name)
        if arm is None or name is None:
            raise InvalidInputError(
                f"The canary knows no query by {of!r}. Give the query, its id, or the decision as this canary returned "
                "it; where another process decided, give key= with the thread's id, or the query's outside of a thread."
            )
        return arm, name

    def _stood_in(self, error: Exception) -> None:
        with self._state.lock:
            self._state.counts["stood_in"] += 1
        _LOG.warning("The candidate router failed; the live one stands in for it.", exc_info=cleaned(error))

    def _end(self, status: Status) -> None:
        state = self._state
        with state.lock:
            state.status = status
        _LOG.warning("Canary: %s", self.report())
        state.file.write(state.to_json, now=True)

    def _copied(self) -> Self:
        return super()._around(self._router)

    def _around(self, router: Router) -> Self:
        """Return a canary like this one, around another router in the place of the one that decides."""
        wrapper = self._copied()
        if self.status == "promoted":
            wrapper.candidate = router
        else:
            wrapper._router = router  # noqa: SLF001  # of its own class
        return wrapper


def _thread_or_query(query: Query) -> str:
    """Return what a query is drawn by: the id of its thread, its own, or the first message of the conversation."""
    thread = ensure_config().get("configurable", {}).get("thread_id")
    if thread or query.id:
        return str(thread or query.id)
    first = query.history[0] if query.history else None
    return str(getattr(first, "content", "")) or query.text


def _remember(held: OrderedDict[Any, Any], name: Any, value: Any, most: int) -> None:
    """Add to what is remembered, and forget the oldest beyond a number."""
    held[name] = value
    held.move_to_end(name)
    while len(held) > most:
        held.popitem(last=False)
