"""The record that the middleware keeps in an agent's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from langchain_atlas.amounts import add_known
from langchain_atlas.errors import ConstraintError, InvalidInputError
from langchain_atlas.loop.limits.trajectory_limits import dollars_of
from langchain_atlas.pool.pool import Pair
from langchain_atlas.records import Record
from langchain_atlas.trajectory import Step

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Query, Trajectory

Kept = Literal["loop", "thread", "run", "switching-cost"]


class AgentRecord(Record):
    """The middleware's decision for the latest model call, and the totals of the calls for one user message."""

    pair: Pair | None = None
    """The pair that replied; None if the agent's own model did."""
    kept: Kept | None = None
    """Why the pair of an earlier call was kept; None if the router chose the pair."""
    cause: str | None = None
    """``ErrorType: message`` of the error because of which the agent's own model replied; None if a pair did."""
    ask_id: str | None = None
    """Id of the human message that the call was for."""
    calls: int = 0
    """Number of calls for this user message, including failed ones."""
    cost_usd: float | None = 0.0
    """Cost of the calls for this user message, in dollars; None when one is unknown."""
    used_usd: float | None = Field(default=0.0, exclude_if=lambda used: used == 0)
    """Dollars that count towards the limit for this user message; for a call of unknown cost, its expected cost counts.
    None when that is unknown too."""
    used_s: float | None = Field(default=0.0, exclude_if=lambda used: used == 0)
    """Seconds that count towards the limit for this user message; for a call of unknown latency, its expected latency
    counts. None when that is unknown too."""
    decision_id: str | None = Field(default=None, exclude_if=lambda name: name is None)
    """Id of the decision whose pair replied, by which a store knows it; None if nothing is stored."""
    steps: tuple[Step, ...] = ()
    """The decisions of the latest model call, with their observations."""

    @classmethod
    def of(cls, state: Any) -> AgentRecord:
        """Read the record in a state; a missing or unreadable one gives an empty record."""
        from langchain_atlas.integrations.messages import RECORD_KEY

        try:
            return cls.from_json(state.get(RECORD_KEY) or {})
        except InvalidInputError:
            return cls()

    def next(self, ask_id: str | None, trajectory: Trajectory, *, limited: bool = False, **fields: Any) -> AgentRecord:
        """Return the record after one more model call; for a new user message, calls and costs start at zero.

        Args:
            ask_id: id of the human message that the call was for.
            trajectory: the decisions of the call, with their observations.
            limited: whether the run has limits, so that the amounts that count towards them are recorded.
            fields: `pair`, `kept` and `cause`.
        """
        before = self if self.is_for(ask_id) else AgentRecord()
        costs = [observation.cost_usd for observation in trajectory.observations]
        uses = [_used(step) for step in trajectory.steps if limited and step.observation is not None]
        if fields.get("pair") is None:
            costs.append(None)  # the cost of the agent's own model is unknown
        return AgentRecord(
            ask_id=ask_id,
            calls=before.calls + len(costs),
            cost_usd=add_known(before.cost_usd, *costs),
            used_usd=add_known(before.used_usd, *(dollars for dollars, _ in uses)),
            used_s=add_known(before.used_s, *(seconds for _, seconds in uses)),
            decision_id=None if fields.get("pair") is None else trajectory.steps[-1].decision.id,
            steps=trajectory.steps,
            **fields,
        )

    def left(self, ask_id: str | None, query: Query) -> Query:
        """Return the query with its limits reduced by the earlier calls for the same user message.

        Raises:
            ConstraintError: nothing is left.
        """
        if not self.is_for(ask_id):
            return query
        changes: dict[str, float] = {}
        dollars = self.cost_usd if self.used_usd == 0 else self.used_usd
        for name, used, unit in (("max_cost_usd", dollars, "dollars"), ("max_latency_s", self.used_s, "seconds")):
            limit = getattr(query.constraints, name)
            if limit is None or used == 0:
                continue
            if used is None or used >= limit:
                known = "an unknown number of" if used is None else f"{used:.3g}"
                raise ConstraintError(f"{known} {unit} of {limit:g} are used for this message. Raise the limit.")
            changes[name] = limit - used
        return query.replace(constraints=query.constraints.replace(**changes)) if changes else query

    def is_for(self, ask_id: str | None) -> bool:
        """Return whether this record is of an earlier call for the same human message."""
        return ask_id is not None and ask_id == self.ask_id


def _used(step: Step) -> tuple[float | None, float | None]:
    """Return the dollars and the seconds of a call, or the expected ones if unknown."""
    seen, expected = step.observation, step.decision.chosen
    assert seen is not None  # noqa: S101  # only calls use anything
    seconds = None if expected is None else expected.expected_latency_s
    return (
        dollars_of(step),
        seconds if seen.latency_s is None else seen.latency_s,
    )
