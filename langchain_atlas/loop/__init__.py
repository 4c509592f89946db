"""The loop: its turns, the effects that a turn may want, and what it needs of routers and executors."""

from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS
from langchain_atlas.loop.turns import asolve, solve

__all__ = ["MAX_TURNS", "asolve", "solve"]
