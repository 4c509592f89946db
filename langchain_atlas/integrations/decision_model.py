"""A router as a LangChain decision model; langchain-core has these since 1.8."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, messages_to_dict
from pydantic import ConfigDict, Field

from langchain_atlas.errors import ConstraintError, InvalidInputError, MissingExtraError, PoolError, suggest
from langchain_atlas.integrations.messages import read_ask
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.turns import adrive, drive, turns
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router  # noqa: TC001  # pydantic reads it
from langchain_atlas.trajectory import Decision, Query

if TYPE_CHECKING:
    from langchain_atlas.loop.effects import Steps

try:
    from langchain_core.decisions import BaseDecisionModel, Choice, ChoiceAnswer, ClassifierResponse
except ImportError as error:
    raise MissingExtraError("AtlasDecisionModel", package="langchain-core>=1.8") from error

SHARPNESS = 10.0
"""Scale from utilities to probabilities: a label whose utility is 0.1 higher is e times as probable."""


class AtlasDecisionModel(BaseDecisionModel):  # type: ignore[misc]  # Any where langchain-core is older
    """Answers `Choice` questions whose labels mean pairs or models, such as those of `ModelRouterMiddleware`.

    The router makes the choice. The probabilities are the softmax of the labels' utilities times `SHARPNESS` if the
    router gives utilities, and else 1 for the choice; the confidence is the probability of the choice. Labels without
    any allowed pair have probability 0. Criteria and instructions are ignored: a router knows pairs by their outcomes.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    router: Router
    """The router."""
    labels: dict[str, str | list[str]] = Field(default_factory=dict)
    """Pairs (``model@@tool``) or models by label; a label that is missing here is itself the name of one."""
    model: str = "langchain-atlas"
    """Name of the decision model in traces."""

    @property
    def _provider(self) -> str:
        return "langchain-atlas"

    def _classify(self, state: Any, questions: Mapping[str, Any]) -> Any:
        return drive(self._steps(state, questions), Handler(self.router))

    async def _aclassify(self, state: Any, questions: Mapping[str, Any]) -> Any:
        return await adrive(self._steps(state, questions), Handler(self.router))

    def _steps(self, state: Any, questions: Mapping[str, Any]) -> Steps[Any]:
        query = _query(state)
        answers = {}
        for name, question in questions.items():
            if not isinstance(question, Choice):
                raise InvalidInputError(
                    f"Question {name!r} is of type {question.type!r}; a router answers 'choice' questions, whose "
                    "labels name pairs or models."
                )
            answers[name] = yield from self._answer(query, list(question.criteria))
        return ClassifierResponse(model=self.model, answers=answers)

    def _answer(self, query: Query, labels: Sequence[str]) -> Steps[Any]:
        pairs = {label: self._pairs(label) for label in labels}
        decision = yield from _routed(query, frozenset().union(*pairs.values()))
        choice = next(label for label in labels if decision.pair in pairs[label])
        utilities = {}
        for label in labels:
            try:
                best = yield from _routed(query, pairs[label])
            except ConstraintError:
                continue
            if best.chosen is not None and best.chosen.utility is not None:
                utilities[label] = best.chosen.utility
        weights = {label: math.exp(SHARPNESS * (value - max(utilities.values()))) for label, value in utilities.items()}
        if choice not in weights:
            weights = {choice: 1.0}
        probabilities = {label: weights.get(label, 0.0) / sum(weights.values()) for label in labels}
        return ChoiceAnswer(type="choice", choice=choice, probabilities=probabilities, confidence=probabilities[choice])

    def _pairs(self, label: str) -> frozenset[Pair]:
        """Return the pairs that a label means.

        Raises:
            PoolError: it means none of the router's pairs.
        """
        meant = self.labels.get(label, label)
        found: set[Pair] = set()
        for name in [meant] if isinstance(meant, str) else meant:
            if not self.router.pairs:
                found.add(Pair.parse(name))
            else:
                found |= {pair for pair in self.router.pairs if name in (str(pair), pair.model)}
        if not found:
            known = [*map(str, self.router.pairs), *dict.fromkeys(pair.model for pair in self.router.pairs)]
            raise PoolError(f"Label {label!r} stands for none of the router's pairs or models. {suggest(label, known)}")
        return frozenset(found)


def _routed(query: Query, pairs: frozenset[Pair]) -> Steps[Decision]:
    """Let the router choose among pairs.

    Raises:
        ConstraintError: it chooses none of them.
    """
    allowed = query.replace(constraints=query.constraints.replace(pairs=pairs))
    decision = (yield from turns(allowed, act=None)).steps[-1].decision
    if decision.pair is None:
        raise ConstraintError(f"The router chose no pair. {decision.reason}")
    return decision


def _query(state: Any) -> Query:
    """Make a query from any state: a text, a message, messages, a mapping with messages, or any other JSON."""
    if isinstance(state, Mapping) and state.get("messages"):
        state = state["messages"]
    told = isinstance(state, Sequence) and any(isinstance(part, BaseMessage) for part in state)
    if isinstance(state, str | BaseMessage) or told:
        return read_ask(state, {})
    return Query(text=json.dumps(state, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseMessage):
        return messages_to_dict([value])[0]
    raise InvalidInputError(f"The state holds {value!r}, which is neither JSON nor a message.")
