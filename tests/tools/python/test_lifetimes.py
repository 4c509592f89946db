"""What runs programs lives as long as the process that asked for it: not shorter, and not longer."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langchain_atlas.tools.python.lasting import EndingWithUs, LastingThread
from langchain_atlas.tools.python.monty import MontySandbox
from langchain_atlas.tools.python.process import ProcessSandbox
from langchain_atlas.tools.python.sessions import tool_sessions
from langchain_atlas.tools.python.tool import PythonTool
from tests.tools.python.test_hostile_programs import needs_isolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_atlas.tools.python.sandbox import SessionSandbox

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's part is Linux's")
KINDS = {
    "monty": "MontySandbox(seconds={})",
    "process": "ProcessSandbox(seconds={})",
    "limits-only": "ProcessSandbox(seconds={}, isolation='limits-only')",
}
PROGRAM = """
import os, sys, threading
from langchain_atlas.tools.python.monty import MontySandbox
from langchain_atlas.tools.python.process import ProcessSandbox
with {sandbox}.session() as session:
    session.run("1")
    threading.Thread(target=session.run, args=("while True: pass",)).start()
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["monty", pytest.param("process", marks=needs_isolation)])
def sandbox(request: pytest.FixtureRequest) -> Iterator[SessionSandbox]:
    if request.param == "process":
        yield ProcessSandbox()
        return
    monty = MontySandbox(max_workers=1)
    yield monty
    monty.close()


def in_a_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:  # whose thread is gone at the end
        return pool.submit(work).result()


def test_a_session_outlives_the_thread_that_started_it(sandbox: SessionSandbox) -> None:
    with sandbox.session() as session:
        assert in_a_thread(lambda: session.run("x = 20")).succeeded
        time.sleep(0.1)  # for the kernel's signal, were there one
        assert in_a_thread(lambda: session.run("x += 1")).succeeded
        assert session.run("x").value == "21"


def test_every_run_of_many_threads_is_answered(sandbox: SessionSandbox) -> None:
    for number in range(20):
        assert in_a_thread(lambda number=number: sandbox.run(f"{number} + 1")).value == str(number + 1)


def test_state_lasts_between_the_turns_of_langgraphs_tool_node(sandbox: SessionSandbox) -> None:
    python = PythonTool(sandbox=sandbox, stateful=True)
    programs = ["x = 1", "x += 1", "x * 21"]

    def ask(state: MessagesState) -> dict[str, Any]:
        done = sum(message.type == "tool" for message in state["messages"])
        calls = [{"name": "python", "args": {"code": programs[done]}, "id": str(done)}] if done < 3 else []
        return {"messages": [AIMessage("", tool_calls=calls)]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_node("tools", ToolNode([python]))
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    builder.add_edge("tools", "ask")
    graph = builder.compile()
    for _ in range(3):
        with tool_sessions():
            messages = graph.invoke({"messages": []})["messages"]
        assert [message.content for message in messages if message.type == "tool"][-1] == "42"


def children(pid: int) -> set[int]:
    listed: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended meanwhile
            listed += (task / "children").read_text().split()
    found = {int(part) for part in listed}
    return found.union(*(children(child) for child in found))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@linux
@pytest.mark.parametrize("kind", ["monty", pytest.param("process", marks=needs_isolation), "limits-only"])
def test_what_runs_programs_ends_when_its_parent_is_killed(kind: str) -> None:
    program = PROGRAM.format(sandbox=KINDS[kind].format(60))
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        started = children(parent.pid)
        assert started
    finally:
        parent.kill()
        parent.communicate()
    end = time.monotonic() + 5
    while any(map(alive, started)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in started if alive(pid)]


@linux
def test_a_worker_that_was_killed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = MontySandbox(max_workers=1)
    before = children(os.getpid())
    assert in_a_thread(lambda: sandbox.run("1")).succeeded
    (worker,) = children(os.getpid()) - before
    os.kill(worker, 9)
    answers = [in_a_thread(lambda: sandbox.run("2")).value for _ in range(3)]
    assert answers[1:] == ["2", "2"]
    sandbox.close()


@linux
def test_where_nothing_can_be_run_from_memory_monty_is_started_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "memfd_create", refuse)
    assert EndingWithUs("/bin/true").path == "/bin/true"
    sandbox = MontySandbox(max_workers=1)
    assert sandbox.run("1 + 1").value == "2"
    sandbox.close()


def test_a_sandbox_that_is_closed_or_forgotten_leaves_no_thread() -> None:
    def starters() -> int:
        return sum(thread.name == "atlas-starter" for thread in threading.enumerate())

    before = starters()
    for closing in (True, False):
        sandbox = MontySandbox(max_workers=1)
        assert sandbox.run("1").succeeded
        if closing:
            sandbox.close()
            assert sandbox.run("2").succeeded  # a later run starts it again
        del sandbox
        gc.collect()
    end = time.monotonic() + 5
    while starters() > before and time.monotonic() < end:
        time.sleep(0.02)
    assert starters() <= before  # those of other tests may end meanwhile


class TestLastingThread:
    def test_it_is_one_thread_and_raises_what_the_work_raises(self) -> None:
        lasting = LastingThread()
        idents = {in_a_thread(lambda: lasting.call(threading.get_ident, print)) for _ in range(3)}
        assert len(idents) == 1
        with pytest.raises(ZeroDivisionError):
            lasting.call(lambda: 1 // 0, print)
        assert lasting.call(threading.get_ident, print) in idents

    def test_it_ends_when_it_is_closed_and_starts_again_when_it_is_needed(self) -> None:
        lasting = LastingThread()
        first = lasting.call(threading.current_thread, print)
        lasting.close()
        first.join(5)
        assert not first.is_alive()
        assert lasting.call(threading.current_thread, print).is_alive()
        lasting.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_forked_process_has_its_own(self) -> None:
        program = (
            "import os\nfrom langchain_atlas.tools.python.lasting import LastingThread\nl = LastingThread()\n"
            "l.call(int, print)\np = os.fork()\n"
            "if not p: os._exit(l.call(lambda: 7, print))\nprint(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program], check=True, capture_output=True, text=True, timeout=20
        )
        assert done.stdout == "7\n", done.stderr


@needs_isolation
@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 4\nasyncio.run(f())",
        "import socket\na, b = socket.socketpair()\na.sendall(b'four')\nlen(b.recv(9))",
        "import os\nr, w = os.pipe()\nos.write(w, b'four')\nlen(os.read(r, 9))",
        "import queue, threading\nq = queue.Queue()\nthreading.Thread(target=q.put, args=(4,)).start()\nq.get()",
        "import sqlite3\nsqlite3.connect('/tmp/a').execute('select 4').fetchone()[0]",
    ],
)
def test_what_programs_use_of_sockets_and_pipes_stays(code: str) -> None:
    assert ProcessSandbox().run(code).value == "4"


@needs_isolation
def test_the_kernels_buffers_of_a_program_stay_small() -> None:
    fill = """
import os, socket
held, total = [], 0
try:
    while True:
        held += [*socket.socketpair()]
except OSError:
    pass
for one in held:
    one.setblocking(False)
    try:
        while True:
            total += one.send(bytes(65536))
    except OSError:
        pass
total
"""
    execution = ProcessSandbox(seconds=10).run(fill)
    assert int(execution.value or 0) < 32 * 2**20
