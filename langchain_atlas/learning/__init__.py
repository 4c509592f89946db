"""How path two learns: on recorded outcomes, replayed."""
