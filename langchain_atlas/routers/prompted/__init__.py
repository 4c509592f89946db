"""A language model as the policy."""
