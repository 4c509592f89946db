"""ATLAS as a decision model of langchain-core 1.8 and newer; docs/langchain.md says how these tests are run."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import math
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_atlas.errors import ConstraintError, InvalidInputError, MissingExtraError, PoolError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.testing import ScriptedRouter
from langchain_atlas.trajectory import START, Candidate, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

if importlib.util.find_spec("langchain_core.decisions") is None:
    with pytest.raises(MissingExtraError, match=r"pip install 'langchain-core>=1\.8'"):
        importlib.import_module("langchain_atlas.integrations.decision_model")
    pytest.skip("needs langchain-core 1.8, which has decision models", allow_module_level=True)

from langchain_core.decisions import Choice, Noul

from langchain_atlas.integrations.decision_model import AtlasDecisionModel

WORTH = {"small@@none": 0.5, "small@@calculator": 0.7, "large@@none": 0.6}


class Known(Router):
    """Knows what every pair is worth, and has a limit on what may be asked."""

    def __init__(self, barred: str = "") -> None:
        self.barred = barred
        self.seen: list[Query] = []

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(map(Pair.parse, WORTH))

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:  # noqa: ARG002
        self.seen.append(query)
        allowed = [pair for pair in self.pairs if pair in (query.constraints.pairs or ()) and str(pair) != self.barred]
        if not allowed:
            raise ConstraintError("no pair is left")
        best = max(allowed, key=lambda pair: WORTH[str(pair)])
        chosen = Candidate(pair=best, expected_success=0.9, utility=WORTH[str(best)])
        return Decision(kind="route", pair=best, chosen=chosen)


@pytest.fixture(params=["sync", "async"])
def classify(request: pytest.FixtureRequest) -> Callable[..., Any]:
    def run(model: AtlasDecisionModel, state: Any, **questions: Any) -> Any:
        asked: Any = {"state": state, "questions": questions}
        return model.invoke(asked) if request.param == "sync" else asyncio.run(model.ainvoke(asked))

    return run


def among(*labels: str) -> Choice:
    return Choice(instructions="Which one?", criteria=dict.fromkeys(labels))


def test_a_choice_among_models_is_the_routers(classify: Callable[..., Any]) -> None:
    response = classify(AtlasDecisionModel(router=Known()), "hello", one=among("small", "large"))
    answer = response.choices["one"]
    assert answer.choice == "small"
    assert answer.probabilities == pytest.approx({"small": math.e / (1 + math.e), "large": 1 / (1 + math.e)})
    assert answer.confidence == answer.probabilities["small"]
    assert response.model == "langchain-atlas"


def test_a_choice_among_pairs_and_labels_of_ones_own(classify: Callable[..., Any]) -> None:
    model = AtlasDecisionModel(router=Known(), labels={"cheap": "small@@none", "good": ["large", "small@@calculator"]})
    response = classify(model, "hello", one=among("small@@none", "large@@none"), two=among("cheap", "good"))
    assert {name: answer.choice for name, answer in response.choices.items()} == {"one": "large@@none", "two": "good"}


def test_a_label_that_the_limits_rule_out_has_no_chance(classify: Callable[..., Any]) -> None:
    model = AtlasDecisionModel(router=Known(barred="small@@calculator"))
    answer = classify(model, "hello", one=among("small@@calculator", "small@@none")).choices["one"]
    assert answer.probabilities == {"small@@calculator": 0.0, "small@@none": 1.0}


def test_a_router_without_utilities_is_certain(classify: Callable[..., Any]) -> None:
    answer = classify(AtlasDecisionModel(router=ScriptedRouter("a@@none")), "hello", one=among("a")).choices["one"]
    assert (answer.choice, answer.confidence) == ("a", 1.0)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("hello", "hello"),
        (HumanMessage("hello"), "hello"),
        ([AIMessage("hm"), HumanMessage("hello")], "hello"),
        ({"messages": [HumanMessage("hello")]}, "hello"),
        ({"order": 3, "from": "Kim"}, '{"order": 3, "from": "Kim"}'),
        ([1, "two"], '[1, "two"]'),
    ],
)
def test_any_state_is_read(classify: Callable[..., Any], state: Any, text: str) -> None:
    router = Known()
    classify(AtlasDecisionModel(router=router), state, one=among("small", "large"))
    assert {query.text for query in router.seen} == {text}


def test_other_questions_and_strange_labels_are_refused(classify: Callable[..., Any]) -> None:
    model = AtlasDecisionModel(router=Known())
    with pytest.raises(InvalidInputError, match="'choice' questions"):
        classify(model, "hello", urgent=Noul(instructions="Is it urgent?"))
    with pytest.raises(PoolError, match="Label 'huge' stands for none"):
        classify(model, "hello", one=among("huge"))


@pytest.mark.filterwarnings("ignore:.*is in beta")
def test_langchains_router_middleware_takes_it() -> None:
    middleware = pytest.importorskip("langchain.agents.middleware")
    if not hasattr(middleware, "ModelRouterMiddleware"):
        pytest.skip("needs langchain 1.5, which has ModelRouterMiddleware")
    from langchain.agents import create_agent
    from langchain_core.language_models.fake_chat_models import FakeListChatModel

    models = {name: FakeListChatModel(responses=[f"{name} here"]) for name in ("small", "large")}
    choices = {name: middleware.ModelChoice(model=model, criteria=None) for name, model in models.items()}
    router = middleware.ModelRouterMiddleware(
        choices=choices, instructions="Choose.", classifier=AtlasDecisionModel(router=Known())
    )
    state = create_agent(models["large"], middleware=[router]).invoke({"messages": [HumanMessage("hello")]})
    assert state["messages"][-1].content == "small here"
    assert state["model_route"].choice == "small"
