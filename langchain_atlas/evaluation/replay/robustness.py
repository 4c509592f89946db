"""Does a router make the same choice when a query is worded slightly differently?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import ConstraintError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Query

_LONG_WORD = re.compile(r"(?<![\w.'/\\@-])[A-Za-z]{5,}(?![\w'/\\@-]|\.\w)")
_GAP = re.compile(r"(?<=\S) (?=\S)")
_FIRST_LETTER = re.compile(r"[A-Za-z]")


def perturb(text: str, rng: np.random.Generator) -> str:
    """Make one small edit that does not change the meaning.

    One of: the case of the first letter, a second space between two words, two neighbouring letters swapped inside a
    long word, a letter doubled there, a full stop or question mark at the end added or dropped. Numbers are never
    touched, nor are words that look like code, paths or addresses.

    Args:
        text: the query's text.
        rng: source of randomness.

    Returns:
        The edited text; it always differs from `text`.
    """
    for number in rng.permutation(len(_EDITS)):
        changed: str | None = _EDITS[int(number)](text, rng)
        if changed is not None and changed != text:
            return changed
    return text + "."


def choices_kept(choices: Sequence[object], edited_choices: Sequence[Sequence[object]]) -> float:
    """Return RouterArena's robustness: the share of edited queries for which the choice stayed the same.

    Args:
        choices: the choice for each query, length n.
        edited_choices: the choices for the edited versions, n lists, each of one or more.

    Returns:
        0 (every choice changed) to 1 (none did); the share of changes is 1 minus this.

    Raises:
        SettingError: there is no edited query.
    """
    kept = [after == before for before, versions in zip(choices, edited_choices, strict=True) for after in versions]
    if not kept:
        raise SettingError("There is no edited query; robustness needs at least one.")
    return sum(kept) / len(kept)


def robustness(router: Router, queries: Sequence[Query], *, versions: int = 1, seed: int = 0) -> float:
    """Measure how often a router's first choice stays the same under small edits of the query.

    Args:
        router: the router.
        queries: the queries; only their text is edited.
        versions: edited versions of each query.
        seed: seed of the edits.

    Returns:
        Share of edited queries whose first decision names the same pair, 0 to 1. Refusing a query, or going on without
        a call, counts as a choice too.

    Raises:
        SettingError: there are no queries, or `versions` is below 1.
    """
    if versions < 1 or not queries:
        raise SettingError(
            f"There are {len(queries)} queries and {versions!r} versions of each; both must be 1 or more."
        )
    rng = np.random.default_rng(seed)
    edited = [query.replace(text=perturb(query.text, rng)) for query in queries for _ in range(versions)]
    before, after = _choices(router, list(queries)), _choices(router, edited)
    return choices_kept(before, [after[start : start + versions] for start in range(0, len(after), versions)])


def _choices(router: Router, queries: list[Query]) -> list[Pair | None]:
    try:
        return [decision.pair for decision in router.decide_batch(queries)]
    except ConstraintError:
        return [_choice(router, query) for query in queries]


def _choice(router: Router, query: Query) -> Pair | None:
    try:
        return router.decide(query).pair
    except ConstraintError:
        return None


def _flip_case(text: str, _: np.random.Generator) -> str | None:
    first = _FIRST_LETTER.search(text)
    return None if first is None else text[: first.start()] + first[0].swapcase() + text[first.end() :]


def _widen_gap(text: str, rng: np.random.Generator) -> str | None:
    gaps = list(_GAP.finditer(text))
    if not gaps:
        return None
    at = gaps[rng.integers(len(gaps))].start()
    return f"{text[:at]} {text[at:]}"


def _swap_letters(text: str, rng: np.random.Generator) -> str | None:
    places = [place for place in _inner_letters(text) if text[place] != text[place + 1]]
    if not places:
        return None
    at = places[rng.integers(len(places))]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _double_letter(text: str, rng: np.random.Generator) -> str | None:
    places = _inner_letters(text)
    if not places:
        return None
    at = places[rng.integers(len(places))]
    return text[: at + 1] + text[at:]


def _end_mark(text: str, _: np.random.Generator) -> str | None:
    if not text or text[-1].isspace():
        return None
    drop = len(text) > 1 and text[-1] in ".?" and text[-2] not in ".?"
    return text[:-1] if drop else f"{text}."


def _inner_letters(text: str) -> list[int]:
    """Return the positions of letters that are neither first nor among the last two of a long word."""
    return [place for word in _LONG_WORD.finditer(text) for place in range(word.start() + 1, word.end() - 2)]


_EDITS: tuple[Callable[[str, np.random.Generator], str | None], ...] = (
    _flip_case,
    _widen_gap,
    _swap_letters,
    _double_letter,
    _end_mark,
)
