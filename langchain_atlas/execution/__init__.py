"""Executors, which run pairs, and invocations."""
