"""Human approval before a pair is run: approve, refuse, or choose another pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langgraph.types import interrupt

from langchain_atlas.errors import PoolError, SettingError, suggest
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import last_answer
from langchain_atlas.trajectory import Decision, Query, Trajectory

Approve = float | Callable[[Query, Decision], bool]
"""When approval is needed: above an expected cost of the call in dollars, or when a function returns True."""

RULE = "human"
"""The `Decision.rule` of decisions that a human made."""

_ANSWERS = "true to run the pair, false to run nothing more, or another pair, written model@@tool, to run that instead"


class Approval:
    """Asks a human, through LangGraph's interrupt, before a pair that needs approval is run.

    Args:
        approve: a number asks for calls with a higher expected cost in dollars, or with an unknown one; a function of
            the query and the decision asks when it returns True.
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
        """Return whether a decision needs approval."""
        if decision.pair is None:
            return False
        if callable(self._approve):
            return bool(self._approve(query, decision))
        cost = None if decision.chosen is None else decision.chosen.expected_cost_usd
        return cost is None or cost > self._approve

    def review(self, query: Query, trajectory: Trajectory, decision: Decision) -> Decision:
        """Return the decision after approval, which is requested if needed.

        An invalid answer is reported, and the question is repeated.
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
            id=decision.id,
            rule=RULE,
            reason=f"A human chose {pair} in place of {decision.pair}.",
        )


def _question(query: Query, trajectory: Trajectory, decision: Decision) -> dict[str, Any]:
    """Return the question for the human, as plain JSON."""
    return {
        "kind": "atlas_approval",
        "query": query.text,
        "pair": str(decision.pair),
        "expected_cost_usd": None if decision.chosen is None else decision.chosen.expected_cost_usd,
        "spent_usd": trajectory.cost_usd,
        "decision": decision.to_json(),
        "answers": _ANSWERS,
    }
