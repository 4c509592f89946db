"""The settings of path two, and their meaning for its policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.routers.policy.state_features import MAX_CALLS
from langchain_atlas.routers.utility.router import check_settings as check_shared

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_COST_WEIGHT = 0.1
"""Default cost weight of a router."""

DEFAULT_LEAST_GAIN = 0.01
"""Default least gain of another call, as a fraction of a right answer: the same accuracy as with 0 at the same cost,
with a quarter fewer calls."""

DEFAULT_USD_PER_SECOND = 2e-5
"""Default price of a second, in dollars: 7 cents an hour, so that useless calls are not free, and few useful ones are
too slow."""

SECONDS_OF_A_CALL = 1.0
"""Assumed seconds of a call when no latency of the pool is known."""

SHARED = ("value_usd", "usd_per_second", "guard", "always")
"""Settings that routers of both paths have."""

SETTINGS = ("cost_weight", "max_turns", "least_gain", *SHARED)
"""Settings that can be changed without training again."""

HIGHEST_PRICE = 1000.0


def price_of(cost_weight: float) -> float:
    """Return the score that one call of the most expensive pair is worth, at a cost weight of 0 to 1."""
    return min(cost_weight / max(1 - cost_weight, 1e-9), HIGHEST_PRICE)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check that settings are in range.

    Raises:
        SettingError: a setting is not in range.
    """
    check_shared({name: settings[name] for name in SHARED if name in settings})
    for name, value in settings.items():
        if name == "max_turns":
            right = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_CALLS
            valid = f"a whole number from 1 to {MAX_CALLS}"
        elif name == "least_gain":
            right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
            valid = "a number from 0 (any gain that is worth its cost) to 1 (never ask again)"
        elif name == "cost_weight":
            right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
            valid = "a number from 0 (accuracy alone) to 1 (cost alone)"
        else:
            continue
        if not right:
            raise SettingError(f"{name} is {value!r}; it must be {valid}.")
