"""Logs of one pair a query: replay can't judge a router there, so its results are estimated."""
