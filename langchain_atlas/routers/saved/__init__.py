"""Saved routers: what their folders hold, and what they decide by."""
