"""Which setting a router should have, measured on held-out queries."""
