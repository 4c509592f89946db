"""Calls of tools: how they are offered to a model, and how its calls are read."""
