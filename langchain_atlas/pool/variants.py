"""Variants of a model: the same model with other parameters, such as less reasoning or shorter replies.

A variant has a name of its own, so that routers choose it like any other model; what is known of its base holds for it.
"""

from __future__ import annotations

from typing import Any

from langchain_atlas.errors import PoolError, suggest


def described(base: str, own: str, options: dict[str, Any]) -> str:
    """Return the description of a variant: that of its base, and its own or else what is different.

    Args:
        base: description of the base.
        own: its own description; may be empty.
        options: the parameters that are different.
    """
    told = own or ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in options.items())
    return " ".join(part for part in (base, f"Variant: {told}." if told and not own else told) if part)


def with_bases(entries: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Fill the entries of a pool file's models that name a ``base`` with what its entry says.

    Options are merged, by parameter; every other field that a variant gives replaces the base's.

    Raises:
        PoolError: a base is not a model of the file, or is a variant of its variant.
    """
    known = dict(entries)
    return [(name, _filled(name, known, ())) for name, _ in entries]


def _filled(name: str, known: dict[str, dict[str, Any]], path: tuple[str, ...]) -> dict[str, Any]:
    entry = known[name]
    base = entry.get("base")
    if base is None:
        return entry
    if not isinstance(base, str) or base not in known:
        raise PoolError(
            f"model {name!r} is a variant of {base!r}, which is no model of this pool. {suggest(str(base), known)}"
        )
    if base in (*path, name):
        raise PoolError(f"model {name!r} is a variant of itself, by {' of '.join((*path, name, base))}.")
    under = _filled(base, known, (*path, name))
    options = entry.get("options") or {}
    if not isinstance(options, dict) or not isinstance(under.get("options") or {}, dict):
        raise PoolError(f"model {name!r}: 'options' holds parameters by name; it holds {options!r}.")
    about = described(str(under.get("description") or ""), str(entry.get("description") or ""), options)
    return {
        **under,
        "litellm": under.get("litellm") or base,
        **{field: value for field, value in entry.items() if value is not None},
        "options": {**(under.get("options") or {}), **options},
        "description": about,
        "base": under.get("base") or base,
    }
