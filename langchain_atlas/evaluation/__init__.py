"""Is routing worthwhile? Profiling, replay, metrics, reports."""
