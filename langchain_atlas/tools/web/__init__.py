"""Fetching from the network, bounded, without reaching into the private one."""
