"""One isolated interpreter and the conversation with it, bounded in time and size on our side too."""

import json
import math
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import ExecutionError
from langchain_atlas.tools.python import isolation
from langchain_atlas.tools.python.lasting import LastingThread
from langchain_atlas.tools.python.sandbox import MAX_CODE, Execution

if TYPE_CHECKING:
    from langchain_atlas.tools.python.process import ProcessSandbox

MAX_PRINTED = 64 * 2**20
"""Bytes that a program may print in one run, kept or not, before it is stopped."""

MAX_RUNS = 100
"""Runs of one session: processor time is limited for all of them together."""

_STARTER = LastingThread()

_START_SECONDS = 20.0
_END_SECONDS = 0.2
_THREADS = 16
_OPEN_FILES = 64
_CHUNK = 65_536


class ProcessSession:
    """Runs that share one interpreter. A run that breaks a limit ends it; the next one starts afresh.

    Safe to share between threads: runs wait for each other.
    """

    def __init__(self, sandbox: "ProcessSandbox") -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._runs = 0

    def run(self, *programs: str) -> Execution:
        """Run programs after those that ran before; see `ProcessSandbox.run`."""
        for index, program in enumerate(programs):
            if len(program) > MAX_CODE:
                error = f"ValueError: the program has {len(program)} characters; at most {MAX_CODE} are accepted"
                return Execution(error=error, snippet=index)
        with self._lock:
            started = time.perf_counter()
            if self._child is None or self._runs >= MAX_RUNS:
                self._stop()
                self._child, self._runs = _Child(self._sandbox), 0
            self._runs += 1
            execution, alive = self._child.run(programs)
            if not alive:
                self._stop()
                lost = "; the names of earlier runs are lost" if self._runs > 1 else ""
                execution = replace(execution, error=f"{execution.error}{lost}")
            return replace(execution, seconds=time.perf_counter() - started)

    def close(self) -> None:
        """End the interpreter and everything that it started."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._child is not None:
            self._child.stop()
        self._child = None


class _Child:
    """The process, and its three pipes: requests in, printed text and answers out."""

    def __init__(self, sandbox: "ProcessSandbox") -> None:
        self.sandbox = sandbox
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = bytearray()
        try:
            self._start(isolated=sandbox.isolation == "namespaces")
        except OSError as error:  # a full disk, no descriptor or process left
            self.stop()
            raise ExecutionError(f"the Python sandbox could not be started: {error}. Nothing was run") from error
        except BaseException:
            self.stop()
            raise

    def _start(self, *, isolated: bool) -> None:
        sandbox = self.sandbox
        answers, theirs = os.pipe()
        self._answers = self._stack.enter_context(os.fdopen(answers, "rb", buffering=0)).fileno()
        trouble = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        with os.fdopen(theirs, "wb", buffering=0), tempfile.TemporaryFile(buffering=0) as rules:
            if isolated:
                rules.write(isolation.filter_program(one_process=sandbox.processes == 1))
                rules.seek(0)
                folder, command = "/", isolation.command(theirs, rules.fileno(), sandbox.files_mib, sandbox.folders)
            else:
                folder = self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
                command = isolation.interpreter(str(isolation.RUNNER), theirs)
            start = partial(
                _started,
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=trouble,
                pass_fds=(theirs, rules.fileno()),
                env=isolation.environment(),
                cwd=folder,
                start_new_session=True,
            )
            # The kernel ends it with the thread that started it, and a session serves many threads.
            self._process = process = _STARTER.call(start, subprocess.Popen.kill)
        if process.stdin is None or process.stdout is None:
            raise ExecutionError("the Python sandbox got no pipes")  # pragma: no cover
        self._requests, self._printed = process.stdin.fileno(), process.stdout.fileno()
        for pipe in (self._requests, self._printed, self._answers):
            os.set_blocking(pipe, False)
        answer = self._ask(self._limits(isolated=isolated), _START_SECONDS, Printed(0))
        if answer != {"ready": True}:
            trouble.seek(0)
            reason = trouble.read(1000).decode(errors="replace").strip() or "it ended without a word"
            raise ExecutionError(
                f"the Python sandbox could not be set up: {reason}. Nothing was run. The kernel or the container may "
                "forbid namespaces; use the Monty sandbox, or isolation='limits-only', which is no sandbox"
            )

    def _limits(self, *, isolated: bool) -> dict[str, Any]:
        sandbox = self.sandbox
        return {
            "cpu_seconds": math.ceil(sandbox.seconds + 1) * MAX_RUNS,
            "memory_mib": math.ceil(sandbox.memory_mib),
            "files_mib": math.ceil(sandbox.files_mib),
            "max_output": math.ceil(sandbox.max_output),
            "open_files": _OPEN_FILES,
            "tasks": _THREADS if sandbox.processes == 1 else math.ceil(sandbox.processes),
            "user": isolation.sandbox_user() if isolated else 0,
            "parent": 0 if isolated else os.getpid(),  # bubblewrap looks after its own
            "folders": sandbox.folders,
        }

    def run(self, programs: tuple[str, ...]) -> tuple[Execution, bool]:
        """What came of programs, and whether the process can take more."""
        limit = self.sandbox.max_output
        printed = Printed(4 * limit)  # bytes of a character
        answer = self._ask(list(programs), self.sandbox.seconds, printed)
        told = answered(answer, self.sandbox.memory_mib)
        text = printed.text()
        execution = replace(
            told,
            output=text[:limit],
            value=told.value and told.value[:limit],
            error=told.error and told.error[:limit],
            truncated=printed.cut or any(len(part or "") > limit for part in (text, told.value, told.error)),
        )
        return execution, isinstance(answer, dict)

    def _ask(self, request: Any, seconds: float, printed: "Printed") -> dict[str, Any] | str:
        """Send a request, and keep what is printed until it is answered.

        Returns:
            The answer; in place of one, the error that ended the run.
        """
        deadline = time.perf_counter() + seconds
        pending = memoryview(json.dumps(request).encode() + b"\n")
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_WRITE)
            selector.register(self._printed, selectors.EVENT_READ)
            selector.register(self._answers, selectors.EVENT_READ)
            while self._answers in selector.get_map():
                for key, _ in selector.select(max(deadline - time.perf_counter(), 0)):
                    if key.fd == self._requests:
                        pending = pending[_written(key.fd, pending) :]
                        ended = not pending
                    else:
                        ended = not self._take(key.fd, printed)
                    if ended:
                        selector.unregister(key.fd)
                if b"\n" in self._answered:
                    while self._take(self._printed, printed):  # printed before it answered
                        pass
                    return self._answer()
                if broken := self._broken(printed, late=time.perf_counter() > deadline):
                    return broken
        return "RuntimeError: the program made its interpreter stop"

    def _take(self, pipe: int, printed: "Printed") -> bool:
        """Take in what a pipe holds; whether it held anything."""
        piece = _read(pipe)
        if pipe == self._printed:
            printed.take(piece)
        else:
            self._answered += piece
        return bool(piece)

    def _broken(self, printed: "Printed", *, late: bool) -> str | None:
        """The limit that a run broke, as an error."""
        if printed.size > MAX_PRINTED:
            return f"RuntimeError: the program printed more than {MAX_PRINTED // 2**20} MiB"
        if len(self._answered) > 12 * self.sandbox.max_output + _CHUNK:
            return "RuntimeError: the program disturbed its interpreter"
        return f"TimeoutError: the program ran longer than {self.sandbox.seconds:g} s" if late else None

    def _answer(self) -> dict[str, Any] | str:
        """Take one line off what was answered; the program shares the process with the runner and may forge it."""
        line, _, rest = bytes(self._answered).partition(b"\n")
        self._answered = bytearray(rest)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        return answer if isinstance(answer, dict) else "RuntimeError: the program disturbed its interpreter"

    def stop(self) -> None:
        """End the process and what it started, and wait until it is gone."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            # Without requests it ends by itself, and leaves nothing for the machine's first process to collect.
            if self.sandbox.isolation == "namespaces":
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_END_SECONDS)
            if self._process.returncode is None:
                # Of namespaces, the kernel ends all processes with the first; without them, those of the group.
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        self._stack.close()


def _started(command: list[str], **settings: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, **settings)  # noqa: S603 -- our own command, without a shell


class Printed:
    """Keeps the first bytes that a program prints, and counts the rest."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self.cut = False
        self._limit = limit
        self._kept = bytearray()

    def take(self, piece: bytes) -> None:
        """Take what was printed next."""
        self.size += len(piece)
        kept = piece[: self._limit - len(self._kept)]
        self._kept += kept
        self.cut = self.cut or len(kept) < len(piece)

    def text(self) -> str:
        """What was kept."""
        return self._kept.decode(errors="replace")


def answered(answer: dict[str, Any] | str, memory_mib: float) -> Execution:
    """What an answer of the process says; nothing in it is believed to be of the right kind."""
    if isinstance(answer, str):
        return Execution(error=answer)
    value, error = (_text(answer.get(name)) for name in ("value", "error"))
    line, snippet = (_whole(answer.get(name)) for name in ("line", "snippet"))
    if error is not None and answer.get("memory") is True:
        error = f"MemoryError: the program needed more than {memory_mib:g} MiB"
    return Execution(value=value, error=error, line=line or None, snippet=snippet)


def _text(part: Any) -> str | None:
    return part if isinstance(part, str) else None


def _whole(part: Any) -> int:
    return part if isinstance(part, int) and 0 <= part <= MAX_CODE else 0


def _read(pipe: int) -> bytes:
    """What a pipe holds; empty when it holds nothing, and at its end."""
    try:
        return os.read(pipe, _CHUNK)
    except BlockingIOError:
        return b""


def _written(pipe: int, pending: memoryview) -> int:
    try:
        return os.write(pipe, pending[:_CHUNK])
    except BlockingIOError:
        return 0
    except BrokenPipeError:  # the end of the process shows where it is read from
        return len(pending)
