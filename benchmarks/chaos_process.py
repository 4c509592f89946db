"""What a process holds (memory, threads, open files), and how long it waits for a processor."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

MB = 2**20


@dataclass
class Process:
    """What the process holds, at one time."""

    memory_mb: float = 0.0
    """Resident memory."""
    threads: int = 0
    """Threads."""
    files: int = 0
    """Open files and connections."""

    @classmethod
    def now(cls) -> Process:
        """Look at this process, after a thorough collection of garbage."""
        for _ in range(3):
            gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        return cls(round(resident_mb(), 1), _count("task"), _count("fd"))


def resident_mb() -> float:
    """Return the resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MB


def _count(folder: str) -> int:
    return sum(1 for _ in Path("/proc/self", folder).iterdir())


class Watch:
    """Notes the most resident memory, and the time that this process waits for a processor, as Linux counts it.

    A busy machine makes whatever runs on it late; that is no fault of what is measured.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self.waited_s = 0.0
        self._seen: dict[str, int] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._go_on, name="watch", daemon=True).start()

    def waited(self) -> float:
        """Return the seconds that its threads have waited, since this began to watch."""
        self._look()
        return self.waited_s

    def _go_on(self) -> None:
        while True:
            self._look()
            time.sleep(0.05)

    def _look(self) -> None:
        with self._lock:
            self.peak_mb = max(self.peak_mb, resident_mb())
            seen: dict[str, int] = {}
            for task in Path("/proc/self/task").iterdir():
                try:
                    seen[task.name] = int((task / "schedstat").read_text().split()[1])
                except (OSError, IndexError):  # the thread has ended
                    continue
                self.waited_s += (seen[task.name] - self._seen.get(task.name, 0)) / 1e9
            self._seen = seen
