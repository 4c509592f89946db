"""How well a run went, as LangSmith keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langsmith import Client, evaluate
from langsmith.schemas import Example

from langchain_atlas import Decision, Observation, Pair, Trajectory, create_atlas_graph, solve
from langchain_atlas.errors import InvalidInputError
from langchain_atlas.evaluation.scoring.feedback import KEYS, evaluator, feedback, send_feedback
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter, TraceServer
from langchain_atlas.trajectory import Candidate

if TYPE_CHECKING:
    from langchain_atlas import Router

SMALL = Pair("small", "none")


def router() -> Router:
    chosen = Candidate(pair=SMALL, expected_success=0.75)
    return ScriptedRouter(Decision(kind="route", pair=SMALL, chosen=chosen))


def answered() -> Trajectory:
    seen = Observation(pair=SMALL, answer="42", cost_usd=0.002, latency_s=1.5)
    return solve("Six times seven?", router(), ScriptedExecutor({"small@@none": seen}))


def test_feedback_says_what_is_known() -> None:
    assert {entry["key"]: entry["score"] for entry in feedback(answered(), score=1.0)} == {
        "atlas_correct": 1.0,
        "atlas_answered": 1.0,
        "atlas_calls": 1.0,
        "atlas_cost_usd_per_1k": 2.0,
        "atlas_latency_s": 1.5,
        "atlas_surprise": 0.25,
    }
    assert {entry["comment"] for entry in feedback(answered())} == {"small@@none"}


def test_what_is_unknown_is_left_out() -> None:
    failed = solve("Why?", ScriptedRouter("small@@none"), ScriptedExecutor({"small@@none": RuntimeError("gone")}))
    assert {entry["key"]: entry["score"] for entry in feedback(failed, score=0.0)} == {
        "atlas_correct": 0.0,
        "atlas_answered": 0.0,
        "atlas_calls": 1.0,
    }
    assert "atlas_correct" not in {entry["key"] for entry in feedback(failed)}


def test_a_graphs_record_does_as_well() -> None:
    trajectory = answered()
    assert feedback({"pair": "small@@none", "steps": trajectory.to_json()["steps"]}) == feedback(trajectory)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_is_from_0_to_1(score: float) -> None:
    with pytest.raises(InvalidInputError, match=r"it must be a number from 0 \(wrong\) to 1 \(right\)"):
        feedback(answered(), score=score)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        feedback({"messages": []})


def test_feedback_arrives_at_its_run() -> None:
    run_id = uuid4()
    with TraceServer() as server:
        client = Client(api_url=server.url, api_key="any")
        send_feedback(client, run_id, answered(), score=1.0)
        client.flush()
        client.close()
    assert {entry["run_id"] for entry in server.feedback} == {str(run_id)}
    assert {entry["key"] for entry in server.feedback} == set(KEYS)


@pytest.mark.filterwarnings("ignore:'upload_results' parameter is in beta")
def test_langsmiths_evaluate_runs_offline_with_these_keys() -> None:
    graph = create_atlas_graph(router(), ScriptedExecutor({"small@@none": "42"})).compile()

    def target(inputs: dict[str, Any]) -> Any:
        return graph.invoke({"messages": [HumanMessage(inputs["question"])]})

    def is_right(outputs: Any, reference: Any) -> float:
        return float(outputs["messages"][-1].content == reference["answer"])

    asked = {"Six times seven?": "42", "Six times eight?": "48"}
    examples = [Example(id=uuid4(), inputs={"question": q}, outputs={"answer": a}) for q, a in asked.items()]
    with TraceServer() as server:
        client = Client(api_url=server.url, api_key="any")
        results = evaluate(target, data=examples, evaluators=[evaluator(is_right)], upload_results=False, client=client)
        scores = {
            result["example"].inputs["question"]: {
                item.key: item.score for item in result["evaluation_results"]["results"]
            }
            for result in results
        }
        client.flush()
        client.close()
    assert scores["Six times seven?"]["atlas_correct"] == 1.0
    assert scores["Six times seven?"]["atlas_surprise"] == 0.25
    assert scores["Six times eight?"]["atlas_correct"] == 0.0
    assert scores["Six times eight?"]["atlas_surprise"] == -0.75
