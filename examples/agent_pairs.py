"""Whole agents as the other half of a pair: profiled, fitted, routed, streamed and interrupted. Offline.

An agent is a function that builds a LangGraph graph around the pair's model, so that every model of the pool is paired
with it. Here a librarian looks a question up in documents about a town before its model answers, and a careful one asks
a human before that. For a hosted provider change the pool's models: Model(name="mini", litellm="openai/gpt-4o-mini"),
and let the factory return create_agent(model, tools=[...]).

Run with: python examples/agent_pairs.py
"""

import re
import tempfile
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langchain_atlas import NO_TOOL, ClusterRouter, LiveExecutor, Model, OutcomeTable, Pool, Tool, create_atlas_graph
from langchain_atlas.demo import FOLDER
from langchain_atlas.evaluation.profiling.profile import profile
from langchain_atlas.evaluation.profiling.queries import CheckableQuery
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.tools import FolderSearch

PROMPT = "{found}\n\nQuestion: {question}\nAnswer in a few words."

QUERIES = [
    ("In which year was the lighthouse built?", "1874", "town"),
    ("How tall is the lighthouse in metres?", "38", "town"),
    ("What is the capital of France?", "Paris", "world"),
    ("What is the capital of Italy?", "Rome", "world"),
]


def librarian(model: Any, *, careful: bool = False) -> Any:
    """Looks a question up in documents about the town, and answers from what it finds."""
    search = FolderSearch(FOLDER / "documents")

    def look_up(state: MessagesState) -> dict[str, Any]:
        question = state["messages"][-1].text
        if careful and interrupt(f"May I look up {question!r}?") != "yes":
            return {"messages": []}
        found = "\n".join(snippet.text for snippet in search.search(question, 2))
        return {"messages": [HumanMessage(PROMPT.format(found=found, question=question))]}

    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"][-1:])]}

    graph = StateGraph(MessagesState)
    graph.add_node("look_up", look_up)
    graph.add_node("answer", answer)
    graph.add_edge(START, "look_up")
    graph.add_edge("look_up", "answer")
    return graph.compile()


def careful_librarian(model: Any) -> Any:
    """Asks a human before it looks anything up."""
    return librarian(model, careful=True)


def main() -> None:
    """Profile two pairs, fit a router, and ask; then have an agent ask back."""
    model = Model(
        name="smollm2-135m",
        litellm="atlas-local/smollm2-135m",
        options={"temperature": 0, "max_tokens": 30},
        input_cost_per_token=1e-8,
        output_cost_per_token=4e-8,
    )
    pool = Pool(models=(model,), tools=(NO_TOOL, Tool.agent(librarian), Tool.agent(careful_librarian)))
    executor = LiveExecutor(pool)
    queries = [
        CheckableQuery.of(text, answer=answer, domain=domain, scorer="contains") for text, answer, domain in QUERIES
    ]
    profiled = pool.restrict(["smollm2-135m@@none", "smollm2-135m@@librarian"])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "outcomes.parquet"
        profile(profiled, queries, out, executor)
        table = OutcomeTable.load(out)
    router = ClusterRouter(n_clusters=2, cost_weight=0.05).fit(table)
    graph = create_atlas_graph(router, executor).compile()
    for question, _, _ in QUERIES:
        state = graph.invoke({"messages": [HumanMessage(question)]})
        (seen,) = [step["observation"] for step in state["atlas"]["steps"] if step["observation"]]
        words = re.sub(r"\s+", " ", state["messages"][-1].text)
        print(question, "->", words, f"({state['atlas']['pair']}, {seen['usage']['input_tokens']} tokens read)")

    # The agent asks a human: its question reaches the outer graph, which goes on from there.
    careful = SinglePairRouter("smollm2-135m@@careful-librarian")
    asking = create_atlas_graph(careful, executor).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    stopped = asking.invoke({"messages": [HumanMessage(QUERIES[0][0])]}, config)
    print(stopped["__interrupt__"][0].value, "-> yes")
    parts = asking.stream(Command(resume="yes"), config, stream_mode="messages")
    print("It says, word by word:", "|".join(message.text for message, _ in parts if message.text))


if __name__ == "__main__":
    main()
