"""A router that moves a stalled tool loop up to a stronger pair, and back down when it goes well."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from langchain_atlas.errors import ConstraintError, SettingError
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.messages.thread_calls import call_of
from langchain_atlas.messages.tool_loops import LoopRound, LoopSignals, rounds
from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.trajectory import START, Decision, Query, Trajectory, with_all_spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router

STALLED = "stalled"
"""The `Decision.rule` of a decision to move up to a stronger pair."""
RECOVERED = "recovered"
"""The `Decision.rule` of a decision to go back to the pair that the loop began with."""


@dataclass(frozen=True)
class Move:
    """How a tool loop that has stalled goes on."""

    direction: Literal["up", "down", "stay"]
    """Up to a stronger pair, back down, or to stay above."""
    current: Pair
    """The pair of the last round."""
    base: Pair
    """The pair that the loop began with."""
    stalled: frozenset[Pair]
    """The pairs with which the loop has stalled."""
    why: str
    """What was seen, in one sentence."""


class EscalatingRouter(RouterWrapper):
    """Routes as the wrapped router does, but moves a tool loop that stalls up to a stronger pair.

    A loop stalls when the last round's calls were made before, when rounds in a row fail, or when rounds in a row bring
    nothing new; only rounds of the present pair count. Stronger is what the wrapped router expects to answer better, at
    a cost weight of 0; if there is none, or the query allows none, the loop stays. After `calm` rounds without a sign
    of stalling, the loop goes back to the pair that it began with, once: if that pair stalls again, it stays above.

    What it knows of the loop is in its messages, as for `StayingRouter`. `AtlasMiddleware` puts it around its router
    with ``escalate="stalled"``.

    Args:
        router: the router to wrap.
        repeats: how often earlier rounds made the same calls.
        errors: failed rounds in a row.
        stale: rounds in a row that bring nothing new.
        calm: good rounds in a row after which the loop goes back down; 0 to stay above.

    Raises:
        SettingError: a number is below 1, or `calm` below 0.
        InvalidInputError: `router` is not a router.
    """

    def __init__(self, router: Router, *, repeats: int = 2, errors: int = 3, stale: int = 4, calm: int = 3) -> None:
        check_sides(router, None)
        super().__init__(router)
        for name, value, least in (
            ("repeats", repeats, 1),
            ("errors", errors, 1),
            ("stale", stale, 1),
            ("calm", calm, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SettingError(f"{name} is {value!r}; it must be a whole number from {least}.")
        self._repeats, self._errors, self._stale, self._calm = repeats, errors, stale, calm

    def move(self, query: Query) -> Move | None:
        """Return how the tool loop that a query is in should go on; None if that is for the wrapped router to say."""
        spans = _spans(query)
        if not spans:
            return None
        (_, base), (made, current) = spans[0], spans[-1]
        signals = LoopSignals.of_rounds(made)
        left = frozenset(pair for span, pair in spans[:-1] if self._why(LoopSignals.of_rounds(span)))
        why = self._why(signals)
        if why:
            return Move("up", current, base, left | {current}, why)
        if current == base or base not in left:
            return None
        returned = any(pair == base for _, pair in spans[1:])
        if self._calm and not returned and self._is_calm(made):
            return Move("down", current, base, left, f"the last {self._calm} rounds went well")
        return Move("stay", current, base, left, f"it stalled with {base}")

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        move = None if trajectory.steps else self.move(query)
        if move is None:
            return self.router.decide(query, trajectory)
        decision = None if move.direction == "stay" else self._allowed(_wanted(query, move, self.router))
        if decision is not None and move.direction == "down":
            return _moved(decision, move)
        staying = self._allowed(_only(query, move.current))
        if staying is None:  # the present pair may not be called again
            return self.router.decide(query) if decision is None else _moved(decision, move)
        chosen = _stronger(decision, staying, move) if move.direction == "up" else staying
        return with_all_spent(chosen, decision, staying)

    def _allowed(self, query: Query) -> Decision | None:
        """Return the wrapped router's decision; None if the query allows none of its pairs."""
        try:
            return self.router.decide(query)
        except ConstraintError:
            return None

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does on the event loop."""
        if trajectory.steps or self.move(query) is None:
            return await self.router.adecide(query, trajectory)
        return await super(RouterWrapper, self).adecide(query, trajectory)  # rare, so a thread will do

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries."""
        if any(query.since for query in queries):
            return [self.decide(query) for query in queries]
        return self.router.decide_batch(queries)

    def _why(self, signals: LoopSignals) -> str:
        """Return how a loop has stalled; empty if it has not."""
        if signals.repeats >= self._repeats:
            return f"the same call was made {signals.repeats + 1} times"
        if signals.errors >= self._errors:
            return f"{signals.errors} rounds in a row failed"
        return f"{signals.stale} rounds in a row brought nothing new" if signals.stale >= self._stale else ""

    def _is_calm(self, made: Sequence[LoopRound]) -> bool:
        """Return whether the last rounds went well."""
        if len(made) < self._calm:
            return False
        ends = (LoopSignals.of_rounds(made[: len(made) - back]) for back in range(self._calm))
        return not any(end.repeats or end.errors or end.stale for end in ends)


def _spans(query: Query) -> list[tuple[list[LoopRound], Pair]]:
    """Return the rounds of a query's tool loop, by stretches with one pair; those without a record are passed over."""
    made = []
    for one in rounds(query.since):
        call = call_of(one.message)
        if call is not None:
            made.append((one, call.pair))
    return [([one for one, _ in span], pair) for pair, span in groupby(made, key=lambda told: told[1])]


def _only(query: Query, *pairs: Pair) -> Query:
    """Return the query with only these of the pairs that it allows."""
    allowed = query.constraints.pairs
    kept = frozenset(pairs) if allowed is None else frozenset(pairs) & allowed
    return query.replace(constraints=query.constraints.replace(pairs=kept))


def _wanted(query: Query, move: Move, router: Router) -> Query:
    """Return the query for the move: the base pair alone; or accuracy alone, without the pairs that have stalled."""
    if move.direction == "down":
        return _only(query, move.base)
    allowed = router.pairs if query.constraints.pairs is None else query.constraints.pairs
    return _only(query, *(set(allowed) - move.stalled)).replace(cost_weight=0.0)


def _stronger(decision: Decision | None, staying: Decision, move: Move) -> Decision:
    """Return the decision to move up, or to stay if nothing stronger is known."""
    better = decision is not None and decision.pair is not None
    if better and decision is not None and decision.chosen is not None and staying.chosen is not None:
        better = decision.chosen.expected_success > staying.chosen.expected_success
    if better and decision is not None:
        return _moved(decision, move)
    said = f"The tool loop has stalled: {move.why}; there is no stronger pair. {staying.reason}"
    return staying.model_copy(update={"reason": said})


def _moved(decision: Decision, move: Move) -> Decision:
    if move.direction == "down":
        told = {"rule": RECOVERED, "reason": f"Goes back to {decision.pair}: {move.why}. {decision.reason}"}
    else:
        said = f"The tool loop has stalled with {move.current}: {move.why}. {decision.reason}"
        told = {"rule": STALLED, "reason": said}
    return decision.model_copy(update=told)
