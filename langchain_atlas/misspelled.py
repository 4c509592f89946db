"""Settings of a run that are misspelled: refused, so that a limit which nobody applies is not taken for one that holds.

Other people's keys stand beside ours in ``configurable`` and in a context (``thread_id``, ``checkpoint_ns``, a user's
own), so only a name that is nearly one of ours is refused there.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError, suggest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_NEARLY = 0.85
"""How alike two names are, by `difflib`, that are taken for one: ``cost_wieght`` is 0.9 like ``cost_weight``."""
_WORDS = 2


def refuse_misspelled(names: Iterable[object], ours: Collection[str], where: str) -> None:
    """Refuse names that are nearly one of ours.

    Args:
        names: the names that were given.
        ours: the names of our settings.
        where: where they were given, for the message.

    Raises:
        SettingError: one is; the message says which is meant.
    """
    for name in names:
        if isinstance(name, str) and name not in ours and (meant := _meant(name, ours)) is not None:
            raise SettingError(f"{where} has {name!r}, which is no setting of a run. {suggest(meant, ours)}")


def refuse_unknown(names: Iterable[str], ours: Collection[str], where: str) -> None:
    """Refuse names that are none of ours.

    Raises:
        SettingError: one is not.
    """
    for name in names:
        if name not in ours:
            raise SettingError(f"{where} has no setting {name!r}. {suggest(_meant(name, ours) or name, ours)}")


def _meant(name: str, ours: Collection[str]) -> str | None:
    """Return the name of ours that another one must be a slip for; None where it may be somebody else's."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_").replace(" ", "_").lower()
    close = get_close_matches(plain, ours, n=1, cutoff=_NEARLY)
    if close:
        return close[0]
    words = set(plain.split("_"))
    if len(words) >= _WORDS:
        return next((own for own in ours if words < set(own.split("_"))), None)  # max_cost, cost_usd, latency_s
    return None
