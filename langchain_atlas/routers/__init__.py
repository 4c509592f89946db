"""Routers: they decide which pair answers a query."""
