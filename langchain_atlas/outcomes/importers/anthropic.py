"""Importer ``anthropic``: requests with responses, and batch requests with their results.

An entry is an object with a request and its response, or a line of a batch's results, whose request is the line with
the same ``custom_id``, in any of the sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import shown
from langchain_atlas.outcomes.importers.reading.exchanges import (
    REQUESTS,
    RESPONSES,
    exchange,
    find,
    is_request,
    paired,
    split_conversation,
)
from langchain_atlas.outcomes.importers.reading.sources import Entry, entries, files_of

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.base import Draft, Ledger

_LISTS = ("data", "requests", "results", "logs")


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield the outcomes of requests to Anthropic."""
    found = [
        entry for source in sources for path in files_of(source, ledger) for entry in entries(path, ledger, _LISTS)
    ]
    yield from paired(found, ledger, _request_of, _draft)


def _request_of(value: Mapping[str, Any]) -> Any:
    """Return the request of a line of a batch's input; None for any other entry."""
    return None if "result" in value else value.get("params")


def _draft(entry: Entry, requests: Mapping[str, tuple[Any, str]], answered: set[str], ledger: Ledger) -> Draft | None:
    value = entry.value
    if not isinstance(value, Mapping):
        ledger.reject(entry.place, f"is {shown(value)}; it must be an object with a request and a response")
        return None
    if "custom_id" in value and isinstance(value.get("result"), Mapping):
        return _batched(entry, value, requests, answered, ledger)
    request, response = find(value, REQUESTS), find(value, RESPONSES)
    if not is_request(request):
        request, answer = split_conversation(value) if is_request(value) else (None, None)
        response = answer if response is None else response
    if not is_request(request):
        ledger.reject(entry.place, "has no request with messages")
        return None
    return exchange(entry.place, value, request, response)


def _batched(
    entry: Entry,
    value: Mapping[str, Any],
    requests: Mapping[str, tuple[Any, str]],
    answered: set[str],
    ledger: Ledger,
) -> Draft | None:
    name, result = str(value["custom_id"]), value["result"]
    answered.add(name)
    request = requests.get(name, (None, ""))[0]
    if request is None:
        ledger.reject(
            entry.place, f"is the result of {name!r} without its request; give the batch's requests as a further source"
        )
        return None
    kind = result.get("type")
    if kind in ("canceled", "expired"):
        ledger.reject(entry.place, f"was {kind} before it ran")
        return None
    ledger.note("batch calls: costs are those of calls outside of a batch, which costs half")
    error = result.get("error") if kind == "errored" else None
    inner = error.get("error", error) if isinstance(error, Mapping) else error
    return exchange(entry.place, {**value, "error": inner}, request, result.get("message"))
