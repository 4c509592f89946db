"""A LangGraph node that has the answer before it evaluated, and records the score in the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage, convert_to_messages
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphBubbleUp

from langchain_atlas.errors import AtlasError, SettingError
from langchain_atlas.integrations.messages import RECORD_KEY
from langchain_atlas.integrations.storing import as_store
from langchain_atlas.masking import error_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain_atlas.outcomes.store import Store

    Evaluate = Callable[[str, str], float | bool | Awaitable[float | bool | None] | None]

_LOG = logging.getLogger(__name__)


class EvaluatorNode(Runnable[Any, dict[str, Any]]):
    """A node after an `AtlasNode`: has its answer evaluated, and records the score under the answer's decision.

    ``builder.add_node("evaluate", EvaluatorNode(evaluate, store="sqlite:///atlas.db"))``. It changes nothing in the
    state. An answer without a ``decision_id``, such as one that was made without a store, is left alone. If the
    evaluation fails, or gives no valid score, that is logged, and the graph goes on.

    Args:
        evaluate: called with the question and the answer; returns a score from 0 to 1, True or False, or None if it
            can't tell. It may be async; an async graph runs any other in a thread.
        store: the store that the answer's decision is in, or its address.
        source: where the score comes from; a later score of the same source replaces an earlier one.
        messages_key: the state's key for the messages.

    Raises:
        SettingError: `evaluate` can't be called, or there is no store.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        *,
        store: Store | str,
        source: str = "evaluator",
        messages_key: str = "messages",
    ) -> None:
        if not callable(evaluate):
            raise SettingError(f"evaluate is {evaluate!r}; give a function of the question and the answer.")
        opened = as_store(store)
        if opened is None:
            raise SettingError("An EvaluatorNode needs a store to record scores in; give store='sqlite:///atlas.db'.")
        self.store = opened
        self.source = source
        self.messages_key = messages_key
        self.name = "evaluate"
        self._evaluate = evaluate

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> dict[str, Any]:  # noqa: A002
        """Evaluate and record; `input` is the graph's state."""
        del config
        found = self._found(input)
        if found is not None:
            decision_id, question, answer = found
            try:
                score: Any = self._evaluate(question, answer)
                if isawaitable(score):
                    score = asyncio.run(_awaited(score))
                self._record(decision_id, score)
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001  # an answer that can't be evaluated is an answer all the same
                _say(decision_id, error)
        return {}

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> dict[str, Any]:  # noqa: A002
        """Async version of `invoke`."""
        del config
        found = self._found(input)
        if found is not None:
            decision_id, question, answer = found
            try:
                score: Any = await asyncio.to_thread(self._evaluate, question, answer)
                self._record(decision_id, await score if isawaitable(score) else score)
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001
                _say(decision_id, error)
        return {}

    def _found(self, state: Any) -> tuple[str, str, str] | None:
        """Return the last answer's decision id, the question and the answer; None if no decision is recorded."""
        given = state.get(self.messages_key) if isinstance(state, Mapping) else getattr(state, self.messages_key, None)
        messages = convert_to_messages(given or [])
        for index in range(len(messages) - 1, -1, -1):
            answer = messages[index]
            if isinstance(answer, AIMessage):
                decision_id = (answer.response_metadata.get(RECORD_KEY) or {}).get("decision_id")
                asked = [message for message in messages[:index] if isinstance(message, HumanMessage)]
                return None if decision_id is None or not asked else (decision_id, asked[-1].text, answer.text)
        return None

    def _record(self, decision_id: str, score: float | bool | None) -> None:
        if score is not None:
            self.store.record(decision_id, score=score, source=self.source)


async def _awaited(score: Awaitable[Any]) -> Any:
    return await score


def _say(decision_id: str, error: Exception) -> None:
    said = str(error) if isinstance(error, AtlasError) else error_text(error)
    _LOG.warning("The answer of decision %s could not be evaluated. %s", decision_id, said)
