"""Progress of long work: the callback type, and a counter of steps."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with the number of finished steps and the total."""


class Steps:
    """Counts finished steps, for a progress bar.

    Args:
        total: the total number of steps.
        progress: called after each step; None for no reports.
        every: report only after this many steps, and at the end.
    """

    def __init__(self, total: int, progress: Progress | None, *, every: int = 1) -> None:
        self._total, self._progress, self._every = total, progress, every
        self._done, self._told = 0, 0

    def __call__(self, number: int = 1) -> None:
        """Count `number` more steps."""
        self._done += number
        if self._progress is None or (self._done - self._told < self._every and self._done < self._total):
            return
        self._told = self._done
        self._progress(self._done, self._total)
