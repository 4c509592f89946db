"""The id and the propensity of decisions that are kept in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.utils.uuid import uuid7

if TYPE_CHECKING:
    from langchain_atlas.loop.contracts import RouterLike
    from langchain_atlas.trajectory import Decision


def identified(decision: Decision, router: RouterLike | None) -> Decision:
    """Return a decision to route with an id, and with its propensity if that is known.

    Args:
        decision: the decision; one that has an id keeps it.
        router: the router that made it.
    """
    if decision.id is not None or decision.pair is None:
        return decision
    changes: dict[str, object] = {"id": str(uuid7())}
    if decision.propensity is None and getattr(router, "is_deterministic", False):
        changes["propensity"] = 1.0
    return decision.model_copy(update=changes)
