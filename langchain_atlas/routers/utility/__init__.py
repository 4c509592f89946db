"""Routers that estimate every pair's score, cost and latency, and take the best of them: the choice and its guard."""
