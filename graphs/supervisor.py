"""A ready graph: ATLAS as one node of a larger one, where a supervisor hands work to two workers.

The answerer is ATLAS. The bookkeeper tells what a conversation has cost so far, from the records that the answers
carry. The supervisor reads who is meant, and is asked again when a worker is done. Served by ``langgraph dev``.
"""

import re
from typing import Any, Literal

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from langchain_atlas import AtlasNode, ClusterRouter, LazyRouter, LiveExecutor, OutcomeTable, Pool
from langchain_atlas.demo import OUTCOMES, POOL
from langchain_atlas.integrations.graphs.graph import AtlasState
from langchain_atlas.integrations.messages import AtlasContext

ABOUT_MONEY = re.compile(r"\b(cost|costs|spent|spend|bill)\b", re.IGNORECASE)


def supervise(state: AtlasState) -> Command[Literal["answerer", "bookkeeper", "__end__"]]:
    """Hand a human's message to a worker; once a worker has spoken, end."""
    last = state["messages"][-1]
    if not isinstance(last, HumanMessage):
        return Command(goto=END)
    return Command(goto="bookkeeper" if ABOUT_MONEY.search(last.text) else "answerer")


def keep_books(state: AtlasState) -> Command[Literal["supervisor"]]:
    """Add up what the answers of this conversation cost."""
    records = [
        message.response_metadata.get("atlas") for message in state["messages"] if isinstance(message, AIMessage)
    ]
    costs = [record["cost_usd"] for record in records if record]
    known = [cost for cost in costs if cost is not None]
    unknown = f" The cost of {len(costs) - len(known)} is not known." if len(known) < len(costs) else ""
    text = f"{len(costs)} answers so far, for ${sum(known):.6f}.{unknown}"
    update: dict[str, Any] = {"messages": [AIMessage(text, name="bookkeeper")]}
    return Command(update=update, goto="supervisor")


router = LazyRouter(lambda: ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES)))
answerer = AtlasNode(router, LiveExecutor(Pool.load(POOL)), goto="supervisor")

builder = StateGraph(AtlasState, context_schema=AtlasContext)
builder.add_node("supervisor", supervise)
builder.add_node("answerer", answerer, destinations=("supervisor",))
builder.add_node("bookkeeper", keep_books)
builder.add_edge(START, "supervisor")
graph = builder.compile(name="supervisor")
