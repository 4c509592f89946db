"""Which parameters of a model call a model takes, as LiteLLM knows it.

Only what nobody asked for is left out: a parameter that a user set is sent, and what comes of it is the user's to see.
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
"""Parameters by which others are taken or not."""


def taken(
    litellm_id: str,
    defaults: Mapping[str, Any],
    *,
    given: Mapping[str, Any] | None = None,
    refuses: Collection[str] = (),
) -> dict[str, Any]:
    """Return those defaults of our own that a model takes.

    Args:
        litellm_id: LiteLLM's id of the model.
        defaults: parameters that we would send without being asked to, such as ``{"temperature": 0.8}``.
        given: what else the model is called with.
        refuses: parameters that the model is said not to take, whatever LiteLLM knows.

    Returns:
        The rest. All, where LiteLLM does not know the model.
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
    """Say whether LiteLLM passes a parameter on to a model; a gateway's model is asked about as its maker's, too."""
    _, _, behind = litellm_id.partition("/")
    return all(
        _passes(each, json.loads(written), name) for each in {litellm_id, behind if "/" in behind else litellm_id}
    )


def _passes(litellm_id: str, parameters: dict[str, Any], name: str) -> bool:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import looks for a table on the network
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True  # else it prints a lot about providers that it does not know
    try:
        model, provider, *_ = litellm.get_llm_provider(model=litellm_id)
        known = litellm.get_supported_openai_params(model=model, custom_llm_provider=provider)
        if known is None or name not in known:
            return known is None  # a provider of somebody's own: LiteLLM does not know
        with_it, without = (
            litellm.utils.get_optional_params(model=model, custom_llm_provider=provider, drop_params=True, **asked)
            for asked in (parameters, {key: value for key, value in parameters.items() if key != name})
        )
    except Exception:  # noqa: BLE001  # a model that LiteLLM does not know is the caller's to try
        return True
    return bool(_set(with_it) != _set(without))


def _set(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value not in (None, {}, [])}
