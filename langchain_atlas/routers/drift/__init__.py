"""Drift: sequential tests for what changes while a router is in use, and events with what they found."""
