"""Learned baselines, from embeddings or texts."""
