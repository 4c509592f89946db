"""Building the LangChain chat model for each model of a pool, through LiteLLM."""

from __future__ import annotations

import copy
import importlib
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import PoolError
from langchain_atlas.execution.models.bounds import MAX_REPLY_BYTES, install
from langchain_atlas.masking import remember
from langchain_atlas.pool.embedded import is_embedded
from langchain_atlas.pool.gateway import without_gateway
from langchain_atlas.pool.option_secrets import filled
from langchain_atlas.warming import import_for_calls

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from langchain_atlas.pool.pool import Model


def check_key(model: Model) -> None:
    """Make sure that a model's own key variable is set.

    Raises:
        PoolError: the variable that the model, or one of its options, names is not set.
    """
    if model.api_key_env is not None and not os.environ.get(model.api_key_env):
        raise PoolError(
            f"Model {model.name!r} takes its key from the environment variable {model.api_key_env!r}, which is not set."
        )
    remember(None if model.api_key_env is None else os.environ[model.api_key_env])
    filled(model.options)


def remember_keys(*chat_models: BaseChatModel) -> None:
    """Remember the keys in the user's own chat models, so that they are masked everywhere."""
    for chat_model in chat_models:
        for name, value in chat_model:
            if hasattr(value, "get_secret_value") or name.endswith("api_key"):
                remember(value)


def build_chat_model(
    model: Model, *, timeout_s: float, retries: int, max_reply_bytes: int = MAX_REPLY_BYTES
) -> BaseChatModel:
    """Build the chat model for `model`.

    Each object serves a single model: `ChatLiteLLM` reports its constructor's model in every reply, even if a call
    overrides it.

    Args:
        model: the pool's model.
        timeout_s: seconds that a call may take, including its retries and the pauses between them.
        retries: how often a request that failed for a transient reason is repeated.
        max_reply_bytes: maximum size of a reply, in bytes.
    """
    import_for_calls()
    install()
    chat_litellm = importlib.import_module("langchain_atlas.execution.models.litellm_chat").RetryingChatLiteLLM
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True  # otherwise it prints where to report bugs whenever a provider rejects a request
    if is_embedded(model.litellm):
        importlib.import_module("langchain_atlas.local").register()
    _warm_up(litellm, model)
    options = filled(model.options)
    known = {name: value for name, value in options.items() if name in chat_litellm.model_fields}
    other = {name: value for name, value in options.items() if name not in known}
    chat_model: BaseChatModel = chat_litellm(
        **{
            "model": model.litellm,
            "request_timeout": timeout_s,
            "api_key": os.environ.get(model.api_key_env) if model.api_key_env else None,
            "retries": retries,
            "max_reply_bytes": max_reply_bytes,
            **known,
            "model_kwargs": {"num_retries": 0, **without_gateway(), **other, **known.get("model_kwargs", {})},
        }
    )
    return chat_model


def _warm_up(litellm: Any, model: Model) -> None:
    """Have LiteLLM do what it would do during the first call, whose latency is recorded. Sends no request."""
    with suppress(Exception):  # otherwise certificates are read on the event loop, at the first call
        importlib.import_module("litellm.llms.custom_httpx.http_handler").get_ssl_configuration()
    with suppress(Exception):  # if something is wrong, the call itself reports it better
        litellm_id, provider, _, _ = litellm.get_llm_provider(
            model.litellm, model.options.get("custom_llm_provider"), model.options.get("api_base")
        )
        litellm.utils.get_optional_params(model=litellm_id, custom_llm_provider=provider, temperature=0.0)
        if provider in {"openai", "azure", "text-completion-openai", *litellm.openai_compatible_providers}:
            openai = importlib.import_module("openai")
            with openai.OpenAI(api_key="none", base_url="http://127.0.0.1") as client:
                client.chat.completions  # noqa: B018  # OpenAI's client imports its resources on first access


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    """Wrap a copy of a JSON schema as the OpenAI-style ``response_format``; LiteLLM rewrites it for some providers."""
    return {"type": "json_schema", "json_schema": {"name": "call", "schema": copy.deepcopy(schema), "strict": True}}


def drawn_anew(
    chat_model: BaseChatModel, options: dict[str, Any], model: Model, sample: int
) -> tuple[BaseChatModel, dict[str, Any]]:
    """Return the chat model and the options for one of several samples of a prompt.

    The caches of LangChain and LiteLLM identify a call by its prompt and parameters, and would return the same reply
    for all samples; so would a fixed seed.

    Args:
        chat_model: the model's chat model.
        options: parameters of the call.
        model: the pool's model.
        sample: number of the sample, from 0.
    """
    changed = dict(options)
    seed = options.get("seed", model.options.get("seed"))
    if isinstance(seed, int):
        changed["seed"] = seed + sample
    litellm_chat = sys.modules.get("langchain_litellm")  # if not loaded, the chat model is not one of its classes
    if litellm_chat is not None and isinstance(chat_model, litellm_chat.ChatLiteLLM):
        changed["cache"] = {"no-cache": True, "no-store": True}
    return chat_model.model_copy(update={"cache": False}), changed
