"""The base of all records: frozen, strict about field names, with clear error messages."""

import ast
import inspect
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from langchain_atlas.errors import InvalidInputError, suggest
from langchain_atlas.masking import without_forms


def field_docs(record: type[BaseModel]) -> dict[str, str]:
    """Return the docstring under each field of a record, base classes included, by name; read from the source."""
    found: dict[str, str] = {}
    for one in reversed(record.__mro__):
        if not issubclass(one, BaseModel) or one.__module__.startswith("pydantic."):
            continue
        try:
            body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(one))).body[0]
        except (OSError, TypeError, SyntaxError):  # defined where there is no source, as in a prompt
            continue
        found.update(_docs_under_fields(getattr(body, "body", [])))
    return {name: text for name, text in found.items() if name in record.model_fields}


def _docs_under_fields(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                yield field.target.id, " ".join(text.split())


if TYPE_CHECKING:
    _Model = BaseModel
else:  # pydantic's metaclass has no public name, so type checkers could not follow

    class _ShowsFields(type(BaseModel)):
        """Lets `help` of a record's class show what each field means; the source is read only then."""

        @property
        def __doc__(cls) -> str | None:
            text: str | None = cls.__dict__.get("__doc__")
            docs = field_docs(cls)
            if text is None or not docs:
                return text
            return f"{inspect.cleandoc(text)}\n\nFields:\n" + "\n".join(f"    {name}: {docs[name]}" for name in docs)

    class _Model(BaseModel, metaclass=_ShowsFields):
        pass


class Record(_Model):
    """An immutable value with named fields.

    Raises:
        InvalidInputError: a field is missing, unknown or out of range. Subclasses may narrow the error class
            through `_error`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    if not TYPE_CHECKING:  # so that type checkers use the signature that pydantic derives from the fields

        def __init__(self, /, **data: Any) -> None:
            try:
                super().__init__(**data)
            except ValidationError as error:
                raise self._error(describe(error, type(self).__name__, type(self).model_fields)) from error

    @classmethod
    def _error(cls, message: str) -> InvalidInputError:
        return InvalidInputError(message)

    def replace(self, **changes: Any) -> Self:
        """Return a validated copy with some fields changed."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**values, **changes})

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values (dicts, lists, strings, numbers, booleans, None)."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild a record from the output of `to_json`.

        Raises:
            InvalidInputError: `data` does not describe such a record.
        """
        if not (isinstance(data, dict) and all(isinstance(name, str) for name in data)):
            raise cls._error(f"A {cls.__name__} is read from an object with named fields; got {data!r}.")
        return cls(**data)


def describe(error: ValidationError, what: str, fields: Iterable[str] = ()) -> str:
    """Turn a pydantic error into one sentence per problem: the field, the bad value, what is expected.

    Args:
        error: the error that pydantic raised.
        what: the name of the record that could not be created.
        fields: the names of its fields, from which a replacement for an unknown one is suggested.
    """
    known = list(fields)
    problems = []
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in item["loc"]) or what
        message = str(item["msg"]).removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            valid = f". {suggest(field, known)}" if known else ""
            problems.append(f"{what} has no field {field!r}{valid}")
        elif item["type"] == "missing":
            problems.append(f"{what} needs the field {field!r}")
        elif item["type"] == "value_error":  # our own message: it names the problem, and the value may be a secret
            problems.append(f"{what} field {field!r}: {message}" if item["loc"] else f"{what}: {message}")
        else:
            problems.append(f"{what} field {field!r}: {message} (got {without_forms(repr(item['input']))})")
    return "; ".join(problem.removesuffix(".") for problem in problems) + "."
