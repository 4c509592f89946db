"""What replies cost: tokens and dollars, each counted once."""
