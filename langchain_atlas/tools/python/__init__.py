"""Running Python that a model wrote, in a sandbox."""
