"""Child processes that end with ours, and not before.

The kernel can end a child when its parent is gone, but treats the *thread* that started it as the parent. Threads are
often short-lived, like those of a pool or of a graph's tool calls. So children are started by a permanent thread.
"""

from __future__ import annotations

import os
import queue
import shlex
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _Call = tuple[Future[Any], Callable[[], Any]]

_Result = TypeVar("_Result")
_POLL_SECONDS = 0.1

_ENDING_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
if os.getppid() == int(sys.argv[1]):  # else it is gone already
    os.execv(sys.argv[2], sys.argv[2:])
"""


class LastingThread:
    """Calls functions one after another in one thread, which lasts until `close`. A forked process gets its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: int | None = None
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()

    def call(self, work: Callable[[], _Result], undo: Callable[[_Result], object]) -> _Result:
        """Return what `work` returns, called in the lasting thread.

        Args:
            work: what to do, usually starting a process.
            undo: undoes the result of `work` if nobody waits for it any more.
        """
        with self._lock:
            if self._process != os.getpid():
                self._process, self._calls = os.getpid(), queue.SimpleQueue()
                threading.Thread(target=_serve, args=(self._calls,), name="atlas-starter", daemon=True).start()
            future: Future[_Result] = Future()
            self._calls.put((future, work))
        try:
            return future.result()
        except BaseException:
            if not future.cancel() and not (future.done() and future.exception()):
                future.add_done_callback(lambda done: None if done.exception() else undo(done.result()))
            raise

    def close(self) -> None:
        """End the thread once all that it started has ended; a later call starts another one."""
        with self._lock:
            self._process = None
            self._calls.put(None)


def _serve(calls: queue.SimpleQueue[_Call | None]) -> None:
    while (call := calls.get()) is not None:
        future, work = call
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised again by whoever waits
            future.set_exception(error)
    _outlasts_its_children()


def _outlasts_its_children() -> None:
    """Wait, in the thread that started them, until no child is left: the kernel would end them with the thread."""
    listed = Path("/proc/thread-self/children")
    while sys.platform.startswith("linux"):
        try:
            if not listed.read_text():
                return
        except OSError:  # a kernel that does not tell: better a thread too many
            time.sleep(3600)
        time.sleep(_POLL_SECONDS)


class EndingWithUs:
    """A program that starts another one so that the kernel ends it with this process; a file in memory only.

    Args:
        program: the other one, which gets the same arguments and streams.
    """

    def __init__(self, program: str) -> None:
        self._file: int | None = None
        self.path = program
        """What to start: the program itself where the platform has no such thing."""
        if not sys.platform.startswith("linux") or not Path(program).is_absolute():
            return
        python, us = shlex.quote(sys.executable), os.getpid()
        script = (
            f'#!/bin/sh\nexec {python} -I -S -c {shlex.quote(_ENDING_WITH_PARENT)} {us} {shlex.quote(program)} "$@"\n'
        )
        with suppress(OSError):  # such as a kernel or a container that does not let it be made or run
            self._file = os.memfd_create("atlas-worker")
            os.write(self._file, script.encode())
            path = f"/proc/{us}/fd/{self._file}"
            if os.access(path, os.X_OK) and os.access("/bin/sh", os.X_OK):
                self.path = path

    def close(self) -> None:
        """Forget the file; programs that were started go on."""
        if self._file is not None:
            os.close(self._file)
        self._file = None
