"""Checks of an answer's form: a JSON schema, and the schemas of the functions that a query offers."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_atlas.answers.parsed import MARKS, read_answer
from langchain_atlas.errors import SettingError
from langchain_atlas.execution.verifiers.base import Verifier, failed, passed, unknown
from langchain_atlas.text.json_objects import first_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_atlas.trajectory import Observation, Query, Verdict

_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
_VIOLATIONS = MARKS[: MARKS.index("ungrounded")]


class SchemaVerifier(Verifier):
    """Checks that an answer is JSON that fits a schema.

    Args:
        schema: the JSON schema.

    Raises:
        SettingError: it is not a valid schema.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        jsonschema: Any = import_module("jsonschema")  # it has no types
        kind = jsonschema.validators.validator_for(dict(schema), default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(dict(schema))
        except jsonschema.SchemaError as error:
            raise SettingError(f"The schema is not valid: {error.message}.") from error
        self._validator = kind(dict(schema))

    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer; see `Verifier.verify`."""
        del query
        read, value = _json(observation.answer or "")
        if not read:
            return failed("It holds no JSON.")
        error = next(iter(sorted(self._validator.iter_errors(value), key=lambda one: list(map(str, one.path)))), None)
        if error is None:
            return passed("It fits the schema.")
        return failed(f"At {'.'.join(map(str, error.path)) or 'its top'}: {error.message[:300]}")


class CallsVerifier(Verifier):
    """Checks that function calls fit the schemas of the functions in the query's context.

    That is their form alone: a call that fits may still be the wrong one, or be missing its sense.
    """

    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer; see `Verifier.verify`."""
        reading = read_answer(observation.answer, query)
        if reading.kind == "no-call":
            return unknown("It calls none of the functions.")
        if reading.kind != "calls":
            return unknown("The query offers no functions.")
        wrong = [name.replace("_", " ") for name, mark in zip(MARKS, reading.marks, strict=True) if mark]
        wrong = [name for name in wrong if name.replace(" ", "_") in _VIOLATIONS]
        return failed(f"A call has: {', '.join(wrong)}.") if wrong else passed("Its calls fit the schemas.")


def _json(answer: str) -> tuple[bool, Any]:
    """Return whether an answer holds JSON, and its value: all of it, a fenced block, or the first object in it."""
    for text in (answer, *_FENCE.findall(answer)):
        try:
            return True, json.loads(text)
        except (ValueError, RecursionError):
            continue
    found = first_object(answer)
    return found is not None, found
