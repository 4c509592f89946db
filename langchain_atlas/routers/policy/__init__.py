"""Path two: a policy that can call several pairs."""
