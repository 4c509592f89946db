"""Queries whose answers can be checked, and the files they come in.

A query file has one JSON object per line: ``{"query": "What is 2 + 2?", "answer": 4, "scorer": "numeric"}``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import InvalidInputError, OutcomeError
from langchain_atlas.evaluation.scoring.scorers import build_scorer
from langchain_atlas.images import Image, image_url, placed
from langchain_atlas.text_files import read_text, why
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_atlas.evaluation.scoring.base import Scorer

_FIELDS = ("id", "query", "context", "images", "domain", "answer", "scorer")


@dataclass(frozen=True)
class CheckableQuery:
    """A query with its expected answer. `CheckableQuery.of` makes one from plain values."""

    query: Query
    """The query; it has an id."""
    domain: str = "default"
    """Its domain; outcomes can be selected by it."""
    answer: Any = None
    """The expected answer, as JSON values; None when unknown."""
    scorer: Scorer | None = None
    """Compares answers with the expected one; None when unknown."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the query; they are kept but not used."""

    def __post_init__(self) -> None:
        """Refuse a query that can't be recorded or scored.

        Raises:
            OutcomeError: the query has no id, or the answer does not fit the scorer.
        """
        for name, text in (("id", self.query.id), ("query", self.query.text), ("domain", self.domain)):
            _check_text(name, text)
        if self.query.context is not None:
            _check_text("context", self.query.context, empty=True)
        if self.scorer is not None and self.answer is not None:
            self.scorer.check(self.answer)

    @classmethod
    def of(
        cls,
        query: str,
        *,
        id: str | int | None = None,  # noqa: A002  # the field's name in files and in `Query`
        context: str | None = None,
        images: Sequence[Image] = (),
        domain: str = "default",
        answer: Any = None,
        scorer: Scorer | str | Mapping[str, Any] | None = None,
        **extra: Any,
    ) -> CheckableQuery:
        """Make one from the fields of a query file.

        Args:
            query: the text of the query.
            id: identifies it; by default derived from query, context and images, so that it does not change when lines
                move.
            context: the context of the query.
            images: images, each a URL, a `Path`, or bytes.
            domain: the domain of the query.
            answer: the expected answer, as JSON values.
            scorer: a scorer, its kind, or its kind and settings.
            **extra: other fields, which are kept.

        Raises:
            OutcomeError: a field is not text where it must be, or the answer does not fit the scorer.
            InvalidInputError: an image is invalid.
            SettingError: the scorer does not exist.
        """
        if isinstance(images, str | bytes) or not isinstance(images, Sequence):
            raise OutcomeError(f"'images' is {str(images)[:60]!r}; it must be a list of images.")
        urls = tuple(map(image_url, images))
        if isinstance(id, int) and not isinstance(id, bool):
            id = str(id)  # noqa: A001  # many data sets number their queries
        _check_text("query", query)
        if context is not None:
            _check_text("context", context, empty=True)
        name = stable_id(query, context, urls) if id is None else _check_text("id", id)
        built = None if scorer is None else build_scorer(scorer)
        return cls(Query(id=name, text=query, context=context, images=urls), domain, answer, built, extra)


def stable_id(query: str, context: str | None, images: Sequence[str] = ()) -> str:
    """Return the id of a query without one: ``q-`` and twelve hex digits derived from query, context and images."""
    parts = [query, context, *images]
    return "q-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def read_queries(path: str | Path) -> tuple[CheckableQuery, ...]:
    """Read a query file.

    Args:
        path: a JSONL file, in UTF-8, with or without a byte order mark. Each line needs ``query``; it may have ``id``,
            ``context``, ``images`` (URLs, or paths relative to the file), ``domain``, ``answer`` and ``scorer``,
            see `CheckableQuery.of`, and other fields, which are kept.

    Raises:
        OutcomeError: the file can't be read, has no queries, or a line is invalid; the message names file and line.
    """
    try:
        lines = read_text(Path(path)).split("\n")
    except OSError as error:
        raise OutcomeError(f"Can't read the query file {str(path)!r}: {why(error)}.") from error
    except UnicodeError as error:
        raise OutcomeError(f"{path}, {error}.") from error
    queries: list[CheckableQuery] = []
    seen: dict[str | None, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = _read_line(line, Path(path).parent)
        except InvalidInputError as error:
            raise OutcomeError(f"{path}, line {number}: {error}") from error
        if item.query.id in seen:
            raise OutcomeError(
                f"{path}, line {number}: the query {item.query.id!r} is already in line {seen[item.query.id]}; "
                "give each line an 'id' of its own, or remove one of the two."
            )
        seen[item.query.id] = number
        queries.append(item)
    if not queries:
        raise OutcomeError(f"The query file {str(path)!r} is empty; write one JSON object with a 'query' per line.")
    return tuple(queries)


def _read_line(text: str, folder: Path) -> CheckableQuery:
    try:
        data = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_refuse_constant)
    except OutcomeError:
        raise
    except (ValueError, RecursionError) as error:
        raise OutcomeError(f"{text[:40]!r} is not JSON: {error}. A query file has one JSON object per line.") from error
    if not isinstance(data, dict):
        raise OutcomeError(f"{text[:40]!r} is not a JSON object; write such as {{'query': 'What is 2 + 2?'}}.")
    if "query" not in data:
        raise OutcomeError(f"there is no 'query' but {', '.join(map(repr, data)) or 'nothing'}; every line needs one.")
    known = {name: data[name] for name in _FIELDS if name in data and (name != "domain" or data[name] is not None)}
    if isinstance(known.get("images"), list):
        known["images"] = [placed(image, folder) if isinstance(image, str) else image for image in known["images"]]
    item = CheckableQuery.of(**known)
    extra = {name: value for name, value in data.items() if name not in _FIELDS}
    return CheckableQuery(item.query, item.domain, item.answer, item.scorer, extra)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, value in pairs:
        if name in data:
            raise OutcomeError(f"the field {name!r} occurs twice.")
        data[name] = value
    return data


def _refuse_constant(name: str) -> Any:
    raise OutcomeError(f"{name} is not JSON; a number is finite.")


def _check_text(name: str, value: Any, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (empty or value.strip()):
        raise OutcomeError(f"{name!r} is {value!r}; it must be {'text' if empty else 'text that is not empty'}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise OutcomeError(f"{name!r} holds half of a character that can't be written: {error}.") from error
    return value
