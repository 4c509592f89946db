"""What LangChain asks of a chat model apart from replies: what it can do, and how long a text is in tokens."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.language_models import ModelProfile

    from langchain_atlas.pool import Pool


def profile_of(pool: Pool) -> ModelProfile:
    """Return what can be relied on, whichever of a pool's models is chosen.

    Images and tools go to models that take them, so one such model will do; a prompt must fit every model, and a reply
    is kept to a schema for sure only where every model can.

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
    """Return a text in tokens, of the one encoding that LiteLLM brings along, so that no network is needed.

    Which model will be chosen is not known yet, and others count a little differently.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else importing LiteLLM looks for the network
    litellm: Any = import_module("litellm")
    return [int(number) for number in litellm.encode(model="", text=text)]
