"""What runs inside the process sandbox: applies the limits, then runs the programs it is sent.

This file is started by itself, as a script, where nothing but Python's standard library can be seen. It is sent one
line of JSON with limits, then one line for each run; it answers each with one line.
"""

import ast
import json
import os
import resource
import sys
from types import TracebackType
from typing import Any, TextIO

_MIB = 2**20


def main() -> None:
    """Serve runs until the requests end."""
    with os.fdopen(os.dup(0), encoding="utf-8") as requests, os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as out:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(1, 2)
        limits = json.loads(requests.readline())
        sys.path.extend(limits["folders"])
        _restrict(limits)
        _answer(out, {"ready": True})
        names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        names |= {"exit": sys.exit, "quit": sys.exit}  # which Python's site module gives to others
        for number, line in enumerate(requests):
            _answer(out, _run(json.loads(line), names, number, int(limits["max_output"])))


def _restrict(limits: dict[str, Any]) -> None:
    """Apply limits to this process, and give up every right that would lift them."""
    seconds, files = limits["cpu_seconds"], limits["files_mib"] * _MIB
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in ("RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE"):  # what is kept for a program by the kernel; Linux has them
        if hasattr(resource, name):
            resource.setrlimit(getattr(resource, name), (64, 64))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (files, files))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits["open_files"], limits["open_files"]))
    resource.setrlimit(resource.RLIMIT_NPROC, (limits["tasks"], limits["tasks"]))
    resource.setrlimit(resource.RLIMIT_AS, (limits["memory_mib"] * _MIB, limits["memory_mib"] * _MIB))
    if limits["user"]:
        os.setgroups([])
        os.setresgid(limits["user"], limits["user"], limits["user"])
        os.setresuid(limits["user"], limits["user"], limits["user"])
    if limits["parent"]:
        _end_with(limits["parent"])


def _end_with(parent: int) -> None:
    """Let the kernel end this process with the one that started it, where it can."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
        if os.getppid() != parent:
            sys.exit(1)


def _run(programs: list[str], names: dict[str, Any], number: int, max_output: int) -> dict[str, Any]:
    value, index, filename = None, 0, ""
    try:
        for index, program in enumerate(programs):
            filename = f"<program {number}.{index}>"
            try:
                value = _shown(_execute(program, filename, names), max_output)
            except SystemExit as stop:  # of this program; the next one runs all the same
                if stop.code not in {None, 0}:
                    return {"error": f"SystemExit: {stop.code}"[: max_output + 1], "snippet": index, "line": None}
                value = None
    except BaseException as error:  # noqa: BLE001 -- whatever a program raises is its answer
        return _told(error, filename, index, max_output)
    finally:
        _flush()
    return {"value": value}


def _execute(program: str, filename: str, names: dict[str, Any]) -> Any:
    """Run a program; the value of the expression that ends it."""
    tree = ast.parse(program, filename)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, filename, "exec"), names)  # noqa: S102 -- this is what the sandbox is for
        return None
    tree.body.pop()
    exec(compile(tree, filename, "exec"), names)  # noqa: S102
    return eval(compile(ast.Expression(last.value), filename, "eval"), names)  # noqa: S307


def _shown(value: Any, max_output: int) -> str | None:
    return None if value is None else repr(value)[: max_output + 1]


def _told(error: BaseException, filename: str, index: int, max_output: int) -> dict[str, Any]:
    """Kind, message and line of an error; its message is made by the program, so it may fail too."""
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:  # noqa: BLE001
        message = "(its message could not be made)"
    kind = type(error).__name__
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == filename else None
    line = _line(error.__traceback__, filename) or line
    text = f"{kind}: {message}" if message else kind
    return {"error": text[: max_output + 1], "memory": isinstance(error, MemoryError), "snippet": index, "line": line}


def _line(traceback: TracebackType | None, filename: str) -> int | None:
    """The innermost line of a program that an error passed through."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == filename:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _flush() -> None:
    """Write out what was printed; a program may have closed or replaced its streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def _answer(out: TextIO, answer: dict[str, Any]) -> None:
    out.write(json.dumps(answer) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
