"""Who acts: executors and invocations."""
