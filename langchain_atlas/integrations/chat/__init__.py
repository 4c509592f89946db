"""The chat model that routes every request."""
