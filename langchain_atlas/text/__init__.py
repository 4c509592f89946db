"""Reading text that models write: reasoning, JSON, tool calls, and chat template markup."""
