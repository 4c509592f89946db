"""Embedded models: real, small, offline, without a key.

After `register()`, LiteLLM and everything on top of it reach them as they reach any provider:

    register()
    litellm.completion(model="atlas-local/smollm2-135m", messages=[...])
    ChatLiteLLM(model="atlas-local/gemma-3-270m")

They run in this process, one engine per model, loaded at the first request and freed at exit. They need
`pip install 'langchain-atlas[local]'`.

What they can do:
    Sync, async, and both streamed; `temperature` (0 unless given), `max_tokens` (256 unless given), `stop`,
    `seed`, `top_p`, `top_k`, `min_p`, penalties, `logit_bias`; `response_format` with a JSON schema or
    "json_object"; token usage, in streams too. JSON comes laid out as `json.dumps` does it.
Tools:
    With `tool_choice` "required" or a named tool, the answer is constrained to a call of it, one call a
    request. Cap strings in its schema (`maxLength`), or a small model writes until it runs out of tokens.
    With "auto" or none the tools are ignored: models of this size do not choose to call one.
Timeouts and cancelling:
    A caller stops waiting at once. The engine itself stops at its next token, and not while it reads the
    prompt.
What they can't:
    Images, log-probabilities, several answers a request; of these the request says so.
"""

from langchain_atlas.local.engine import shutdown
from langchain_atlas.local.models import MODELS, LocalModel, find_model, installed_models

__all__ = ["MODELS", "PROVIDER", "LocalModel", "find_model", "installed_models", "register", "shutdown"]

PROVIDER = "atlas-local"
"""The part before the slash in a LiteLLM model id."""


def register() -> None:
    """Make LiteLLM know the embedded models, as `atlas-local/<name>`.

    Loads LiteLLM but no model. May be called any number of times, from any thread; other custom providers
    stay registered.
    """
    from langchain_atlas.local.provider import add_to_litellm

    add_to_litellm()
