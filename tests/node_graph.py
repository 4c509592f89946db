"""A graph around ATLAS's node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langchain_atlas.integrations.graphs.graph import AtlasState

if TYPE_CHECKING:
    from langchain_atlas import AtlasNode

Graph = CompiledStateGraph[Any, Any, Any, Any]
"""A graph that can be run."""


def node_graph(
    node: AtlasNode, name: str = "ask", *, context_schema: type | None = None, **settings: Any
) -> StateGraph[Any, Any, Any, Any]:
    """Make a graph, still to be compiled, in which the node is all there is.

    Args:
        node: the node.
        name: what it is called.
        context_schema: of the graph's context, if it has one.
        settings: of the node in the graph, such as ``retry_policy``.
    """
    builder: StateGraph[Any, Any, Any, Any] = StateGraph(AtlasState, context_schema=context_schema)
    builder.add_node(name, node, **settings)
    builder.add_edge(START, name)
    builder.add_edge(name, END)
    return builder
