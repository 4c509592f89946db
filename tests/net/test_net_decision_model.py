"""What the decision model answers stays what it is; where langchain-core has no decision models, around stand-ins."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel
from scenes import InTurn
from snapshots import check_cases, compare

from langchain_atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE, THERE = "langchain_atlas.integrations.decision_model", "langchain_core.decisions"


class Choice(BaseModel):
    """A question whose answer is one of several labels."""

    type: Literal["choice"] = "choice"
    instructions: str
    criteria: dict[str, str]


class ChoiceAnswer(BaseModel):
    """Its answer."""

    type: str
    choice: str
    probabilities: dict[str, float]
    confidence: float


class ClassifierResponse(BaseModel):
    """The answers to several questions."""

    model: str
    answers: dict[str, Any]


class BaseDecisionModel(BaseModel):
    """As much of langchain-core's as ours needs."""

    def invoke(self, asked: Mapping[str, Any]) -> Any:
        """Answer."""
        return self._classify(asked["state"], asked["questions"])  # type: ignore[attr-defined]

    async def ainvoke(self, asked: Mapping[str, Any]) -> Any:
        """Answer, on the event loop."""
        return await self._aclassify(asked["state"], asked["questions"])  # type: ignore[attr-defined]


@pytest.fixture
def decision_model() -> Iterator[tuple[Any, Any]]:
    """Return the class of the decision model, and that of its questions."""
    if importlib.util.find_spec(THERE) is not None:
        yield importlib.import_module(HERE).AtlasDecisionModel, importlib.import_module(THERE).Choice
        return
    stand_in = ModuleType(THERE)
    for kind in (BaseDecisionModel, Choice, ChoiceAnswer, ClassifierResponse):
        setattr(stand_in, kind.__name__, kind)
    sys.modules[THERE] = stand_in
    sys.modules.pop(HERE, None)
    try:
        yield importlib.import_module(HERE).AtlasDecisionModel, Choice
    finally:
        del sys.modules[THERE], sys.modules[HERE]


CASES: dict[str, tuple[InTurn, Any, dict[str, list[str]]]] = {
    "pairs": (InTurn("small@@none", "large@@none"), "hello", {"which": ["small@@none", "large@@none"]}),
    "models": (
        InTurn("large@@none", "small@@none", thoughts=1),
        {"messages": [("user", "hi")]},
        {"m": ["small", "large"]},
    ),
    "a label of nobody": (InTurn("small@@none"), "hello", {"which": ["huge"]}),
}


@pytest.mark.parametrize("case", CASES)
def test_stays(case: str, decision_model: tuple[Any, Any]) -> None:
    kind, choice = decision_model
    router, state, questions = CASES[case]
    asked = {
        "state": state,
        "questions": {
            name: choice(instructions="Choose.", criteria=dict.fromkeys(labels, "it fits"))
            for name, labels in questions.items()
        },
    }
    model = kind(router=router)

    def answered(run: Any) -> Any:
        try:
            answers = run().answers
        except AtlasError as error:
            return f"{type(error).__name__}: {error}"
        return {name: [one.choice, dict(one.probabilities), one.confidence] for name, one in answers.items()}

    forms = {
        "invoke": answered(lambda: model.invoke(asked)),
        "ainvoke": answered(lambda: asyncio.run(model.ainvoke(asked))),
    }
    compare("decision model", case, forms)


def test_nothing_else_is_kept() -> None:
    check_cases("decision model", set(CASES))
