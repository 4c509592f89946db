"""The parts of the report: what is measured (sweeps), the clusters and their map, and the page they are shown on."""
