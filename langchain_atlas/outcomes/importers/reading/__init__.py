"""What importers share: rows of any shape, columns by name, values, and rules for scores."""
