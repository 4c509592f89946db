"""How path two learns: by replay of recorded outcomes."""
