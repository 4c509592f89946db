"""Which parameters a model accepts, according to LiteLLM.

Only our own defaults are ever left out: a parameter that the user set is always sent, even if the call then fails.
"""

from __future__ import annotations

import importlib
import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_BESIDE = ("reasoning_effort",)
"""Parameters that determine whether others are accepted."""


def taken(
    litellm_id: str,
    defaults: Mapping[str, Any],
    *,
    given: Mapping[str, Any] | None = None,
    refuses: Collection[str] = (),
) -> dict[str, Any]:
    """Return those of our own defaults that a model accepts.

    Args:
        litellm_id: LiteLLM's id of the model.
        defaults: parameters that we would send although the user did not set them, such as ``{"temperature": 0.8}``.
        given: the other parameters of the call.
        refuses: parameters that the model does not accept according to the pool, whatever LiteLLM knows.

    Returns:
        The accepted defaults; all of them if LiteLLM does not know the model.
    """
    left = {name: value for name, value in defaults.items() if name not in refuses}
    if not left:
        return {}
    beside = {name: (given or {}).get(name) for name in _BESIDE}
    return {name: value for name, value in left.items() if _takes(litellm_id, _written({**beside, name: value}), name)}


def _written(parameters: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in parameters.items() if value is not None}, default=str)


@lru_cache(maxsize=4096)
def _takes(litellm_id: str, written: str, name: str) -> bool:
    """Return whether LiteLLM passes a parameter on; a gateway's model is also looked up under its maker's name."""
    _, _, behind = litellm_id.partition("/")
    return all(
        _passes(each, json.loads(written), name) for each in {litellm_id, behind if "/" in behind else litellm_id}
    )


def _passes(litellm_id: str, parameters: dict[str, Any], name: str) -> bool:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # otherwise its import fetches a table
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True  # otherwise it prints a lot about unknown providers
    try:
        model, provider, *_ = litellm.get_llm_provider(model=litellm_id)
        known = litellm.get_supported_openai_params(model=model, custom_llm_provider=provider)
        if known is None or name not in known:
            return known is None  # a custom provider: LiteLLM does not know
        with_it, without = (
            litellm.utils.get_optional_params(model=model, custom_llm_provider=provider, drop_params=True, **asked)
            for asked in (parameters, {key: value for key, value in parameters.items() if key != name})
        )
    except Exception:  # noqa: BLE001  # the caller may try a model that LiteLLM does not know
        return True
    return bool(_set(with_it) != _set(without))


def _set(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value not in (None, {}, [])}
