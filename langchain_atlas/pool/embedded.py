"""Which models run in this process: those of the LiteLLM provider that `langchain_atlas.local` registers."""

PROVIDER = "atlas-local"
"""Name of the provider, by which LiteLLM's ids of embedded models begin."""
EMBEDDED = f"{PROVIDER}/"
"""What those ids begin with."""


def is_embedded(litellm: object) -> bool:
    """Return whether LiteLLM's id of a model is that of an embedded one."""
    return str(litellm).startswith(EMBEDDED)
