"""A human's word before a pair is run: approve, refuse, or send the query elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langgraph.types import interrupt

from langchain_atlas.errors import PoolError, SettingError, suggest
from langchain_atlas.pool import Pair
from langchain_atlas.routers.base import last_answer
from langchain_atlas.trajectory import Decision, Query, Trajectory

Approve = float | Callable[[Query, Decision], bool]
"""When a human is asked: above so many expected dollars of the call, or where a function says so."""

RULE = "human"
"""The rule of the decisions that a human took."""

_ANSWERS = "true to run the pair, false to run nothing more, or another pair, written model@@tool, to run that instead"


class Approval:
    """Asks a human, by LangGraph's interrupt, before a pair is run that needs a human's word.

    Args:
        approve: a number asks where the call is expected to cost more dollars, or where nobody knows what it costs; a
            function of the query and the decision asks where it returns True.
        pairs: the pairs that a human may choose; empty for any.

    Raises:
        SettingError: `approve` is neither a number from 0 nor a function.
    """

    def __init__(self, approve: Approve, pairs: tuple[Pair, ...]) -> None:
        is_price = isinstance(approve, int | float) and not isinstance(approve, bool) and approve >= 0
        if not is_price and not callable(approve):
            raise SettingError(
                f"approve is {approve!r}; give the dollars above which a human is asked, or a function of the query "
                "and the decision that says whether to ask."
            )
        self._approve = approve
        self._pairs = pairs

    def needed(self, query: Query, decision: Decision) -> bool:
        """Say whether a human is asked about a decision."""
        if decision.pair is None:
            return False
        if callable(self._approve):
            return bool(self._approve(query, decision))
        cost = None if decision.chosen is None else decision.chosen.expected_cost_usd
        return cost is None or cost > self._approve

    def review(self, query: Query, trajectory: Trajectory, decision: Decision) -> Decision:
        """Return the decision as a human wants it, who is asked where that is needed.

        An answer that makes no sense is told, and asked for again.
        """
        if not self.needed(query, decision):
            return decision
        question = _question(query, trajectory, decision)
        while True:
            try:
                return self._decided(interrupt(question), trajectory, decision)
            except PoolError as error:
                question = {**question, "problem": str(error)}

    def _decided(self, word: Any, trajectory: Trajectory, decision: Decision) -> Decision:
        if isinstance(word, dict) and "pair" in word:
            word = word["pair"]
        if word is True:
            return decision
        if word is False:
            return last_answer(trajectory, rule=RULE, reason=f"A human did not approve {decision.pair}.")
        if not isinstance(word, str):
            raise PoolError(f"The answer is {word!r}; it may be {_ANSWERS}.")
        pair = Pair.parse(word)
        if pair == decision.pair:
            return decision
        if self._pairs and pair not in self._pairs:
            raise PoolError(f"There is no pair {word!r}. {suggest(word, map(str, self._pairs))}")
        return Decision(
            kind="route",
            pair=pair,
            input=decision.input,
            rule=RULE,
            reason=f"A human chose {pair} in place of {decision.pair}.",
        )


def _question(query: Query, trajectory: Trajectory, decision: Decision) -> dict[str, Any]:
    """Return what the human is shown, as plain JSON."""
    return {
        "kind": "atlas_approval",
        "query": query.text,
        "pair": str(decision.pair),
        "expected_cost_usd": None if decision.chosen is None else decision.chosen.expected_cost_usd,
        "spent_usd": trajectory.cost_usd,
        "decision": decision.to_json(),
        "answers": _ANSWERS,
    }
