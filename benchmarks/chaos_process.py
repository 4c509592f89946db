"""What a process holds: memory, threads, open files."""

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


def give_freed_memory_back() -> None:
    """Have the C library give big pieces back to the system once they are freed.

    It keeps some tens of megabytes of them for itself, in pools of its own for each thread, so that a process that read
    replies of 32 MB looks as if it held them. What Python holds is what is to be seen.
    """
    ctypes.CDLL("libc.so.6").mallopt(_MMAP_THRESHOLD, MB)


_MMAP_THRESHOLD = -3
"""The parameter's number in ``malloc.h``."""


class Watch:
    """Notes the most resident memory, many times a second."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        threading.Thread(target=self._go_on, name="watch", daemon=True).start()

    def _go_on(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, resident_mb())
            time.sleep(0.02)
