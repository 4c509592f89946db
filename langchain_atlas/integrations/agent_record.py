"""The record that the middleware keeps in an agent's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from langchain_atlas.errors import ConstraintError, InvalidInputError
from langchain_atlas.pool import Pair
from langchain_atlas.records import Record
from langchain_atlas.trajectory import Step, add_known

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Query, Trajectory

Kept = Literal["loop", "thread", "switching-cost"]


class AgentRecord(Record):
    """What the middleware decided for the latest model call, and what the calls for one ask came to."""

    pair: Pair | None = None
    """The pair that replied; None where the agent's own model did."""
    kept: Kept | None = None
    """Why the pair of an earlier call was kept; None where the router's choice was taken."""
    cause: str | None = None
    """``ErrorType: message`` of what made the agent's own model reply; None where a pair did."""
    ask_id: str | None = None
    """Id of the human message that the call was for."""
    calls: int = 0
    """How many calls were made for this ask, failed ones among them."""
    cost_usd: float | None = 0.0
    """Dollars over the calls for this ask; None when one is unknown."""
    used_usd: float | None = Field(default=0.0, exclude_if=lambda used: used == 0)
    """Dollars that count towards this ask's limit: where what a call cost is not known, what it was expected to; None
    when that is not known either."""
    used_s: float | None = Field(default=0.0, exclude_if=lambda used: used == 0)
    """Seconds that count towards it, likewise."""
    steps: tuple[Step, ...] = ()
    """The decisions of the latest model call with what they led to."""

    @classmethod
    def of(cls, state: Any) -> AgentRecord:
        """Read the record that stands in a state; one that can't be read counts as none."""
        from langchain_atlas.integrations.messages import RECORD_KEY

        try:
            return cls.from_json(state.get(RECORD_KEY) or {})
        except InvalidInputError:
            return cls()

    def next(self, ask_id: str | None, trajectory: Trajectory, *, limited: bool = False, **fields: Any) -> AgentRecord:
        """Return the record after one more model call; for another ask, calls and dollars count from zero.

        Args:
            ask_id: id of the human message that the call was for.
            trajectory: the decisions of the call with what they led to.
            limited: whether the run has limits, so that what counts towards them is kept.
            fields: `pair`, `kept` and `cause`.
        """
        before = self if self.is_for(ask_id) else AgentRecord()
        costs = [observation.cost_usd for observation in trajectory.observations]
        uses = [_used(step) for step in trajectory.steps if limited and step.observation is not None]
        if fields.get("pair") is None:
            costs.append(None)  # what the agent's own model costs is not known
        return AgentRecord(
            ask_id=ask_id,
            calls=before.calls + len(costs),
            cost_usd=add_known(before.cost_usd, *costs),
            used_usd=add_known(before.used_usd, *(dollars for dollars, _ in uses)),
            used_s=add_known(before.used_s, *(seconds for _, seconds in uses)),
            steps=trajectory.steps,
            **fields,
        )

    def left(self, ask_id: str | None, query: Query) -> Query:
        """Return the query with what its limits leave after the earlier calls for the same ask.

        Raises:
            ConstraintError: they leave nothing.
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
        """Say whether this is the record of an earlier call for the same human message."""
        return ask_id is not None and ask_id == self.ask_id


def _used(step: Step) -> tuple[float | None, float | None]:
    """Return the dollars and the seconds of a call, or what was expected of it where they are not known."""
    seen, expected = step.observation, step.decision.chosen
    assert seen is not None  # noqa: S101  # only calls use anything
    dollars = None if expected is None else expected.expected_cost_usd
    seconds = None if expected is None else expected.expected_latency_s
    return (
        dollars if seen.cost_usd is None else seen.cost_usd,
        seconds if seen.latency_s is None else seen.latency_s,
    )
