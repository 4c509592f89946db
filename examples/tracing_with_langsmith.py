"""A trace in LangSmith, with feedback on it. Offline on the embedded models.

The trace goes to a server on this machine that keeps it. With LANGSMITH_API_KEY set, change one line to have it go to
LangSmith: client = Client().

Run with: python examples/tracing_with_langsmith.py
"""

from uuid import uuid4

from langchain_core.messages import HumanMessage
from langsmith import Client, tracing_context

from langchain_atlas import ClusterRouter, LiveExecutor, OutcomeTable, Pool, create_atlas_graph
from langchain_atlas.demo import OUTCOMES, POOL
from langchain_atlas.evaluation.scoring.feedback import send_feedback
from langchain_atlas.testing import TracedRun, TraceServer

QUESTION, ANSWER = "What is 38.46 times 27?", "1038.42"


def show(server: TraceServer, run: TracedRun, depth: int = 0) -> None:
    """Print a run and its child runs."""
    known = {name.removeprefix("atlas_"): value for name, value in run.metadata.items() if name.startswith("atlas_")}
    told = ", ".join(f"{name}={known[name]}" for name in ("kind", "pair", "rule", "cost_usd") if name in known)
    print("   " * depth + run.name + (f" [{told}]" if told else ""))
    for child in server.children(run):
        show(server, child, depth + 1)


def main() -> None:
    """Trace one run, and say how good it was."""
    router = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES))
    graph = create_atlas_graph(router, LiveExecutor(Pool.load(POOL))).compile()
    with TraceServer() as server:
        client = Client(api_url=server.url, api_key="any")
        run_id = uuid4()
        with tracing_context(enabled=True, client=client):
            state = graph.invoke({"messages": [HumanMessage(QUESTION)]}, {"run_id": run_id})
        answer = state["messages"][-1].content
        send_feedback(client, run_id, state["atlas"], score=float(answer == ANSWER))
        client.flush()
        print(QUESTION, "->", answer)
        show(server, server.children()[0])
        print("feedback:", {entry["key"]: entry["score"] for entry in server.feedback})


if __name__ == "__main__":
    main()
