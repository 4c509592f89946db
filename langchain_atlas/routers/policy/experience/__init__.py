"""What a policy remembers of recorded outcomes, and the numbers it reads from them."""
