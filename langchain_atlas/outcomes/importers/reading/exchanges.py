"""Requests to a provider with its responses, as applications log them: one exchange is one outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import Draft
from langchain_atlas.outcomes.importers.reading.conversations import as_reply, find_answer, turns
from langchain_atlas.outcomes.importers.reading.fields import aliased, taken
from langchain_atlas.outcomes.importers.reading.values import first, seconds_between, text_of, unpacked
from langchain_atlas.pool.prices import table_price

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.base import Ledger
    from langchain_atlas.outcomes.importers.reading.sources import Entry

REQUESTS = ("request", "req", "request_body", "params", "kwargs", "body")
"""Names under which a log may hold the request."""
RESPONSES = ("response", "res", "response_body", "completion", "output", "result")
"""Names under which a log may hold the response."""

_BESIDE = frozenset(
    {"query_id", "domain", "score", "latency_s", "recorded_at", "cost_usd", "expected", "propensity", "error"}
)
_LONGEST_TOOL = 60
_FAILED = 400


def paired(
    found: Sequence[Entry],
    ledger: Ledger,
    batched: Callable[[Mapping[str, Any]], Any],
    draft: Callable[..., Draft | None],
) -> Iterator[Draft]:
    """Yield the drafts of entries, each with the request of the same ``custom_id`` if that is an entry of its own.

    Args:
        found: all entries of all sources.
        ledger: what came in, and what could not.
        batched: returns the request of an entry that is a line of a batch's input, anything else for other entries.
        draft: makes a draft of an entry, the requests by ``custom_id``, the set of those answered, and the ledger.
    """
    requests: dict[str, tuple[Any, str]] = {}
    doubled: set[str] = set()
    rest: list[Entry] = []
    for entry in found:
        value = entry.value
        request = batched(value) if isinstance(value, Mapping) and "custom_id" in value else None
        if is_request(request):
            name = str(value["custom_id"])
            if name in requests and requests[name][0] != request:
                doubled.add(name)
                ledger.read += 1
                ledger.reject(entry.place, _doubled(name))
            else:
                requests[name] = (request, entry.place)
        else:
            rest.append(entry)
    answered: set[str] = set()
    for entry in rest:
        ledger.read += 1
        name = str(entry.value.get("custom_id")) if isinstance(entry.value, Mapping) else ""
        if name in doubled:
            ledger.reject(entry.place, _doubled(name))
            continue
        made = ledger.attempt(entry.place, draft, entry, requests, answered, ledger)
        if made is not None:
            yield made
    for name, (_, place) in requests.items():
        if name not in answered:
            ledger.read += 1
            no_result = f"is a request, and no result of {name!r} is in the sources"
            ledger.reject(place, _doubled(name) if name in doubled else no_result)


def _doubled(name: str) -> str:
    return (
        f"has custom_id {name!r}, which names two different requests in the sources; import each batch by itself, with "
        "its results, and the later ones with --add"
    )


def exchange(place: str, entry: Mapping[str, Any], request: Any, response: Any) -> Draft:
    """Return the draft of an exchange.

    Args:
        place: where it was read.
        entry: the whole entry, whose other fields may hold latency, time, score and domain.
        request: the request: a mapping with ``messages``, ``input`` or ``prompt``.
        response: the response: a mapping, or the text of the answer.
    """
    request, response = unpacked(request), as_reply(response)
    body = response.get("body", response) if isinstance(response, Mapping) else response
    names = {column: name for column, name in aliased(entry).items() if column in _BESIDE}
    values = taken(entry, names)
    values["query"] = first(request, "messages", "input", "prompt", "contents")
    values["model"] = first(request, "model") or first(body, "model") or first(entry, "model")
    values["tool"] = tool_name(first(request, "tools", "functions"))
    values["response"] = find_answer(body)
    counted = tokens(body, str(values["model"]))
    values |= counted if "cost_usd" not in values else {**counted, "cost_usd": values["cost_usd"]}  # the log's own
    if "latency_s" not in values:
        values["latency_s"] = seconds_between(
            first(entry, "start_time", "startTime", "started_at"), first(entry, "end_time", "endTime", "ended_at")
        )
    if "recorded_at" not in values:
        values["recorded_at"] = first(body, "created", "created_at") or first(entry, "start_time", "startTime")
    values["error"] = _error(entry, response, body)
    if values["error"] is not None:
        values["response"] = None
    return Draft(place, values, entry, names, names.get("score", "score"))


def tokens(body: Any, model: str) -> dict[str, Any]:
    """Return the tokens that a response counts, and the cost by LiteLLM's prices; empty if it counts none.

    OpenAI counts cached tokens among the input, Anthropic beside it.
    """
    usage = first(body, "usage", "usage_metadata")
    if not isinstance(usage, Mapping):
        return {}
    cached = first(usage, "prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens") or 0
    beside = [first(usage, "cache_read_input_tokens") or 0, first(usage, "cache_creation_input_tokens") or 0]
    if "prompt_tokens" in usage:
        beside = [0, 0]
    given = first(usage, "prompt_tokens", "input_tokens")
    written = first(usage, "completion_tokens", "output_tokens")
    counts = (given, written, cached, *beside)
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        return {"input_tokens": given, "output_tokens": written}
    given += sum(beside)
    cost = table_price(model, given, written, int(cached) + int(beside[0])) if given + written else None
    return (
        {"input_tokens": given, "output_tokens": written, "cost_usd": cost}
        if cost is not None
        else {
            "input_tokens": given,
            "output_tokens": written,
        }
    )


def tool_name(tools: Any) -> str:
    """Return the name of the tool of a pair: the offered functions joined by ``+``; ``none`` if none is offered."""
    tools = unpacked(tools)
    if not isinstance(tools, Sequence) or isinstance(tools, str) or not tools:
        return "none"
    names = []
    for tool in tools:
        name = first(tool, "function.name", "name", "type") if isinstance(tool, Mapping) else tool
        names.append(" ".join(str(name).split()))
    joined = "+".join(sorted(dict.fromkeys(names)))
    return joined if len(joined) <= _LONGEST_TOOL else f"{len(names)}-tools"


def is_request(value: Any) -> bool:
    """Return whether a value is a request for text: it has messages, an input or a prompt."""
    value = unpacked(value)
    return isinstance(value, Mapping) and first(value, "messages", "input", "prompt", "contents") is not None


def find(entry: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the value under the first of the names that holds an object or a text; None if there is none.

    A response that is a text stays one, unless it holds a provider's response.
    """
    for name in names:
        value = as_reply(entry.get(name)) if names is RESPONSES else unpacked(entry.get(name))
        if value not in (None, "", {}, []):
            return value
    return None


def split_conversation(request: Any) -> tuple[Any, str | None]:
    """Return a request whose messages end with an answer as the request without it, and the answer."""
    messages = unpacked(first(request, "messages"))
    if not isinstance(messages, list) or not messages:
        return request, None
    last = turns([messages[-1]])
    if not last or last[-1].role != "assistant":
        return request, None
    return {**request, "messages": messages[:-1]}, last[-1].text


def _error(entry: Mapping[str, Any], response: Any, body: Any) -> str | None:
    status = first(response, "status_code") if isinstance(response, Mapping) else None
    error = first(entry, "error", "exception") or (first(body, "error") if isinstance(body, Mapping) else None)
    if error is not None:
        return text_of(first(error, "message") if isinstance(error, Mapping) and first(error, "message") else error)
    if isinstance(status, int) and status >= _FAILED:
        return f"status {status}"
    return None
