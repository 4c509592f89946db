"""Path one: the cluster router."""
