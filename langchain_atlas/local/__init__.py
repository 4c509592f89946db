"""Embedded models: real, small, offline, without a key.

After `register()`, LiteLLM and everything built on it can call them like the models of any provider:

    register()
    litellm.completion(model="atlas-local/smollm2-135m", messages=[...])
    ChatLiteLLM(model="atlas-local/gemma-3-270m")

They run in this process, with one engine per model, loaded on the first request and freed at exit. They need
`pip install 'langchain-atlas[local]'`.

What they can do:
    Sync and async calls, with or without streaming; `temperature` (default 0), `max_tokens` (default 256), `stop`,
    `seed`, `top_p`, `top_k`, `min_p`, penalties, `logit_bias`; `response_format` with a JSON schema or
    "json_object"; token usage, in streams too. JSON is formatted like the output of `json.dumps`.
Tools:
    With `tool_choice` "required" or a named tool, the answer is constrained to a call of it, one call per
    request. Limit strings in its schema (`maxLength`), or a small model may write until it runs out of tokens.
    With "auto" or no `tool_choice`, the tools are ignored: models of this size do not choose to call one.
Timeouts and cancelling:
    A caller stops waiting immediately. The engine itself stops at its next token, but not while it reads the
    prompt.
What they can't do:
    Images, log-probabilities, several answers per request; a request for one of these fails with an error.
"""

from langchain_atlas.local.engine import shutdown
from langchain_atlas.local.models import MODELS, LocalModel, find_model, installed_models
from langchain_atlas.pool.embedded import PROVIDER

__all__ = ["MODELS", "PROVIDER", "LocalModel", "find_model", "installed_models", "register", "shutdown"]


def register() -> None:
    """Register the embedded models with LiteLLM, as `atlas-local/<name>`.

    Loads LiteLLM but no model. Can be called any number of times, from any thread; other custom providers stay
    registered.
    """
    from langchain_atlas.local.provider import add_to_litellm

    add_to_litellm()
