"""A trained folder routes live, on the embedded models, with the trajectory in the graph's state."""

import json
from pathlib import Path

import pytest

from langchain_atlas import demo
from langchain_atlas.execution.live import LiveExecutor
from langchain_atlas.integrations.graphs.graph import create_atlas_graph
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pool
from langchain_atlas.routers.base import Router
from langchain_atlas.trajectory import Trajectory

QUICK = TrainingConfig(
    pretraining=PretrainingConfig(belief_steps=150, gain_steps=150), ppo=PPOConfig(steps=5), cautious=False
)


@pytest.mark.slow
def test_a_trained_folder_routes_live(tmp_path: Path) -> None:
    outcomes = OutcomeTable.load(demo.OUTCOMES)
    seen, unseen = demo.split(outcomes.query_ids)
    train(outcomes.select(query_ids=seen), config=QUICK).save(tmp_path / "router")
    router = Router.load(tmp_path / "router").configure(cost_weight=0.0)
    graph = create_atlas_graph(router, LiveExecutor(Pool.load(demo.POOL))).compile()
    calls = []
    for query in outcomes.select(query_ids=unseen[:3]).queries:
        state = graph.invoke({"messages": [("user", query.text)]})
        trajectory = Trajectory.from_json({"steps": json.loads(json.dumps(state["atlas"]["steps"]))})
        assert trajectory.done
        assert 1 <= trajectory.calls <= 4
        assert trajectory.answered_by is not None
        assert state["messages"][-1].content == trajectory.answer
        assert set(observation.pair for observation in trajectory.observations) <= set(router.pairs)  # noqa: C401
        calls.append(trajectory.calls)
    assert max(calls) > 1, "at no price, it asks again"
