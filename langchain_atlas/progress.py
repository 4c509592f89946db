"""How far long work is: who is told, and a counter of its steps."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told how much is done and how much there is in all."""


class Steps:
    """Counts what is done, for a progress bar.

    Args:
        total: how much there is to do.
        progress: told after each step, if anybody is.
        every: tell only after so many steps, and at the end.
    """

    def __init__(self, total: int, progress: Progress | None, *, every: int = 1) -> None:
        self._total, self._progress, self._every = total, progress, every
        self._done, self._told = 0, 0

    def __call__(self, number: int = 1) -> None:
        """Count `number` steps more."""
        self._done += number
        if self._progress is None or (self._done - self._told < self._every and self._done < self._total):
            return
        self._told = self._done
        self._progress(self._done, self._total)
