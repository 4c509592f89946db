"""The loop: its turns, the effects that a turn may want, and what it needs of routers and executors."""

from langchain_atlas.loop.turns import MAX_TURNS, asolve, solve

__all__ = ["MAX_TURNS", "asolve", "solve"]
