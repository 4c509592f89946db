"""Members come and go: what a new pair's probes say, and what it costs that a model leaves."""
