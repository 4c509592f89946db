"""Importer ``litellm``: rows of LiteLLM's spend log, and its standard logging payloads.

A spend log holds prompts and answers only where the proxy stores them: ``store_prompts_in_spend_logs: true``. The key's
hash, users, teams, addresses and metadata are left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_atlas.outcomes.importers.base import Draft, Ledger, shown
from langchain_atlas.outcomes.importers.reading.conversations import find_answer
from langchain_atlas.outcomes.importers.reading.exchanges import tool_name
from langchain_atlas.outcomes.importers.reading.rows import rows_of
from langchain_atlas.outcomes.importers.reading.sources import Entry, entries, files_of
from langchain_atlas.outcomes.importers.reading.values import empty, first, number, seconds_between, text_of, unpacked
from langchain_atlas.pool.prices import table_price

_USED = frozenset(
    [
        "call_type",
        "spend",
        "response_cost",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "startTime",
        "endTime",
        "completionStartTime",
        "response_time",
        "request_duration_ms",
        "model",
        "model_group",
        "custom_llm_provider",
        "cache_hit",
        "messages",
        "response",
        "status",
        "error_str",
        "proxy_server_request",
        "model_parameters",
    ]
)
_TEXT_CALLS = ("completion", "responses", "generate_content", "messages", "generate")
_NO_PROMPT = (
    "holds no prompt; LiteLLM's proxy stores prompts only with general_settings: store_prompts_in_spend_logs: true"
)


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield the outcomes of a spend log."""
    for source in sources:
        for path in files_of(source, ledger):
            for entry in entries(path, ledger, ("data", "logs", "spend_logs")):
                ledger.read += 1
                draft = ledger.attempt(entry.place, _draft, entry, ledger)
                if draft is not None:
                    yield draft


def row_of(payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the row of a call from its standard logging payload; None if there is nothing to learn from it."""
    ledger = Ledger()
    draft = _draft(Entry("the call", payload), ledger)
    rows = [] if draft is None else rows_of([draft], ledger, None)
    return rows[0] if rows else None


def _draft(entry: Entry, ledger: Ledger) -> Draft | None:
    row: Any = entry.value
    if not isinstance(row, Mapping):
        ledger.reject(entry.place, f"is {shown(row)}; it must be a row of a spend log")
        return None
    ledger.leave(name for name, value in row.items() if name not in _USED and not empty(value))
    call = str(row.get("call_type") or "completion").lower()
    if not any(name in call for name in _TEXT_CALLS):
        ledger.reject(entry.place, f"is a call of type {call!r}, not of a model that writes text")
        return None
    query = first(row, "messages", "proxy_server_request.messages", "proxy_server_request.input")
    if query is None:
        ledger.reject(entry.place, _NO_PROMPT)
        return None
    values: dict[str, Any] = {
        "query": [{"role": "user", "content": query}] if isinstance(unpacked(query), str) else query,
        "model": _model(row),
        "tool": tool_name(first(row, "proxy_server_request.tools", "model_parameters.tools")),
        "response": find_answer(first(row, "response")),
        "input_tokens": row.get("prompt_tokens"),
        "output_tokens": row.get("completion_tokens"),
        "recorded_at": first(row, "startTime"),
        "error": _error(row),
    }
    values["cost_usd"] = _cost(row, values, ledger)
    if _true(row.get("cache_hit")):
        ledger.note("answers from a cache: their latency is unknown")
    else:
        values["latency_s"] = _latency(row)
    if values["error"]:
        values["response"] = None
    return Draft(entry.place, values, row)


def _model(row: Mapping[str, Any]) -> Any:
    """Return LiteLLM's id of the model, with its provider, so that prices are found."""
    model, provider = first(row, "model"), first(row, "custom_llm_provider")
    if isinstance(model, str) and provider and "/" not in model:
        return f"{provider}/{model}"
    return model or first(row, "model_group")


def _cost(row: Mapping[str, Any], values: Mapping[str, Any], ledger: Ledger) -> Any:
    """Return the cost; LiteLLM writes 0 where it knows no price and for answers from a cache, which is no cost."""
    given = first(row, "spend", "response_cost")
    try:
        spend, tokens = number(given), [number(values[name]) for name in ("input_tokens", "output_tokens")]
    except ValueError:
        return given
    if spend:
        return spend
    if tokens[0] is None or tokens[1] is None or not sum(filter(None, tokens)):
        return None
    price = table_price(str(values["model"]), int(tokens[0]), int(tokens[1]), 0)
    if price is None:
        ledger.note("a spend of 0 for a call with tokens, without a known price: the cost is unknown")
    else:
        ledger.note("a spend of 0 for a call with tokens: the cost is computed at LiteLLM's prices of today")
    return price


def _latency(row: Mapping[str, Any]) -> Any:
    taken = seconds_between(row.get("startTime"), row.get("endTime"))
    if taken is not None:
        return taken
    try:
        milliseconds = number(row.get("request_duration_ms"))
    except ValueError:
        return None
    return row.get("response_time") if milliseconds is None else milliseconds / 1000


def _error(row: Mapping[str, Any]) -> str | None:
    told = first(row, "error_str", "error_information.error_message", "metadata.error_information.error_message")
    if told is None and str(row.get("status", "")).lower() in ("failure", "failed", "error"):
        return "the call failed"
    return text_of(told)


def _true(value: Any) -> bool:
    return str(value).strip().lower() == "true"
