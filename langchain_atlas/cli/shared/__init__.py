"""What several commands share: options, settings, loading, and what they print."""
