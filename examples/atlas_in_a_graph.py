"""ATLAS as one node of an existing graph, offline on the embedded models.

The graph has a node before ATLAS that tidies the question and one after it that signs the answer. For a hosted provider
change the pool: Pool.load("pool.yaml"), and the router: Router.load("router").

Run with: python examples/atlas_in_a_graph.py
"""

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, StateGraph

from langchain_atlas import AtlasNode, ClusterRouter, LiveExecutor, OutcomeTable, Pool
from langchain_atlas.demo import OUTCOMES, POOL
from langchain_atlas.integrations.graphs.graph import AtlasState

QUESTIONS = (
    " What is 38.46 times 27? ",  # for the calculator
    "In which year was the Halvard lighthouse built?",  # for the search in the town's documents
    "What is the plural of child?",  # for whichever pair is good with words
)


def tidy(state: AtlasState) -> AtlasState:
    """Strip the question; the message keeps its id, so it is replaced in place."""
    question = state["messages"][-1]
    return {"messages": [HumanMessage(str(question.content).strip(), id=question.id)]}


def sign(state: AtlasState) -> AtlasState:
    """Say who answered."""
    record = state["atlas"]
    return {"messages": [AIMessage(f"(answered by {record['pair']} for ${record['cost_usd']:.2g})")]}


def main() -> None:
    """Build the graph and ask it three things."""
    router = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES))
    builder = StateGraph(AtlasState)
    builder.add_node("tidy", tidy)
    builder.add_node("atlas", AtlasNode(router, LiveExecutor(Pool.load(POOL))))
    builder.add_node("sign", sign)
    builder.add_edge(START, "tidy")
    builder.add_edge("tidy", "atlas")
    builder.add_edge("atlas", "sign")
    builder.add_edge("sign", END)
    graph = builder.compile()
    for question in QUESTIONS:
        state = graph.invoke({"messages": [HumanMessage(question)]})
        print(question.strip(), "->", state["messages"][-2].content, state["messages"][-1].content)


if __name__ == "__main__":
    main()
