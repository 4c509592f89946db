"""A sandbox based on Monty, an interpreter for a large subset of Python, written in Rust.

It runs in separate worker processes and has no access to files, the network or other processes.
"""

import os
import shutil
import sysconfig
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from langchain_atlas.errors import ExecutionError, SettingError
from langchain_atlas.tools.python.lasting import EndingWithUs, LastingThread
from langchain_atlas.tools.python.monty_errors import MESSAGE, missing_feature, passed_over
from langchain_atlas.tools.python.monty_programs import PASSED_OVER, PRELUDE, prepared
from langchain_atlas.tools.python.sandbox import MAX_CODE, Execution

_Run = tuple[Execution, bytes | None]


class MontySandbox:
    """A sandbox of Monty workers: no files, no environment, no network, no processes.

    Workers start on the first run and serve all threads. `close` stops them, and a later run starts them again; they
    also stop when the sandbox is garbage-collected and when Python exits.
    """

    _process: ClassVar[int | None] = None
    """Id of the process in which the first pool of this class was started."""

    def __init__(
        self,
        *,
        seconds: float = 2.0,
        memory_mib: int = 64,
        max_output: int = 10_000,
        max_workers: int | None = None,
    ) -> None:
        """Store the limits; nothing is started.

        Args:
            seconds: running time of each program; sleeping takes no time in the sandbox.
            memory_mib: memory of an interpreter, in MiB.
            max_output: characters kept of the output, and of the value.
            max_workers: programs that run at once; by default as many as there are processors.

        Raises:
            SettingError: when a limit is not positive.
        """
        limits = {
            "seconds": seconds,
            "memory_mib": memory_mib,
            "max_output": max_output,
            "max_workers": 1 if max_workers is None else max_workers,
        }
        for name, limit in limits.items():
            if not isinstance(limit, int | float) or not limit > 0:
                raise SettingError(f"{name} of a sandbox must be a number above 0, not {limit!r}")
        self.seconds = seconds
        self.memory_mib = memory_mib
        self.max_output = max_output
        self.max_workers = max_workers
        self._lock = threading.Lock()
        self._starter = LastingThread()
        self._pool: Any = None
        self._stop: weakref.finalize[..., MontySandbox] | None = None

    def run(self, *programs: str) -> Execution:
        """Run programs one after another in one fresh interpreter, up to the first error.

        Args:
            programs: source texts of at most `MAX_CODE` characters each.

        Returns:
            Output, value and error; see `Execution`.

        Raises:
            ExecutionError: in a process that was forked after the sandbox was first used.
        """
        return self._run(programs)[0]

    @contextmanager
    def session(self) -> Iterator["MontySession"]:
        """Yield a session whose runs share their names. It holds no worker between runs."""
        yield MontySession(self)

    def _run(self, programs: tuple[str, ...], state: bytes | None = None, *, keep: bool = False) -> _Run:
        """Run programs in an interpreter in a given state; what came of it, and the state after it if it is kept."""
        from pydantic_monty import MontyError

        for index, program in enumerate(programs):
            if len(program) > MAX_CODE:
                error = f"ValueError: the program has {len(program)} characters; at most {MAX_CODE} are accepted"
                return Execution(error=error, snippet=index), state
            if method := PASSED_OVER.search(program):
                return passed_over(method, program, index), state
        started = time.perf_counter()
        printed = _Printed(self.max_output)
        value, index, session, after = None, 0, None, state
        with ExitStack() as stack:
            try:
                session = self._checkout(stack)
                if state is not None:
                    session.load_session(state)
                else:
                    session.feed_run(PRELUDE)
                for index, program in enumerate(programs):  # noqa: B007 -- read where the error is explained
                    value = _fed(session, prepared(program, self.max_output), printed)
                # Only the text that `prepared` asks for; a `return` of the program could hand out anything.
                shown = value if isinstance(value, str) else None
                result = Execution(value=shown and shown[: self.max_output], truncated=_exceeds(shown, self.max_output))
            except MontyError as failure:
                result = replace(self._explain(failure, programs[index]), snippet=index)
            if keep and session is not None:
                # An interpreter that was stopped has no state to give; what ran before it stays.
                with suppress(MontyError):
                    after = session.dump()
        result = replace(
            result,
            output=printed.text(),
            truncated=result.truncated or printed.truncated,
            seconds=time.perf_counter() - started,
        )
        return result, after

    def close(self) -> None:
        """Stop the workers; programs that run now end first. A later run starts new ones."""
        with self._lock:
            if self._stop is not None:
                self._stop()
            self._pool = self._stop = None

    def _checkout(self, stack: ExitStack) -> Any:
        """A fresh interpreter, given back when the stack unwinds."""
        # Under the lock, so that `close` can't stop the pool between finding it and taking a worker from it.
        with self._lock:
            pool = self._running_pool()
            session = pool.checkout(
                limits={"max_feed_duration_secs": self.seconds, "max_memory": self.memory_mib * 2**20},
                # Sleeps do not count as running time, so a program could hold a worker for hours.
                os_policy={"sleep": "zero"},
            )
            # This may start a worker, and the worker ends with the thread that started it.
            entered = self._starter.call(session.__enter__, lambda _: session.__exit__(None, None, None))
            stack.push(session)
            return entered

    def _running_pool(self) -> Any:
        from pydantic_monty import Monty

        # The threads that Monty runs on do not survive a fork: in the child it would wait for them without end.
        if MontySandbox._process not in {None, os.getpid()}:
            raise ExecutionError(
                "the Python sandbox was used before this process was forked, and can't run in the child; fork before "
                "its first use, or start processes with the 'spawn' method"
            )
        if self._pool is None:
            program = EndingWithUs(_program())
            pool = Monty(max_processes=self.max_workers, binary_path=program.path or None)
            self._starter.call(pool.__enter__, lambda _: pool.__exit__(None, None, None))
            MontySandbox._process = os.getpid()
            self._pool, self._stop = pool, weakref.finalize(self, _stop, pool, program, self._starter, os.getpid())
        return self._pool

    def _explain(self, failure: Any, program: str) -> Execution:
        """Convert an error of Monty to an `Execution`."""
        from pydantic_monty import MontyCrashedError

        if isinstance(failure, MontyCrashedError):
            if failure.timed_out:
                return Execution(error=f"TimeoutError: the program ran longer than {self.seconds:g} s")
            return Execution(error="RuntimeError: the program made its interpreter stop")
        exception, error = failure.exception(), failure.display("type-msg")
        message = str(exception)[:MESSAGE]
        if isinstance(exception, TimeoutError) and message.startswith("feed time limit exceeded"):
            error = f"TimeoutError: the program ran longer than {self.seconds:g} s"
        elif isinstance(exception, MemoryError) and message.startswith(("memory limit", "the worker exceeded")):
            error = f"MemoryError: the program needed more than {self.memory_mib} MiB"
        frames = failure.traceback()
        # The innermost frame that lies in this program, rather than in one that ran before it.
        lines = [frame.line for frame in frames if frame.filename == frames[0].filename]
        inside = lines and lines[-1] <= program.count("\n") + 1
        return Execution(
            error=error[: self.max_output],
            line=lines[-1] if inside else None,
            unsupported=missing_feature(exception, message, program),
            truncated=_exceeds(error, self.max_output),
        )


class MontySession:
    """Runs that share their names: the state of the interpreter is taken out after each, and put back before the next.

    Safe to share between threads: runs wait for each other. A run that breaks a limit leaves the names as they were.
    """

    def __init__(self, sandbox: MontySandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._state: bytes | None = None

    def run(self, *programs: str) -> Execution:
        """Run programs after those that ran before; see `MontySandbox.run`."""
        with self._lock:
            execution, self._state = self._sandbox._run(programs, self._state, keep=True)  # noqa: SLF001
            return execution


@cache
def shared_sandbox() -> MontySandbox:
    """The sandbox with default limits that everything in this process shares, so that its workers are started once."""
    return MontySandbox()


class _Printed:
    """Keeps the first characters that a program prints and drops the rest.

    Monty's own collectors end the program when they are full, and lose what it printed.
    """

    def __init__(self, limit: int) -> None:
        self.truncated = False
        self._room = limit
        self._pieces: list[str] = []

    def __call__(self, _stream: str, text: str) -> None:
        self.truncated = self.truncated or len(text) > self._room
        if piece := text[: self._room]:
            self._pieces.append(piece)
            self._room -= len(piece)

    def text(self) -> str:
        return "".join(self._pieces)


def _fed(session: Any, program: str, printed: _Printed) -> Any:
    """Run a program; it may end itself, which is no error unless it says so."""
    from pydantic_monty import MontyRuntimeError

    try:
        return session.feed_run(program, print_callback=printed)
    except MontyRuntimeError as failure:
        if failure.display("type-msg") in {"SystemExit", "SystemExit: "}:
            return None
        raise


def _exceeds(text: str | None, limit: int) -> bool:
    return text is not None and len(text) > limit


def _program() -> str:
    """Where Monty's worker is; empty where Monty shall look for it itself."""
    beside = Path(sysconfig.get_path("scripts")) / "monty"
    return os.environ.get("MONTY_BIN") or (str(beside) if beside.is_file() else shutil.which("monty") or "")


def _stop(pool: Any, program: EndingWithUs, starter: LastingThread, owner: int) -> None:
    if os.getpid() == owner:
        pool.__exit__(None, None, None)
        program.close()
        starter.close()
