"""The parts of the report: the measurements (sweeps), the clusters and their map, and the page."""
