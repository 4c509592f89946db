"""A sandbox of full CPython: each run in a process of its own, shut in by the kernel."""

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.tools.python import isolation
from langchain_atlas.tools.python.sandbox import Execution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_atlas.tools.python.process_session import ProcessSession

Isolation = Literal["namespaces", "limits-only"]


class ProcessSandbox:
    """Runs programs with CPython in processes of their own, one for each run.

    With ``isolation="namespaces"`` a program sees no network, no processes but its own, and no files but those of the
    interpreter; it runs without rights, under a filter of system calls. Where the kernel or the machine does not allow
    that, nothing runs. ``docs/tools/python.md`` says what is promised and what is not.

    ``isolation="limits-only"`` is NOT a sandbox: time, memory and output are limited, but a program reads your files
    and reaches your network. It is for programs that you trust.
    """

    def __init__(
        self,
        *,
        seconds: float = 5.0,
        memory_mib: int = 256,
        max_output: int = 10_000,
        files_mib: int = 16,
        processes: int = 1,
        folders: Sequence[str | Path] = (),
        isolation: Isolation = "namespaces",
    ) -> None:
        """Store the limits; nothing is started.

        Args:
            seconds: wall-clock time of each run.
            memory_mib: address space of each process, in MiB; the interpreter itself takes some 20.
            max_output: characters kept of the output, and of the value.
            files_mib: size of the one folder that a program can write, ``/tmp``, which vanishes with it; in MiB.
            processes: 1 forbids new processes, and allows 16 threads; a larger number is the most processes and
                threads together, each process with the memory above.
            folders: absolute paths of folders that programs can read and import from, such as site packages.
            isolation: ``namespaces``, or ``limits-only``, which is no sandbox.

        Raises:
            SettingError: when a limit is not positive, a folder does not exist, or this machine can't isolate.
            MissingExtraError: when the package that makes the filter of system calls is missing.
        """
        limits = {"seconds": seconds, "memory_mib": memory_mib, "max_output": max_output, "files_mib": files_mib}
        for name, limit in {**limits, "processes": processes}.items():
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
                raise SettingError(f"{name} of a sandbox must be a number above 0, not {limit!r}")
        if isolation not in get_args(Isolation):
            raise SettingError(f"there is no isolation {isolation!r}. {suggest(isolation, get_args(Isolation))}")
        for folder in folders:
            if not (Path(folder).is_absolute() and Path(folder).is_dir()):
                raise SettingError(f"folders of a sandbox must be absolute paths of folders, not {str(folder)!r}")
        if isolation == "namespaces":
            _check_available()
        self.seconds = seconds
        self.memory_mib = memory_mib
        self.max_output = max_output
        self.files_mib = files_mib
        self.processes = processes
        self.folders = tuple(str(folder) for folder in folders)
        self.isolation = isolation

    def run(self, *programs: str) -> Execution:
        """Run programs one after another in one fresh interpreter, up to the first error.

        Args:
            programs: source texts of at most `MAX_CODE` characters each; later ones see the names of earlier ones.

        Returns:
            Output, value and error; see `Execution`.

        Raises:
            ExecutionError: when the process can't be isolated.
        """
        with self.session() as session:
            return session.run(*programs)

    @contextmanager
    def session(self) -> "Iterator[ProcessSession]":
        """Give a session whose runs share one interpreter; the process starts at its first run and ends with it."""
        from langchain_atlas.tools.python.process_session import ProcessSession

        session = ProcessSession(self)
        try:
            yield session
        finally:
            session.close()


def _check_available() -> None:
    isolation.check_available()
