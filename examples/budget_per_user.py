"""A budget for each user, kept in LangGraph's store. Offline on the embedded models, whose prices are nominal.

What a user has left goes along as the run's `max_cost_usd`: the router then keeps to pairs that are expected to cost no
more, and refuses when there is none. For a hosted provider change the pool: Pool.load("pool.yaml"), the router:
Router.load("router"), and the store: PostgresStore.

Run with: python examples/budget_per_user.py
"""

from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

from langchain_atlas import ClusterRouter, LiveExecutor, OutcomeTable, Pool, create_atlas_graph
from langchain_atlas.demo import OUTCOMES, POOL
from langchain_atlas.errors import ConstraintError
from langchain_atlas.integrations.messages import AtlasContext

BUDGETS = {"ann": 1e-5, "bob": 2e-6}
"""Dollars that each user may spend."""

QUESTIONS = (
    "In which year was the lighthouse built?",
    "What is 38.46 times 27?",
    "Name an animal that lives in the sea.",
)


def spent(store: BaseStore, user: str) -> float:
    """Return what a user has spent."""
    item = store.get(("spent",), user)
    return float(item.value["usd"]) if item else 0.0


def ask(graph: Any, store: BaseStore, user: str, question: str) -> str:
    """Ask on a user's account."""
    left = BUDGETS[user] - spent(store, user)
    try:
        state = graph.invoke({"messages": [HumanMessage(question)]}, context=AtlasContext(max_cost_usd=max(left, 0.0)))
    except ConstraintError:
        return f"your budget is used up: ${left:.2g} left"
    record = state["atlas"]
    cost = left if record["cost_usd"] is None else record["cost_usd"]  # what nobody knows counts as all that was left
    store.put(("spent",), user, {"usd": spent(store, user) + cost})
    return f"{state['messages'][-1].content} ({record['pair']}, ${cost:.2g})"


def main() -> None:
    """Have two users ask the same things."""
    store = InMemoryStore()
    router = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES))
    graph = create_atlas_graph(router, LiveExecutor(Pool.load(POOL))).compile()
    for user, budget in BUDGETS.items():
        for question in QUESTIONS:
            print(f"{user}: {question}", "->", ask(graph, store, user, question))
        print(f"{user} spent ${spent(store, user):.2g} of ${budget:.2g}")


if __name__ == "__main__":
    main()
