"""From drafts to rows of an outcome table: values are checked one by one, and what is wrong is noted with its place."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import PoolError, SettingError, suggest
from langchain_atlas.masking import masked
from langchain_atlas.outcomes.columns import COLUMNS, OPTIONAL_COLUMNS, Column
from langchain_atlas.outcomes.importers.base import shown
from langchain_atlas.outcomes.importers.reading.conversations import asked, find_answer, find_query
from langchain_atlas.outcomes.importers.reading.fields import MILLISECONDS, latency, recorded_at
from langchain_atlas.outcomes.importers.reading.score_rules import RULES, ScoreRule, rule_for
from langchain_atlas.outcomes.importers.reading.values import MISSING, at, empty, number, text_of
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.pool.prices import table_price

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.base import Draft, Ledger

DEFAULT_DOMAIN = "logs"
"""Domain of rows whose source has none."""

_COLUMNS = {column.name: column for column in (*COLUMNS, *OPTIONAL_COLUMNS)}
_NO_ERROR = frozenset({"", "false", "0", "-", "no", "none", "null", "nil", "ok", "success", "succeeded", "200"})
"""What logs write in the place of an error where there was none."""
_NUMBERS = tuple(
    column for column in _COLUMNS.values() if column.kind in ("number", "integer") and column.name != "score"
)
_TEXTS = ("context", "domain", "response", "error", "score_source", "expected")
_FEEDBACK = re.compile(r"thumb|feedback|rating|star|vote|helpful|user_score", re.IGNORECASE)
"""Names of scores that people give."""

ANSWER = "answer"
"""The column in which expected answers are kept; ``score`` compares responses with them."""

_TOO_LARGE = 2.0**63
_SUMS = ("input_tokens", "output_tokens", "cost_usd", "latency_s")


def apply_mapping(drafts: Sequence[Draft], mapping: Mapping[str, str], constants: Mapping[str, str]) -> None:
    """Set the columns that the caller maps to fields of the entries, or to one value for all rows.

    Raises:
        SettingError: no entry has a field that is mapped.
    """
    for draft in drafts:
        for column, name in draft.names.items():
            if column not in mapping and name in mapping.values():  # the caller says that it is another column
                draft.values.pop(column, None)
    for column, path in mapping.items():
        found = [_map(draft, column, path) for draft in drafts]
        if found and not any(found):
            raise SettingError(_unknown(column, path, drafts))
    for draft in drafts:
        draft.values.update(constants)


def _map(draft: Draft, column: str, path: str) -> bool:
    """Set a column of a draft to a field of its entry; return whether it has that field."""
    value = at(draft.raw, path)
    draft.values.pop(column, None)
    if column == "score":
        draft.score_name = path
        draft.values.pop("score_source", None)
    if value is MISSING or empty(value):
        return value is not MISSING
    if column == "latency_s" and MILLISECONDS.search(path):
        with suppress(ValueError):  # it is reported with its place when the row is checked
            value = latency(value, path)
    draft.values[column] = value
    return True


def _unknown(column: str, path: str, drafts: Sequence[Draft]) -> str:
    raw = drafts[0].raw
    names = list(raw) if isinstance(raw, Mapping) else []
    return (
        f"No row has a field {path!r}, which {column!r} is mapped to. {suggest(path, names)} "
        "Nested fields are written with dots, such as outputs.answer."
    )


def rows_of(
    drafts: Sequence[Draft], ledger: Ledger, scale: ScoreRule | None, *, mapped: bool = False
) -> list[dict[str, Any]]:
    """Return the drafts as rows that fit an outcome table; the others are noted in the ledger.

    Args:
        drafts: the outcomes as they were read.
        ledger: notes what is wrong and what is assumed.
        scale: scale of the scores; None to find it from the values.
        mapped: whether the caller named the scores. Scores that were only recognised by their name, and are on no known
            scale, are none.

    Raises:
        SettingError: the scores that the caller named are on no known scale.
    """
    rule = scale or _rule(drafts, ledger, mapped=mapped)
    rows: list[dict[str, Any]] = []
    texts: dict[str, tuple[str, str | None]] = {}
    steps: dict[tuple[str, str, str], dict[str, Any]] = {}
    for draft in drafts:
        row = _row(draft, ledger, rule)
        if row is None:
            continue
        known = texts.setdefault(row["query_id"], (row["query"], row.get("context")))
        if known != (row["query"], row.get("context")):
            ledger.reject(
                draft.place, f"has the query id {row['query_id']!r}, which belongs to another query: {shown(known[0])}"
            )
            continue
        key = (row["query_id"], row["model"], row["tool"])
        if draft.continues and key in steps:
            _continue(steps[key], row)
            ledger.note("calls that go on after a tool's result are added to the call before: one outcome")
            continue
        steps[key] = row
        rows.append(row)
    _name_domains(rows, ledger)
    _price(rows, ledger)
    _note_scores(rows, rule, ledger)
    return _uniform(rows)


def _rule(drafts: Sequence[Draft], ledger: Ledger, *, mapped: bool) -> ScoreRule:
    try:
        return rule_for([draft.values.get("score") for draft in drafts], drafts[0].score_name if drafts else "")
    except SettingError as error:
        if mapped:
            raise
        ledger.note(f"no scores were taken: {str(error).rstrip('.')}", len(drafts))
    for draft in drafts:
        draft.values.pop("score", None)
        draft.values.pop("score_source", None)
    return RULES[0]


def _row(draft: Draft, ledger: Ledger, rule: ScoreRule) -> dict[str, Any] | None:
    """Return a row without domain and price; None if it lacks what every row needs."""
    values = draft.values
    row: dict[str, Any] = {}
    try:
        _ask(values, row, draft)
        row["model"], row["tool"] = _pair(values)
    except ValueError as error:
        ledger.reject(draft.place, str(error))
        return None
    for column in _NUMBERS:
        row[column.name] = _checked(values.get(column.name), column, draft.place, ledger)
    response = values.get("response")
    row["response"] = response if isinstance(response, str) else find_answer(response)
    for name in _TEXTS:
        if name not in row or row[name] is None:
            row[name] = text_of(values.get(name))
    row["error"] = "" if str(row["error"] or "").strip(". ").lower() in _NO_ERROR else row["error"]
    try:
        row["recorded_at"] = recorded_at(values.get("recorded_at"))
    except ValueError as error:
        ledger.lack(draft.place, f"recorded_at is {shown(values['recorded_at'])}, which {error}")
        row["recorded_at"] = None
    row["tokens_estimated"] = _boolean(values.get("tokens_estimated"))
    row["score"] = _score(values.get("score"), rule, draft, ledger)
    if row["score"] is None and row["error"]:
        row["score"], row["score_source"] = 0.0, "failed"
        ledger.note("calls that failed have score 0, as in profile")
    elif row["score"] is not None:
        row["score_source"] = row["score_source"] or ("feedback" if _FEEDBACK.search(draft.score_name) else rule.source)
    if row["score"] is None:
        row["score_source"] = row["score_confidence"] = None
    if row["score"] is None and row["response"] is None:
        ledger.reject(draft.place, "has neither a response nor a score, so there is nothing to learn from it")
        return None
    row.update({name: value for name, value in values.items() if name not in row})
    return _without_keys(row, ledger)


def _ask(values: Mapping[str, Any], row: dict[str, Any], draft: Draft) -> None:
    """Set query, context and query id.

    Raises:
        ValueError: there is no query.
    """
    query, context = values.get("query"), text_of(values.get("context"))
    found = find_query(query) if not isinstance(query, str) or query.lstrip()[:1] in ("[", "{") else query
    told = None if isinstance(found, str) or found is None else asked(found)
    if told is not None:
        if told.media:
            raise ValueError("asks about an image or another file, which an outcome table can't hold")
        found, context = told.query, context or told.context
        draft.continues |= told.continues
    elif isinstance(query, str) and found is None:
        found = query  # a text that merely looks like JSON
    if not isinstance(found, str) or not found.strip():
        raise ValueError("has no query" if empty(query) else f"has no question of a user in {shown(query)}")
    row["query"], row["context"] = found, context
    given = values.get("query_id")
    row["query_id"] = str(given) if not empty(given) else query_id(found, context)


def query_id(query: str, context: str | None) -> str:
    """Return the id of a query that has none: the same for the same text and context."""
    return f"q-{hashlib.sha256(json.dumps([query, context]).encode()).hexdigest()[:16]}"


def _pair(values: Mapping[str, Any]) -> tuple[str, str]:
    """Return model and tool.

    Raises:
        ValueError: there is no model, or a name can't be part of a pair.
    """
    model, tool = values.get("model"), values.get("tool")
    if empty(model):
        raise ValueError("names no model; map one with --map model=FIELD, or give one for all with --set model=NAME")
    name = " ".join(str(model).split())
    try:
        pair = Pair.parse(name) if empty(tool) else Pair(name, " ".join(str(tool).split()))
    except PoolError as error:
        raise ValueError(str(error)) from error
    return pair.model, pair.tool


def _checked(value: Any, column: Column, place: str, ledger: Ledger) -> float | int | None:
    try:
        read = number(value)
        wrong = None if read is None else _misfit(read, column)
    except ValueError as error:
        read, wrong = None, str(error)
    if wrong is not None:
        ledger.lack(place, f"{column.name} is {shown(value)}, which {wrong}; imported without it")
        return None
    return int(read) if read is not None and column.kind == "integer" else read


def _misfit(read: float, column: Column) -> str | None:
    """Return why a number does not fit a column; None if it does."""
    if column.kind == "integer" and not read.is_integer():
        return "is not a whole number"
    if column.kind == "integer" and read >= _TOO_LARGE:
        return "is too large"
    if column.low is not None and read < column.low:
        return f"is below {column.low}"
    if column.above is not None and read <= column.above:
        return f"is not above {column.above}"
    return f"is above {column.high}" if column.high is not None and read > column.high else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(str(value).strip().lower())


def _score(value: Any, rule: ScoreRule, draft: Draft, ledger: Ledger) -> float | None:
    if empty(value):
        return None
    try:
        return rule.read(value)
    except ValueError as error:
        ledger.lack(
            draft.place, f"{draft.score_name} is {shown(value)}, which {error} ({rule.name}); imported without a score"
        )
        return None


def _continue(row: dict[str, Any], later: Mapping[str, Any]) -> None:
    """Add a later call for the same query to a row: the last answer counts, costs add up."""
    for name in ("response", "score", "score_source", "error"):
        row[name] = later[name] if later[name] not in (None, "") else row[name]
    for name in _SUMS:
        both = (row[name], later[name])
        row[name] = None if None in both else sum(both)


def _without_keys(row: dict[str, Any], ledger: Ledger) -> dict[str, Any]:
    changed = {name: masked(value) for name, value in row.items() if isinstance(value, str)}
    if any(row[name] != value for name, value in changed.items()):
        ledger.note("texts that held what looks like a key: the key was masked")
    return row | changed


def _name_domains(rows: Sequence[dict[str, Any]], ledger: Ledger) -> None:
    unnamed = [row for row in rows if not row.get("domain")]
    for row in unnamed:
        row["domain"] = DEFAULT_DOMAIN
    if unnamed:
        ledger.note(
            f"no domain: these rows have the domain {DEFAULT_DOMAIN!r}; name one with --map domain=FIELD", len(unnamed)
        )
    first: dict[str, str] = {}
    for row in rows:
        if first.setdefault(row["query_id"], row["domain"]) != row["domain"]:
            row["domain"] = first[row["query_id"]]
            ledger.note("the same query was in two domains: the first counts")


def _price(rows: Sequence[dict[str, Any]], ledger: Ledger) -> None:
    for row in rows:
        tokens = row["input_tokens"], row["output_tokens"]
        if row["cost_usd"] is None and None not in tokens and sum(tokens) > 0:
            row["cost_usd"] = table_price(row["model"], int(tokens[0]), int(tokens[1]), 0)
            if row["cost_usd"] is not None:
                ledger.note("no cost: computed from tokens, at LiteLLM's prices of today")
        if row["tokens_estimated"] is None and None not in tokens:
            row["tokens_estimated"] = False


def _note_scores(rows: Sequence[Mapping[str, Any]], rule: ScoreRule, ledger: Ledger) -> None:
    scored = sum(row["score"] is not None and row["score_source"] != "failed" for row in rows)
    if scored:
        ledger.note(f"scores: {rule.text}", scored)


def _uniform(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give every column of the caller's own one type: numbers if all values are numbers, else text."""
    known = {*_COLUMNS, "expected"}
    for name in {name for row in rows for name in row if name not in known}:
        values = [row.get(name) for row in rows]
        if not all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
        ):
            for row in rows:
                row[name] = text_of(row.get(name))
    for row in rows:
        row[ANSWER] = row.pop("expected", None)
    for name in (ANSWER, *(column.name for column in OPTIONAL_COLUMNS)):
        if all(row.get(name) is None for row in rows):
            for row in rows:
                row.pop(name, None)
    return rows
