"""Is it worth routing at all? Profiling, replay, metrics, reports."""
