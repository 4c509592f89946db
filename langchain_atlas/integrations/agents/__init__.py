"""Routing the model calls of `langchain.agents.create_agent`."""
