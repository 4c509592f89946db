"""A ready graph: the policy that asks a pair, reads what came back, and asks another or answers.

Served by ``langgraph dev``. The policy is trained when the first question comes, briefly and on a part of the demo's
outcomes; for real use, train one with ``langchain-atlas train`` and give ``Router.load`` its folder. A call that is
expected to cost more than `DEAR` dollars, or whose cost nobody knows, waits for a human.
"""

from langchain_atlas import LazyRouter, LiveExecutor, OutcomeTable, Pool, Router, create_atlas_graph
from langchain_atlas.demo import OUTCOMES, POOL, split

DEAR = 0.01
"""Dollars of one call above which a human is asked."""
QUESTIONS = 60
"""How many of the recorded questions the policy is trained on."""


def train_policy() -> Router:
    """Train a policy on a few recorded questions."""
    from langchain_atlas.learning.ppo import PPOConfig
    from langchain_atlas.learning.pretraining import PretrainingConfig
    from langchain_atlas.learning.training import TrainingConfig, train

    outcomes = OutcomeTable.load(OUTCOMES)
    seen, _ = split(outcomes.query_ids)
    every = len(seen) // QUESTIONS
    brief = TrainingConfig(
        pretraining=PretrainingConfig(belief_steps=60, gain_steps=60), ppo=PPOConfig(steps=2), cautious=False
    )
    return train(outcomes.select(query_ids=seen[: QUESTIONS * every : every]), config=brief)


graph = create_atlas_graph(LazyRouter(train_policy), LiveExecutor(Pool.load(POOL)), approve=DEAR).compile(
    name="multi_step"
)
