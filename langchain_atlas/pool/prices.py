"""Facts about models from LiteLLM's own table, read from its package file.

The file is read directly because importing LiteLLM takes seconds and may look for a newer table on the network.
"""

import importlib.util
import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from langchain_atlas.errors import PoolError

_READS = {"image": "supports_vision", "pdf": "supports_pdf_input", "audio": "supports_audio_input"}
"""What a model reads besides text, with the field of the table that says so."""
_TABLE = "model_prices_and_context_window_backup.json"
_TIER = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")


def find_facts(litellm_id: str) -> dict[str, Any]:
    """Return what the table knows about a model, by the names of `Model`'s fields.

    Args:
        litellm_id: LiteLLM's id, with or without the provider, such as ``openai/gpt-4o-mini``.

    Returns:
        Any of ``input_cost_per_token``, ``cached_input_cost_per_token``, ``output_cost_per_token`` (dollars),
        ``max_input_tokens``, ``function_calling``, ``structured_output`` and ``modalities``. Facts that the table lacks
        are left out.
    """
    return dict(_facts(litellm_id))


@lru_cache(maxsize=1024)  # asked after every call, for the price of its tokens
def _facts(litellm_id: str) -> dict[str, Any]:
    entry = _entry(litellm_id)
    facts: dict[str, Any] = {
        "input_cost_per_token": entry.get("input_cost_per_token"),
        "cached_input_cost_per_token": entry.get("cache_read_input_token_cost"),
        "output_cost_per_token": entry.get("output_cost_per_token"),
        "max_input_tokens": entry.get("max_input_tokens"),
        "function_calling": entry.get("supports_function_calling"),
        "structured_output": entry.get("supports_response_schema"),
    }
    read = {kind for kind, sign in _READS.items() if entry.get(sign)}
    if read:
        facts["modalities"] = frozenset({"text", *read})
    if facts["max_input_tokens"] == 0:  # the table's way of saying unknown
        del facts["max_input_tokens"]
    return {name: value for name, value in facts.items() if isinstance(value, int | float | bool | frozenset)}


def table_price(litellm_id: str, input_tokens: int, output_tokens: int, cached_tokens: int) -> float | None:
    """Return the cost of a call in dollars by LiteLLM's table; long prompts and cached tokens have separate prices.

    Args:
        litellm_id: LiteLLM's id of the model.
        input_tokens: input tokens, including cached ones.
        output_tokens: output tokens.
        cached_tokens: how many of the input tokens were cached.

    Returns:
        The cost; None when a price is unknown.
    """
    entry = _entry(litellm_id)
    tiers = (_TIER.fullmatch(name) for name in entry)
    above = max((int(tier[1]) for tier in tiers if tier and input_tokens > int(tier[1]) * 1000), default=None)

    def price(name: str) -> Any:
        return entry.get(name if above is None else f"{name}_above_{above}k_tokens", entry.get(name))

    read, written = price("input_cost_per_token"), price("output_cost_per_token")
    kept = price("cache_read_input_token_cost")
    if read is None or written is None:
        return None
    kept = read if kept is None else kept
    return float((input_tokens - cached_tokens) * read + cached_tokens * kept + output_tokens * written)


def _entry(litellm_id: str) -> dict[str, Any]:
    table = _table()
    entry = table.get(litellm_id)
    if entry is None:  # the table lists some providers' models without the provider
        provider, _, bare = litellm_id.partition("/")
        entry = table.get(bare, {})
        if entry.get("litellm_provider") != provider:
            return {}
    return entry


def refresh_prices(path: str | Path | None = None) -> int:
    """Take a newer table of LiteLLM's in place of its package's, and return of how many models the prices change.

    Models that exist already keep their prices: load the pool anew afterwards.

    Args:
        path: file of the table, as LiteLLM publishes it (``model_prices_and_context_window.json``). None has LiteLLM
            fetch it; where it can't, and with ``LITELLM_LOCAL_MODEL_COST_MAP=True``, that is the package's own.

    Raises:
        PoolError: the file can't be read, or is no such table.
    """
    before, after = _table(), _fetched() if path is None else _read(Path(path))
    _TABLES["refreshed"] = after
    _facts.cache_clear()
    return sum(_priced(before.get(name)) != _priced(after.get(name)) for name in {*before, *after})


def _priced(entry: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (entry or {}).items() if "cost" in name}


def _fetched() -> dict[str, dict[str, Any]]:
    import litellm
    from litellm.litellm_core_utils.get_model_cost_map import get_model_cost_map

    return dict(get_model_cost_map(url=litellm.model_cost_map_url))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PoolError(
            f"The prices in {str(path)!r} can't be read: {error}. Give LiteLLM's table, a JSON file."
        ) from error
    if not isinstance(table, dict) or not table or not all(isinstance(entry, dict) for entry in table.values()):
        raise PoolError(f"{str(path)!r} is no table of prices: it must be a JSON object with an object for each model.")
    return table


_TABLES: dict[str, dict[str, dict[str, Any]]] = {}
"""The table that `refresh_prices` took, if any."""


def _table() -> dict[str, dict[str, Any]]:
    refreshed = _TABLES.get("refreshed")
    return _packaged() if refreshed is None else refreshed


@cache
def _packaged() -> dict[str, dict[str, Any]]:
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return {}
    path = Path(spec.origin).parent / _TABLE
    if not path.exists():
        return {}
    table: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return table
