"""What LangChain needs to know about a chat model: its capabilities, and the length of a text in tokens."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.language_models import ModelProfile

    from langchain_atlas.pool.pool import Pool


def profile_of(pool: Pool) -> ModelProfile:
    """Return the capabilities that apply whichever of a pool's models is chosen.

    Images and tools are routed to models that support them, so one such model is enough; a prompt must fit every model,
    and structured output is only guaranteed if every model supports it.

    Args:
        pool: the models that may be chosen.
    """
    sees = any("image" in model.modalities for model in pool.models)
    profile: ModelProfile = {
        "name": "atlas",
        "text_inputs": True,
        "text_outputs": True,
        "image_inputs": sees,
        "image_url_inputs": sees,
        "tool_calling": any(model.function_calling is not False for model in pool.models),
        "structured_output": all(model.structured_output is True for model in pool.models),
    }
    longest = [model.max_input_tokens for model in pool.models if model.max_input_tokens is not None]
    if longest:
        profile["max_input_tokens"] = min(longest)
    return profile


def token_ids(text: str) -> list[int]:
    """Return the token ids of a text in the encoding that ships with LiteLLM, so that no network is needed.

    The model is not chosen yet, and other encodings differ slightly.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # otherwise importing LiteLLM uses the network
    litellm: Any = import_module("litellm")
    return [int(number) for number in litellm.encode(model="", text=text)]
