"""A language model as the policy, trained on recorded outcomes."""
