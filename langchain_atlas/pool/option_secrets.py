"""Keeping keys out of options: pool files are shared, and their options are recorded and displayed."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import PoolError
from langchain_atlas.masking import looks_secret, remember

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECRET = re.compile(
    r"api.?key|secret|passw(or)?d|passphrase|authorization|credential|cookie|"
    r"(access|private|subscription|account|service|signing|master|auth).?key|"
    r"(^|[_-])(token|auth|pwd|jwt|bearer|sas)$",
    re.IGNORECASE,
)
"""Names of options that hold keys."""
_HEADERS = re.compile(r"^(extra_|default_|custom_)?headers$", re.IGNORECASE)
_HARMLESS_HEADERS = frozenset({
    "accept", "accept-language", "content-type", "http-referer", "referer", "user-agent", "x-title",
    "anthropic-beta", "anthropic-version", "openai-beta", "openai-organization", "openai-project",
    "x-goog-user-project", "x-request-id", "x-session-id", "traceparent", "editor-version", "copilot-integration-id",
})  # fmt: skip
"""Headers in which no provider expects a key."""
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_LONG = 20
_DIGITS = 4

_NAME_IT = "set 'api_key_env' to the name of the environment variable that holds it"
_FILL_IN = ", or write '${NAME}' for the value of an environment variable"


def without_secrets(options: dict[str, Any], *, fills: bool = False) -> dict[str, Any]:
    """Return the options unchanged if they hold no key.

    A key is recognised by the name of its option or header, or by its form.

    Args:
        options: the options.
        fills: whether ``${NAME}``, a reference to an environment variable, is accepted in place of a key.

    Raises:
        ValueError: they hold a key; the message names the option, but does not show the key.
    """
    instead = _NAME_IT + (_FILL_IN if fills else "")
    for name, value, is_header in _named(options):
        if fills and isinstance(value, str) and _VARIABLE.search(value) and not looks_secret(_VARIABLE.sub("", value)):
            continue
        secret = _SECRET.search(name)
        if secret or (is_header and name.lower() not in _HARMLESS_HEADERS):
            what = "header" if is_header and not secret else "option"
            raise ValueError(f"{what} {name!r} would put a secret into the pool; {instead}")
        if isinstance(value, str) and looks_secret(value):
            raise ValueError(
                f"option {name!r} holds what looks like a key, which would put a secret into the pool; {instead}"
            )
    return options


def check_variable(variable: str | None) -> str | None:
    """Return the name of an environment variable if it is a valid one, and not a key put there by mistake.

    Raises:
        ValueError: it is not; the message does not show it.
    """
    if variable is None:
        return None
    mixed = len(variable) >= _LONG and re.search(r"[a-z]", variable)
    random = mixed and len(re.findall(r"\d", variable)) >= _DIGITS
    if not _NAME.match(variable) or random or looks_secret(variable):
        raise ValueError(
            "it holds what is no name of an environment variable, and may be a key: it is not shown here. Put the key "
            "into an environment variable, and its name here, such as OPENAI_API_KEY"
        )
    return variable


def filled(value: Any, name: str = "an option") -> Any:
    """Return a value with each ``${NAME}``, at any depth, replaced with the value of that environment variable.

    The substituted values are remembered as secrets.

    Args:
        value: texts, mappings and lists; anything else is returned unchanged.
        name: the name of the value in error messages.

    Raises:
        PoolError: a variable is not set.
    """
    if isinstance(value, dict):
        return {key: filled(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(filled(inner, name) for inner in value)
    if not isinstance(value, str):
        return value
    for variable in _VARIABLE.findall(value):
        if variable not in os.environ:
            raise PoolError(f"{name!r} takes its value from the environment variable {variable!r}, which is not set.")
        remember(os.environ[variable])
    return _VARIABLE.sub(lambda match: os.environ[match[1]], value)


def _named(value: Any, name: str = "", *, in_headers: bool = False) -> Iterator[tuple[str, Any, bool]]:
    """Yield the fields of nested mappings and lists: name, value, and whether the field is a header."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner, in_headers
            yield from _named(inner, str(key), in_headers=bool(_HEADERS.match(str(key))))
    elif isinstance(value, list | tuple):
        for inner in value:
            if isinstance(inner, str):
                yield name, inner, False
            yield from _named(inner, name, in_headers=in_headers)
