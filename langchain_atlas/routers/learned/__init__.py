"""Baselines that are learned from vectors or texts."""
