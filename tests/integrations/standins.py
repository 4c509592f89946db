"""What agents are asked with: routers that stand in for real ones, tools, asks, and what a request offers."""

from __future__ import annotations

from typing import Any

from langchain_core.tools import tool
from langgraph.types import interrupt

from langchain_atlas.errors import ConstraintError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.testing import call_tool
from langchain_atlas.trajectory import START, Candidate, Decision, Query, Trajectory

HELLO = {"messages": [("user", "hello")]}
IMAGE = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
THREAD: Any = {"configurable": {"thread_id": "1"}}


@tool
def shout(text: str) -> str:
    """Shout a text."""
    return text.upper()


@tool
def approve(text: str) -> str:
    """Ask a human."""
    return str(interrupt(text))


class Alternating(Router):
    """Routes to two pairs in turn, whatever is asked; each is as good as told."""

    def __init__(self, worth: dict[str, float]) -> None:
        self.worth = {Pair.parse(name): value for name, value in worth.items()}
        self.asked = 0

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:  # noqa: ARG002
        pairs = [pair for pair in self.worth if query.constraints.pairs is None or pair in query.constraints.pairs]
        if not pairs:
            raise ConstraintError("no pair is left")
        pair = pairs[self.asked % len(pairs)]
        self.asked += len(pairs) > 1
        chosen = Candidate(pair=pair, expected_success=0.5, utility=self.worth[pair])
        return Decision(kind="route", pair=pair, chosen=chosen)


class Broken(Router):
    """Can't decide."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:  # noqa: ARG002
        raise RuntimeError("the encoder is gone")


def offered(body: dict[str, Any]) -> list[str]:
    return [entry["function"]["name"] for entry in body.get("tools", [])]


def seeking_approval(body: dict[str, Any]) -> Any:
    """Call `approve`, and then say what the human said."""
    last = body["messages"][-1]
    return last["content"] if last["role"] == "tool" else {"tool_calls": [call_tool("approve", {"text": "may I?"})]}
