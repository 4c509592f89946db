"""Path two: a policy that asks again."""
