"""Whether two expressions are equal, by ``math-verify``, which runs in a process of its own.

Computer algebra on what a model wrote may run for hours or take all memory (``9^{9^{9^9}}``), and nothing but the end
of its process stops it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from langchain_atlas.errors import MissingExtraError

_SLACK_S = 10
"""Seconds beyond the limit after which the process is ended; it also has to start."""
_WORKER = Path(__file__).with_name("prover_worker.py")


class Prover:
    """Compares expressions. Threads may share it; they take turns.

    Raises:
        MissingExtraError: math-verify is not installed.
    """

    def __init__(self) -> None:
        if find_spec("math_verify") is None:
            raise MissingExtraError("The scorer 'math'", "math")
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._known: dict[tuple[str, str], bool] = {}
        atexit.register(self.close)

    def equal(self, expected: str, given: str, *, timeout_s: int = 5) -> bool:
        """Return whether two expressions, in LaTeX or written plainly, are equal; False if that takes too long."""
        with self._lock:
            known = self._known.get((expected, given))
            if known is None:
                known = self._ask(expected, given, timeout_s)
                self._known[expected, given] = known
            return known

    def close(self) -> None:
        """End the process; the next comparison starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _ask(self, expected: str, given: str, timeout_s: int) -> bool:
        process = self._process or self._start()
        assert process.stdin is not None  # noqa: S101  # both are pipes; this tells the type checker
        assert process.stdout is not None  # noqa: S101
        end = threading.Timer(timeout_s + _SLACK_S, process.kill)
        end.start()
        try:
            process.stdin.write(json.dumps({"expected": expected, "given": given, "timeout_s": timeout_s}) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = ""
        finally:
            end.cancel()
        if not answer:  # it was ended, or ran out of memory
            self.close()
            return False
        return bool(json.loads(answer)["equal"])

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(  # noqa: S603  # our own file, by the interpreter that runs now
            [sys.executable, "-P", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={name: value for name, value in os.environ.items() if "KEY" not in name and "TOKEN" not in name},
        )
        return self._process


@lru_cache(maxsize=1)
def shared_prover() -> Prover:
    """Return the prover that all scorers share."""
    return Prover()
