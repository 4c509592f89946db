"""Running every pair on every query, and recording the outcomes."""
