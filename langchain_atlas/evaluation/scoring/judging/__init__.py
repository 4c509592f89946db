"""A judge: a model that marks answers blind, what it costs, and how its errors are corrected."""
