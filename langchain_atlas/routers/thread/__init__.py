"""Routers that know the thread: what leaving a pair costs, and how its tool loop goes."""
