"""What stands in the text that models write: thoughts, JSON, calls of tools, and markup of chat templates."""
