"""Importer ``openai``: requests with responses, batch input and output files, stored completions.

An entry is an object with a request and its response; a line of a batch output, whose request is the line of the batch
input with the same ``custom_id``, in any of the sources; or a conversation that ends with the answer.
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

_NO_REQUEST = "is a response without its request; give the batch's input file as a further source"


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield the outcomes of requests to OpenAI or anything that speaks its protocol."""
    found = [
        entry for source in sources for path in files_of(source, ledger) for entry in entries(path, ledger, _LISTS)
    ]
    yield from paired(found, ledger, _request_of, _draft)


def _request_of(value: Mapping[str, Any]) -> Any:
    """Return the request of a line of a batch's input; None for any other entry."""
    return None if value.get("response") or value.get("error") else value.get("body")


_LISTS = ("data", "requests", "logs", "items", "records")


def _draft(entry: Entry, requests: Mapping[str, tuple[Any, str]], answered: set[str], ledger: Ledger) -> Draft | None:
    value = entry.value
    if not isinstance(value, Mapping):
        ledger.reject(entry.place, f"is {shown(value)}; it must be an object with a request and a response")
        return None
    response = find(value, RESPONSES)
    request = find(value, REQUESTS)
    if value.get("custom_id") is not None:
        name = str(value["custom_id"])
        answered.add(name)
        request = requests.get(name, (request, ""))[0]
        if "response" in value:
            ledger.note("batch calls: costs are those of calls outside of a batch, which costs half")
        response = response if response is not None else {}
    elif not is_request(request):
        request, response = _plain(value, response)
    if not is_request(request):
        answers = isinstance(response, Mapping) or "choices" in value
        ledger.reject(entry.place, _NO_REQUEST if answers else "has no messages, input or prompt")
        return None
    return exchange(entry.place, value, request, response)


def _plain(value: Mapping[str, Any], response: Any) -> tuple[Any, Any]:
    """Return request and response of an entry that is the one and holds the other."""
    if is_request(value):
        if "choices" in value or value.get("object") == "response":  # a stored completion, with its messages
            return value, value
        request, answer = split_conversation(value)
        return (value, response) if answer is None else (request, answer)
    inner = response if isinstance(response, Mapping) else {}
    return (inner, inner) if is_request(inner) and "choices" in inner else (None, response)
