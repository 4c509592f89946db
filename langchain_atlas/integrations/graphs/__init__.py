"""LangGraph: the node, the graph, and what a checkpoint keeps of their runs."""
