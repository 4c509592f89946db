"""The record that the middleware keeps in an agent's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.pool import Pair
from langchain_atlas.records import Record
from langchain_atlas.trajectory import Step, add_known

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Trajectory

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

    def next(self, ask_id: str | None, trajectory: Trajectory, **fields: Any) -> AgentRecord:
        """Return the record after one more model call; for another ask, calls and dollars count from zero.

        Args:
            ask_id: id of the human message that the call was for.
            trajectory: the decisions of the call with what they led to.
            fields: `pair`, `kept` and `cause`.
        """
        before = self if self.is_for(ask_id) else AgentRecord()
        costs = [observation.cost_usd for observation in trajectory.observations]
        if fields.get("pair") is None:
            costs.append(None)  # what the agent's own model costs is not known
        return AgentRecord(
            ask_id=ask_id,
            calls=before.calls + len(costs),
            cost_usd=add_known(before.cost_usd, *costs),
            steps=trajectory.steps,
            **fields,
        )

    def is_for(self, ask_id: str | None) -> bool:
        """Say whether this is the record of an earlier call for the same human message."""
        return ask_id is not None and ask_id == self.ask_id
