"""Drift: what changed since the router was fitted, found in a store by sequential tests."""
