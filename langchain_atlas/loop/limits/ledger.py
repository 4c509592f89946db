"""What was used of limits, and which models failed: the contract, and a ledger in memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from langchain_atlas.amounts import Use

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from langchain_atlas.amounts import Caps

_REMEMBERED = 100_000
"""Number of scopes, and of charges, that are remembered in memory."""


class LimitLedger(Protocol):
    """Keeps what was used in scopes such as ``day:2026-03-01``, and which models failed."""

    @property
    def waits(self) -> bool:
        """Whether its methods may wait, as for a database."""
        ...  # pragma: no cover

    def used(self, scopes: Collection[str], /) -> dict[str, Use]:
        """Return what was used in each scope."""
        ...  # pragma: no cover

    def charge(self, name: str, expected: Use, caps: Mapping[str, Caps], /) -> str | None:
        """Add what a call is expected to take to every scope, unless one of them has no room for it.

        Args:
            name: identifies the call; one that was charged before is not charged again.
            expected: what it is expected to take.
            caps: the limits by scope.

        Returns:
            The scope that has no room, in which case nothing was added; None if it was charged.
        """
        ...  # pragma: no cover

    def settle(self, name: str, took: Use, /) -> None:
        """Put what a call took in place of what was expected of it; once."""
        ...  # pragma: no cover

    def failed(self, model: str, cooldown_s: float, after: int, /) -> None:
        """Note that a model failed; after so many times in a row it is left out for some seconds."""
        ...  # pragma: no cover

    def answered(self, model: str, /) -> None:
        """Note that a model answered, so that earlier failures no longer count."""
        ...  # pragma: no cover

    def failing(self) -> dict[str, float]:
        """Return the models whose last call failed, each with the time until which it is left out, since 1970."""
        ...  # pragma: no cover


@dataclass
class _Charge:
    """A call that was charged."""

    expected: Use
    scopes: tuple[str, ...]
    is_settled: bool = False


class MemoryLedger:
    """A ledger of this process. Safe to share between threads."""

    waits = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: OrderedDict[str, Use] = OrderedDict()
        self._charges: OrderedDict[str, _Charge] = OrderedDict()
        self._failures: dict[str, tuple[int, float, float]] = {}

    def used(self, scopes: Collection[str]) -> dict[str, Use]:
        """Return what was used in each scope; see `LimitLedger.used`."""
        with self._lock:
            return {scope: self._used.get(scope, Use()) for scope in scopes}

    def charge(self, name: str, expected: Use, caps: Mapping[str, Caps]) -> str | None:
        """Charge a call; see `LimitLedger.charge`."""
        with self._lock:
            if name in self._charges:
                return None
            for scope, cap in caps.items():
                if not cap.allow(self._used.get(scope, Use()), expected):
                    return scope
            for scope in caps:
                self._add(scope, expected)
            self._charges[name] = _Charge(expected, tuple(caps))
            _forget_oldest(self._charges)
            return None

    def settle(self, name: str, took: Use) -> None:
        """Settle a charge; see `LimitLedger.settle`."""
        with self._lock:
            charge = self._charges.get(name)
            if charge is None or charge.is_settled:
                return
            charge.is_settled = True
            for scope in charge.scopes:
                self._add(scope, took.less(charge.expected))

    def failed(self, model: str, cooldown_s: float, after: int) -> None:
        """Note a failure; see `LimitLedger.failed`."""
        now = time.time()
        with self._lock:
            count, last, until = self._failures.get(model, (0, now, 0.0))
            count = count + 1 if now - max(last, until) <= cooldown_s else 1
            self._failures[model] = (count, now, now + cooldown_s if count >= after else until)

    def answered(self, model: str) -> None:
        """Note a success; see `LimitLedger.answered`."""
        with self._lock:
            self._failures.pop(model, None)

    def failing(self) -> dict[str, float]:
        """Return the models whose last call failed; see `LimitLedger.failing`."""
        with self._lock:
            return {model: until for model, (_, _, until) in self._failures.items()}

    def _add(self, scope: str, more: Use) -> None:
        self._used[scope] = self._used.pop(scope, Use()).plus(more)
        _forget_oldest(self._used)


def _forget_oldest(kept: OrderedDict[str, Any]) -> None:
    while len(kept) > _REMEMBERED:
        kept.popitem(last=False)
