"""Programs that try to get out of the process sandbox, or to take more than they are given."""

import os
import time
from pathlib import Path

import pytest

from langchain_atlas.errors import AtlasError, ExecutionError
from langchain_atlas.tools.python.process import ProcessSandbox


def _isolated() -> str | None:
    """Why processes can't be isolated here; none if they can."""
    try:
        ProcessSandbox().run("1")
    except (AtlasError, ImportError) as error:
        return str(error)
    return None


WHY_NOT = _isolated()
needs_isolation = pytest.mark.skipif(WHY_NOT is not None, reason=f"no isolation here: {WHY_NOT}")

REFUSED = {
    # files
    "password file": ("open('/etc/passwd').read()", "FileNotFoundError"),
    "shadow file": ("open('/etc/shadow').read()", "FileNotFoundError"),
    "process table": ("open('/proc/1/environ').read()", "FileNotFoundError"),
    "up and away": ("open('../../../../etc/hostname').read()", "FileNotFoundError"),
    "home": ("import os\nos.listdir('/home')", "FileNotFoundError"),
    "write to the root": ("open('/new', 'w')", "Read-only file system"),
    "write to the library": ("import json\nopen(json.__file__, 'a')", "Error"),
    "change the runner": ("open('/runner.py', 'w')", "Error"),
    "link out": ("import os\nos.symlink('/etc/passwd', '/tmp/a')\nopen('/tmp/a').read()", "FileNotFoundError"),
    "device": ("import os\nos.mknod('/tmp/d', 0o60666, os.makedev(8, 0))", "PermissionError"),
    "fill the folder": (
        "f = open('/tmp/a', 'wb')\nfor _ in range(9): f.write(bytes(2**20))\nf.flush()",
        "File too large",
    ),
    "many full files": (
        "for n in range(99):\n    with open(f'/tmp/{n}', 'wb') as f: f.write(bytes(2**20))",
        "No space left",
    ),
    "many open files": ("a = [open('/dev/null') for _ in range(10**4)]", "Too many open files"),
    # network
    "internet": ("import socket\nsocket.create_connection(('1.1.1.1', 53), 1)", "PermissionError"),
    "loopback": ("import socket\nsocket.create_connection(('127.0.0.1', 80), 1)", "PermissionError"),
    "raw packets": ("import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "PermissionError"),
    "name service": ("import socket\nsocket.getaddrinfo('example.com', 80)", "gaierror"),
    "server": ("import socket\nsocket.create_server(('127.0.0.1', 8080))", "PermissionError"),
    "host's socket": (
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('/run/docker.sock')",
        "PermissionError",
    ),
    # processes
    "fork": ("import os\nos.fork()", "BlockingIOError"),
    "fork bomb": ("import os\nwhile True: os.fork()", "BlockingIOError"),
    "shell": ("import os\nos.posix_spawn('/bin/sh', ['sh'], {})", "Error"),
    "subprocess": ("import subprocess, sys\nsubprocess.run([sys.executable, '-V'])", "BlockingIOError"),
    "pool": ("import multiprocessing as m\nm.Process(target=print).start()", "Error"),
    "thread bomb": (
        "import threading, time\nfor _ in range(10**4): threading.Thread(target=time.sleep, args=(9,)).start()",
        "can't start new thread",
    ),
    "become root": ("import os\nos.setuid(0)", "PermissionError"),
    "more memory": ("import resource as r\nr.setrlimit(r.RLIMIT_AS, (-1, -1))", "Error"),
    "kill everybody": ("import os\nos.kill(-1, 9)", "Error"),
    "kill the parent": ("import os\nos.kill(os.getppid(), 9)", "Error"),
    "end itself": ("import os\nos._exit(0)", "made its interpreter stop"),
    "kill itself": ("import os\nos.kill(os.getpid(), 9)", "made its interpreter stop"),
    "segmentation fault": ("import ctypes\nctypes.string_at(0)", "made its interpreter stop"),
    "become another program": ("import os\nos.execv('/bin/sh', ['sh'])", "FileNotFoundError"),
    # the kernel
    "new namespace": ("import ctypes\nl = ctypes.CDLL(None)\nassert l.unshare(0x10000000) == 0", "AssertionError"),
    "mount": (
        "import ctypes\nl = ctypes.CDLL(None)\nassert l.mount(b'x', b'/tmp', b'tmpfs', 0, 0) == 0",
        "AssertionError",
    ),
    "trace": ("import ctypes\nassert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0", "AssertionError"),
    "hidden file": ("import os\nos.memfd_create('x')", "PermissionError"),
    "shared memory": ("import ctypes\nassert ctypes.CDLL(None).shmget(0, 10**9, 0o1600) >= 0", "AssertionError"),
    "new root": ("import os\nos.chroot('/tmp')", "PermissionError"),
    "larger socket buffers": (
        "import socket as s\ns.socketpair()[0].setsockopt(s.SOL_SOCKET, s.SO_SNDBUF, 10**8)",
        "PermissionError",
    ),
    "larger pipes": ("import fcntl, os\nfcntl.fcntl(os.pipe()[1], 1031, 2**20)", "PermissionError"),
    "descriptors in flight": (
        "import socket as s\na, b = s.socketpair()\ns.send_fds(a, [b'x'], [b.fileno()])",
        "PermissionError",
    ),
    "sockets of other kinds": ("import socket as s\ns.socketpair(s.AF_INET6)", "Error"),
    "many timers": (
        "import ctypes\nwhile True: assert ctypes.CDLL(None).timer_create(0, 0, bytes(8)) == 0",
        "AssertionError",
    ),
    "io_uring": ("import ctypes\nassert ctypes.CDLL(None).syscall(425, 1, 0) >= 0", "AssertionError"),
    # time and memory
    "endless loop": ("while True: pass", "TimeoutError"),
    "loop that catches": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "TimeoutError",
    ),
    "sleep": ("import time\ntime.sleep(1000)", "TimeoutError"),
    "ignored signals": ("import signal\nsignal.signal(15, 1)\nsignal.pause()", "TimeoutError"),
    "deadlock": ("import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()", "TimeoutError"),
    "catastrophic pattern": ("import re\nre.match('(a+)+b', 'a' * 60)", "TimeoutError"),
    "huge power": ("9**9**9", "Error"),
    "huge list": ("[0] * 10**10", "MemoryError"),
    "growing list": ("a = []\nwhile True: a.append(bytes(10**5))", "MemoryError"),
    "growing text": ("a = 'a'\nwhile True: a += a", "MemoryError"),
    "huge repr": ("a = []\nfor _ in range(60): a = [a, a]\na", "Error"),
    "mapped memory": ("import mmap\nmmap.mmap(-1, 10**10)", "Cannot allocate memory"),
    "recursion": ("def f(): return f()\nf()", "RecursionError"),
    "deep nesting": ("(" * 50_000, "Error"),
    "deep attributes": ("x = 1\nx" + ".a" * 40_000, "Error"),
    "long program": ("x" * 100_001, "at most 100000"),
    # text
    "null": ("\x00", "Error"),
    "lone surrogate": ("'\ud800'", "Error"),
    "right to left": ("x = 1 \u202e # 2\nx +", "SyntaxError"),
    "endless print": ("while True: print('x' * 10**5)", "Error"),
    "message of megabytes": ("raise ValueError('x' * 10**7)", "ValueError: xxx"),
    "error that fails": ("class E(Exception):\n    def __str__(self): 1/0\nraise E", "could not be made"),
    "forged answer": (
        "import os\nfor n in range(3, 999):\n    try: os.write(n, b'[1]\\n')\n    except OSError: pass",
        "disturbed",
    ),
    "endless answer": (
        "import os\nfor n in range(3, 999):\n  try:\n    while True: os.write(n, b'x' * 10**5)\n  except OSError: pass",
        "disturbed",
    ),
}


@needs_isolation
@pytest.mark.parametrize("case", REFUSED)
def test_it_gets_an_error_and_no_more(case: str) -> None:
    code, error = REFUSED[case]
    sandbox = ProcessSandbox(seconds=1, memory_mib=128, max_output=1000, files_mib=4)
    started = time.perf_counter()
    execution = sandbox.run(code)
    assert execution.error is not None
    assert error in execution.error
    assert len(execution.error) <= 1000
    assert len(execution.output) <= 1000
    assert time.perf_counter() - started < 8  # a second, and what a busy machine adds


@needs_isolation
def test_ten_megabytes_of_output_are_cut_and_the_program_goes_on() -> None:
    execution = ProcessSandbox(max_output=1000, seconds=20).run("for _ in range(10): print('x' * 10**6)\n'end'")
    assert execution.truncated
    assert len(execution.output) == 1000
    assert execution.value == "'end'"


@needs_isolation
def test_nothing_of_ours_is_seen() -> None:
    code = "import os\nsorted(os.environ), sorted(os.listdir('/dev')), os.listdir('/tmp'), os.getpid() < 9"
    value = ProcessSandbox().run(code).value
    assert value == "(['HOME', 'LANG', 'LD_LIBRARY_PATH', 'PWD'], ['null', 'urandom'], [], True)"
    assert Path(__file__).exists()
    assert "FileNotFoundError" in str(ProcessSandbox().run(f"open({__file__!r})").error)


@needs_isolation
def test_new_processes_where_they_are_allowed_are_few() -> None:
    code = (
        "import os\nfor n in range(100):\n    if os.fork() == 0:\n        os.read(0, 1) or __import__('time').sleep(60)"
    )
    execution = ProcessSandbox(processes=6, seconds=3).run(code)
    assert "BlockingIOError" in str(execution.error)
    assert not _running("/runner.py")


@needs_isolation
def test_nothing_runs_on_after_its_time() -> None:
    ProcessSandbox(seconds=0.3).run("while True: pass")
    assert not _running("/runner.py")


def _running(word: str) -> bool:
    """Whether a child of this process has a word in its command line."""
    for folder in Path("/proc").iterdir():
        try:
            line = (folder / "cmdline").read_text(errors="replace")
            parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
        except OSError:
            continue
        if word in line and parent == str(os.getpid()):
            return True
    return False


@needs_isolation
def test_where_isolation_is_refused_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: no permission to make a namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ExecutionError, match=r"no permission to make a namespace.*Nothing was run"):
        ProcessSandbox().run("1")
