"""How a process is shut in: by bubblewrap's namespaces, and a filter of system calls by libseccomp.

Both are what Flatpak builds on. Nothing here is a sandbox of our own making.
"""

import os
import secrets
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from langchain_atlas.errors import MissingExtraError, SettingError

RUNNER = Path(__file__).with_name("process_runner.py")
"""The script that runs inside."""

_RUNNER_INSIDE = "/runner.py"
_WRITABLE = "/tmp"  # noqa: S108 -- of the sandbox, a file system of its own

_CLONE_THREAD = 0x10000
_AF_UNIX = 1
_F_SETPIPE_SZ = 1031

_REFUSED = (
    *("acct", "add_key", "bpf", "delete_module", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick"),
    *("init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "kcmp", "kexec_file_load", "kexec_load"),
    *("keyctl", "memfd_create", "memfd_secret", "migrate_pages", "mount", "mount_setattr", "move_mount", "move_pages"),
    *("mq_open", "msgget", "name_to_handle_at", "open_by_handle_at", "open_tree", "perf_event_open", "personality"),
    *("pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot", "request_key", "semget"),
    *("setns", "shmget", "swapoff", "swapon", "syslog", "umount2", "unshare", "userfaultfd", "vhangup"),
)
"""System calls that a program has no use for: those that reach the kernel's rarer parts, other processes, or memory
that no limit counts."""


def check_available() -> None:
    """See whether processes can be isolated here, as far as that shows without trying.

    Raises:
        SettingError: when the platform or a program is missing.
        MissingExtraError: when a Python package is missing.
    """
    hint = "Use the Monty sandbox instead, or pass isolation='limits-only', which is no sandbox."
    if not sys.platform.startswith("linux"):
        raise SettingError(f"processes are isolated on Linux only, not on {sys.platform!r}. {hint}")
    if shutil.which("bwrap") is None:
        raise SettingError(
            f"isolation='namespaces' needs bubblewrap, and there is no program 'bwrap' on the path. Install it (on "
            f"Debian: apt install bubblewrap). {hint}"
        )
    try:
        import pyseccomp  # noqa: F401
    except (ImportError, RuntimeError, OSError) as error:
        raise MissingExtraError("isolation='namespaces', which also needs libseccomp.so.2,", "sandbox") from error


def sandbox_user() -> int:
    """The user that a program runs as, when this process is root: one of many, so that runs are counted apart."""
    return 60_000 + secrets.randbelow(5_000) if os.geteuid() == 0 else 0


def command(result: int, filter_file: int, files_mib: float, folders: Sequence[str]) -> list[str]:
    """The command line of an isolated interpreter.

    Args:
        result: the descriptor that the runner answers on.
        filter_file: the descriptor that the filter of system calls is read from.
        files_mib: size of its only writable folder, in MiB.
        folders: folders that it can read, and import from.
    """
    bwrap = shutil.which("bwrap") or "bwrap"
    # Root switches to a user of its own inside; others are shut into a user namespace, which needs no rights.
    user = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if os.geteuid() == 0 else ["--unshare-user"]
    paths = _readable(folders)
    # Made first and open to all, or they get the rights that they have outside, where root's home is closed to others.
    above = sorted({str(parent) for path in [*paths, "/dev/null"] for parent in Path(path).parents}, key=len)
    readable = [
        option for path in above if path not in {"/", _WRITABLE} for option in ("--perms", "0755", "--dir", path)
    ]
    readable += [option for path in paths for option in ("--ro-bind", path, path)]
    links = [part for link in _library_links() for part in ("--symlink", str(link.readlink()), str(link))]
    devices = [part for name in ("null", "urandom") for part in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]
    return [
        *(bwrap, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", *user),
        # Before the folders of the caller's, which may lie inside.
        *("--perms", "1777", "--size", str(int(files_mib * 2**20)), "--tmpfs", _WRITABLE),
        *(*readable, *links, *devices, "--ro-bind", str(RUNNER), _RUNNER_INSIDE),
        *("--remount-ro", "/", "--chdir", _WRITABLE, "--seccomp", str(filter_file)),
        *interpreter(_RUNNER_INSIDE, result),
    ]


def interpreter(runner: str, result: int) -> list[str]:
    """The command line of the interpreter itself: the one that we run on, without site packages or our environment."""
    return [str(Path(sys.executable).resolve()), "-I", "-S", "-B", "-X", "utf8", runner, str(result)]


def environment() -> dict[str, str]:
    """The environment of a program; none of ours is in it."""
    libraries = sysconfig.get_config_var("LIBDIR") or ""
    return {"HOME": _WRITABLE, "LANG": "C.UTF-8", "LD_LIBRARY_PATH": libraries}


@cache
def filter_program(*, one_process: bool) -> bytes:
    """The filter of system calls, as the kernel reads it.

    Args:
        one_process: refuse new processes; threads stay allowed.
    """
    import errno

    import pyseccomp

    rules = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    for name in _REFUSED:
        # The kernel may not know the newest of them, nor libseccomp; then a program can't call them by name either.
        if _number(name) is not None:
            rules.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    # Its flags lie in memory, where a filter can't read them; libraries fall back to clone.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), _number("clone3") or 435)
    _bound_buffers(rules)
    if one_process:
        no_thread = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
        rules.add_rule(pyseccomp.ERRNO(errno.EAGAIN), "clone", no_thread)
        for name in ("fork", "vfork"):
            if _number(name) is not None:
                rules.add_rule(pyseccomp.ERRNO(errno.EAGAIN), name)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _bound_buffers(rules: Any) -> None:
    """Refuse what makes buffers of sockets and pipes large or many: they are the kernel's, and no limit counts them.

    Pairs of sockets stay, as event loops need one, and so do pipes; both are as few as open files may be. Sent in a
    message a descriptor would be held beyond that number.
    """
    import errno

    import pyseccomp

    rules.add_rule(pyseccomp.ERRNO(errno.EACCES), "socket")
    rules.add_rule(pyseccomp.ERRNO(errno.EACCES), "socketpair", pyseccomp.Arg(0, pyseccomp.NE, _AF_UNIX))
    for name in ("setsockopt", "sendmsg", "sendmmsg"):
        rules.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, _F_SETPIPE_SZ))


def _number(name: str) -> int | None:
    """The number of a system call here; none if this machine has no such call."""
    import pyseccomp

    number = int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))
    return number if number >= 0 else None


def _readable(folders: Sequence[str]) -> list[str]:
    """What the interpreter needs, and the folders of the caller's, as real paths."""
    # Of the interpreter that a virtual environment is made from, not of the environment with its packages.
    base = dict.fromkeys(("base", "installed_base"), sys.base_prefix)
    base |= dict.fromkeys(("platbase", "installed_platbase"), sys.base_exec_prefix)
    paths = sysconfig.get_paths(vars=base)
    library = sysconfig.get_config_var("LDLIBRARY") or ""
    shared = Path(sysconfig.get_config_var("LIBDIR") or "/nowhere")
    needed = [Path(sys.executable).resolve(), Path(paths["stdlib"]), Path(paths["platstdlib"])]
    needed += [path for path in shared.glob(f"{library}*") if library.endswith(".so")]
    needed += [path for path in map(Path, ("/lib", "/lib64", "/usr/lib", "/usr/lib64")) if not path.is_symlink()]
    return list(dict.fromkeys([*(str(path) for path in needed if path.exists()), *folders]))


def _library_links() -> list[Path]:
    return [path for path in map(Path, ("/lib", "/lib64", "/usr/lib64")) if path.is_symlink()]
