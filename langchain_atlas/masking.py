"""Providers' keys, kept out of everything that is recorded or shown: the one place that knows them.

Known keys are the values of environment variables whose names suggest a key, and everything that was passed to a
provider in this process (`remember`). Text that merely has the form of a key is masked too, because a provider may
repeat a key that this process has never seen.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

STARS = "***"
"""Replaces a key."""

_VARIABLES = re.compile(
    r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|JWT)(?:_|\d|$)|(?:^|_)PAT(?:_|$)", re.IGNORECASE
)
"""Names of environment variables that hold keys; MAX_TOKENS, TOKENIZERS_PARALLELISM and KEYBOARD do not match."""
_SHORTEST = 6
_LONG = 16
"""From this length on, the first half of a key is enough to reveal it, so it is masked with what follows it."""
_PATH = re.compile(r"^(?:~|\.{0,2}/|[A-Za-z]:\\)[^\s]*$")
_KEY = r"[\w.~+/=-]"

_FORMS = (
    (re.compile(r"\b(?:sk|pk|rk|csk|gsk|xai|nvapi|pplx|r8|hf|fw|tvly|key)[-_](?=[\w-]*\d)[\w-]{10,}"), STARS),
    (re.compile(r"\b(?:gh[opsur]_|github_pat_|glpat-|xox[abeoprs]-|tgp_v1_|ya29\.|dapi)[\w-]{12,}"), STARS),
    (re.compile(r"\bAIza[\w-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), STARS),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), STARS),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), STARS),
    (re.compile(rf"(?i)\b((?:bearer|basic)\s+)(?={_KEY}*\d){_KEY}{{6,}}"), rf"\g<1>{STARS}"),
    (re.compile(r"(://)[^/\s:@]*:[^/\s@]+(?=@)"), rf"\g<1>{STARS}"),
    (
        re.compile(
            r"(?i)([?&](?:[\w.-]*api[-_]?key|(?:subscription[-_]?)?key|[\w.-]*token|[\w.-]*secret|sig|signature|password"
            r"|auth|credential)=)[^&\s\"'<>)\\]+"
        ),
        rf"\g<1>{STARS}",
    ),
    (
        re.compile(
            r"(?i)((?:api[-_ ]?key|apikey|secret(?:[-_ ]access)?(?:[-_ ]key)?|access[-_ ]token|password|authorization)"
            rf"(?:\s+provided)?['\"]?\s*[:=]\s*['\"]?)(?={_KEY}*\d){_KEY}{{8,}}"
        ),
        rf"\g<1>{STARS}",
    ),
)
"""Patterns of keys of any provider, and their replacements."""

_REMEMBERED: set[str] = set()


def remember(*values: Any) -> None:
    """Remember keys that were passed to a provider, so that they are masked even after their variable has changed.

    Args:
        values: keys as texts or pydantic secrets, or lists and mappings of them; anything else is ignored.
    """
    for value in values:
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        if isinstance(plain, Mapping):
            remember(*plain.values())
        elif isinstance(plain, list | tuple):
            remember(*plain)
        elif isinstance(plain, bytes):
            remember(plain.decode("utf-8", "replace"))
        elif isinstance(plain, str) and len(plain.strip()) >= _SHORTEST:
            _REMEMBERED.add(plain.strip())


MAX_ERROR_TEXT = 2_000
"""How many characters of an error are kept; the rest of a provider's error page adds nothing."""


def masked(text: str, variable: str | None = None) -> str:
    """Return a text with keys masked: a provider's error may repeat the key that it rejects.

    Args:
        text: the text.
        variable: an environment variable that holds a key, even if its name does not suggest one.
    """
    here = _KNOWN_HERE.get() if variable is None else None
    known = _known(variable) if here is None else here
    for key in sorted(known, key=len, reverse=True):  # longest first: a key may be part of another
        escaped = json.dumps(key)[1:-1]
        for written in {key, escaped, escaped.replace("/", r"\/"), repr(key)[1:-1], quote(key), quote(key, safe="")}:
            text = text.replace(written, STARS)
        if len(key) >= _LONG:
            text = re.sub(rf"{re.escape(key[: max(12, len(key) // 2)])}{_KEY}*", STARS, text)
    return without_forms(text)


@contextmanager
def keys_looked_up() -> Iterator[None]:
    """Look up the keys once for all texts that are masked inside: an error holds hundreds of them."""
    if _KNOWN_HERE.get() is not None:
        yield
        return
    token = _KNOWN_HERE.set(frozenset(_known(None)))
    try:
        yield
    finally:
        _KNOWN_HERE.reset(token)


_KNOWN_HERE: ContextVar[frozenset[str] | None] = ContextVar("atlas_known_keys", default=None)


def without_forms(text: str) -> str:
    """Return a text with everything masked that looks like a key, known or not."""
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return text


def looks_secret(text: str) -> bool:
    """Return whether a text holds something that looks like a key."""
    return without_forms(text) != text


def masked_value(value: Any, *, depth: int = 12) -> Any:
    """Return a value with the keys in its texts masked, at any depth; the value itself if it has none."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        return value if masked(text) == text else masked(text).encode()
    if depth <= 0:
        return value
    if type(value) in (dict, list, tuple, set, frozenset):
        with keys_looked_up():
            return _masked_members(value, depth)
    return value


def _masked_members(value: Any, depth: int) -> Any:
    """Return what `masked_value` does of a container."""
    if type(value) is dict:
        changed: Any = {name: masked_value(inner, depth=depth - 1) for name, inner in value.items()}
        return changed if any(changed[name] is not inner for name, inner in value.items()) else value
    inner = [masked_value(member, depth=depth - 1) for member in value]
    same = all(new is old for new, old in zip(inner, value, strict=True))
    return value if same else type(value)(inner)


def error_text(error: BaseException, variable: str | None = None) -> str:
    """Return ``ErrorType: message`` of an error, with keys masked and at limited length.

    Args:
        error: the error.
        variable: an environment variable that holds a key; see `masked`.
    """
    return shortened(masked(f"{type(error).__name__}: {error}", variable))


def shortened(text: str) -> str:
    """Return the text of an error, cut at `MAX_ERROR_TEXT` characters."""
    left = len(text) - MAX_ERROR_TEXT
    return text if left <= 0 else f"{text[:MAX_ERROR_TEXT]}... ({left:,} more characters)"


def _known(variable: str | None) -> set[str]:
    """Return the currently known keys."""
    known = set(_REMEMBERED)
    for name, value in os.environ.items():
        if name == variable or (_says_key(name) and _may_be_key(name, value)):
            known.add(value.strip())
    fields = vars(sys.modules["litellm"]) if "litellm" in sys.modules else {}
    for name in _names_of_litellm(len(fields)):
        if isinstance(key := fields.get(name), str):
            known.add(key)
    return {key for key in known if len(key) >= _SHORTEST}


@lru_cache(maxsize=4096)
def _says_key(name: str) -> bool:
    return _VARIABLES.search(name) is not None


def _may_be_key(name: str, value: str) -> bool:
    """Return whether a variable's value can be a key: a switch, a small number or a file path can't."""
    if value.isdigit() and len(value) < _LONG:
        return False
    return not ("CREDENTIAL" in name.upper() and _PATH.match(value))


@lru_cache(maxsize=8)
def _names_of_litellm(fields: int) -> tuple[str, ...]:
    """Return LiteLLM's own attributes that hold keys, such as ``openai_key``, cached by their number."""
    if not fields:
        return ()
    return tuple(name for name in vars(sys.modules["litellm"]) if name.endswith(("_key", "_token")))
