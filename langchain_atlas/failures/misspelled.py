"""Misspelled settings of a run: rejected, so that nobody relies on a limit that is not applied.

``configurable`` and a context also hold other people's keys (``thread_id``, ``checkpoint_ns``, a user's own), so only
names that are close to one of ours are rejected there.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError, suggest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_NEARLY = 0.85
"""Similarity, by `difflib`, from which a name counts as a misspelling: ``cost_wieght`` has 0.9 to ``cost_weight``."""
_WORDS = 2


def refuse_misspelled(names: Iterable[object], ours: Collection[str], where: str) -> None:
    """Reject names that are close to one of ours.

    Args:
        names: the names that were given.
        ours: the names of our settings.
        where: where they were given, for the message.

    Raises:
        SettingError: a name is; the message suggests the intended one.
    """
    for name in names:
        if isinstance(name, str) and name not in ours and (meant := _meant(name, tuple(ours))) is not None:
            raise SettingError(f"{where} has {name!r}, which is no setting of a run. {suggest(meant, ours)}")


def refuse_unknown(names: Iterable[str], ours: Collection[str], where: str) -> None:
    """Reject names that are not among ours.

    Raises:
        SettingError: a name is not.
    """
    for name in names:
        if name not in ours:
            raise SettingError(f"{where} has no setting {name!r}. {suggest(_meant(name, tuple(ours)) or name, ours)}")


@lru_cache(maxsize=1024)  # every run brings the same names, such as thread_id, and comparing takes longer than deciding
def _meant(name: str, ours: tuple[str, ...]) -> str | None:
    """Return the name of ours that the given one misspells; None if it may be somebody else's key."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_").replace(" ", "_").lower()
    close = get_close_matches(plain, ours, n=1, cutoff=_NEARLY)
    if close:
        return close[0]
    words = set(plain.split("_"))
    if len(words) >= _WORDS:
        return next((own for own in ours if words < set(own.split("_"))), None)  # max_cost, cost_usd, latency_s
    return None
