"""What limits are for: users, threads and runs, as the config of the surrounding call names them."""

from __future__ import annotations

import hashlib

from langchain_core.runnables.config import ensure_config

_NAMES = {"user": ("user_id", "langgraph_auth_user_id"), "thread": ("thread_id",), "run": ("run_id",)}
"""Keys under ``configurable`` that name the user, the thread and the run."""
_LONGEST_NAME = 200
"""Bytes of a name that a ledger takes unchanged."""


def unnamed(scope: str, *limits: str) -> str:
    """Return the sentence that says that limits can't be checked, because the call names no user, thread or run."""
    return (
        f"{' and '.join(limits)} can't be checked: this call names no {scope}. Give it a config such as "
        f"{{'configurable': {{'{_NAMES[scope][0]}': '...'}}}}."
    )


def named(scope: str) -> str | None:
    """Return the name of the user, thread or run that the surrounding call belongs to; None if it has none."""
    given = ensure_config().get("configurable") or {}
    found = next((given[key] for key in _NAMES[scope] if given.get(key) not in (None, "")), None)
    return None if found is None else str(found)


def storable(name: str) -> str:
    """Return a name that any database takes: one that is too long, or holds what none takes, by its hash."""
    try:
        is_plain = len(name.encode()) <= _LONGEST_NAME and "\0" not in name
    except UnicodeEncodeError:  # half of a character
        is_plain = False
    return name if is_plain else hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
