"""A human approves, refuses or changes a route before a costly pair runs. Offline on the embedded models.

The graph stops with an interrupt, may be kept for days by its checkpointer, and goes on with the human's word. For a
hosted provider change the pool: Pool.load("pool.yaml"), and the router: Router.load("router"); then approve=0.01 asks
above a cent.

Run with: python examples/human_approval.py
"""

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_atlas import ClusterRouter, Decision, LiveExecutor, OutcomeTable, Pool, Query, create_atlas_graph
from langchain_atlas.demo import OUTCOMES, POOL

WORDS = {
    "In which year was the lighthouse built?": True,  # run the pair that the router chose
    "In which country does the Eiffel Tower stand?": "smollm2-135m@@none",  # run this one instead
    "What is 38.46 times 27?": False,  # run nothing
}
"""What the human says to each question."""


def is_costly(query: Query, decision: Decision) -> bool:
    """Ask about every call of the larger model."""
    del query
    return decision.pair is not None and decision.pair.model == "gemma-3-270m"


def main() -> None:
    """Ask three questions, and have a human approve each call."""
    router = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES))
    builder = create_atlas_graph(router, LiveExecutor(Pool.load(POOL)), approve=is_costly)
    graph = builder.compile(checkpointer=InMemorySaver())
    for number, (question, word) in enumerate(WORDS.items()):
        config = {"configurable": {"thread_id": str(number)}}
        state = graph.invoke({"messages": [HumanMessage(question)]}, config)
        for stop in state.get("__interrupt__", ()):
            print(f"May {stop.value['pair']} run for ${stop.value['expected_cost_usd']:.2g}? {word}")
            state = graph.invoke(Command(resume=word), config)
        print(question, "->", state["messages"][-1].content, f"({state['atlas']['pair']})")


if __name__ == "__main__":
    main()
