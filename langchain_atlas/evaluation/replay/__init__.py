"""Routers on recorded outcomes: what they did, and what it was worth."""
