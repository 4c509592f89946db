"""How a model is called: through LiteLLM, bounded, and with plain values in its replies."""
