"""Tools of real MCP servers: one that is started, one that is reached over HTTP, through the live executor."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_tests.integration_tests import ToolsIntegrationTests

from langchain_atlas import LiveExecutor, Pair, Pool, Query, Tool
from langchain_atlas.errors import MissingExtraError, PoolError
from langchain_atlas.testing import call_tool
from langchain_atlas.tools import McpServer, McpTool, mcp_tools
from langchain_atlas.tools.mcp import session as mcp_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixture_types import Reach, Run, Serve


SERVER = str(Path(__file__).parents[1] / "mcp_server.py")
STDIO = {"command": sys.executable, "args": [SERVER]}


@pytest.fixture(scope="module", autouse=True)
def mcp() -> None:
    pytest.importorskip("langchain_mcp_adapters", reason=f"needs {mcp_session.PACKAGES}")


@pytest.fixture(scope="module")
def started() -> Iterator[dict[str, McpTool]]:
    """Return the tools of a server that all tests share; it stays up between them."""
    tools = {tool.name: tool for tool in mcp_tools(**STDIO)}
    yield tools
    tools["add"].session.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the URL of a server that runs already."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, SERVER, str(port)], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
        process.terminate()


def call(tool: McpTool, **arguments: Any) -> ToolMessage:
    message = tool.invoke({"name": tool.name, "args": arguments, "id": "1", "type": "tool_call"})
    assert isinstance(message, ToolMessage)
    return message


def process_of(count: ToolMessage) -> int:
    return int(str(count.text).split()[-1])


class TestAPair:
    @pytest.mark.usefixtures("started")
    def test_calls_a_server_that_is_started(self, serve: Serve, reach: Reach, run: Run) -> None:
        replies = iter([{"tool_calls": [call_tool("add", {"first": 2, "second": 40})]}, "It is 42."])
        server = serve(lambda _: next(replies))
        pool = Pool(models=(reach(server),), tools=(Tool.from_mcp("sums", **STDIO),))
        seen = run(LiveExecutor(pool), Pair("small", "sums"), Query(text="2 and 40?"))
        assert seen.answer == "It is 42."
        assert [(trace.name, trace.output, trace.error) for trace in seen.tool_trace] == [("add", "42", None)]
        offered = {tool["function"]["name"]: tool["function"] for tool in server.bodies[0]["tools"]}
        assert {"add", "count", "fail", "wait"} <= offered.keys()
        assert offered["add"]["description"] == "Add two numbers."
        assert offered["add"]["parameters"]["required"] == ["first", "second"]

    def test_calls_a_server_over_http(self, address: str, serve: Serve, reach: Reach, run: Run) -> None:
        replies = iter([{"tool_calls": [call_tool("add", {"first": 1, "second": 2})]}, "3"])
        pool = Pool(models=(reach(serve(lambda _: next(replies))),), tools=(Tool.from_mcp("sums", url=address),))
        seen = run(LiveExecutor(pool), Pair("small", "sums"), Query(text="1 and 2?"))
        assert (seen.answer, seen.tool_trace[0].output) == ("3", "3")

    def test_is_told_of_a_failure(self, started: Any, serve: Serve, reach: Reach, run: Run) -> None:
        replies = iter([{"tool_calls": [call_tool("fail", {"reason": "out of paper"})]}, "It failed."])
        server = serve(lambda _: next(replies))
        pool = Pool(models=(reach(server),), tools=(Tool.of(list(started.values()), name="sums"),))
        seen = run(LiveExecutor(pool), Pair("small", "sums"), Query(text="Fail!"))
        assert seen.answer == "It failed."
        assert "out of paper" in str(seen.tool_trace[0].error)
        assert "out of paper" in server.bodies[1]["messages"][-1]["content"]

    @pytest.mark.usefixtures("started")
    def test_comes_from_a_pool_file(self, tmp_path: Path) -> None:
        (tmp_path / "pool.yaml").write_text(
            "models: {small: {litellm: openai/small}}\n"
            "tools:\n  sums:\n    use: mcp\n"
            f"    arguments: {{command: {sys.executable}, args: ['{SERVER}'], only: [add]}}\n"
        )
        pool = Pool.load(tmp_path / "pool.yaml")
        executor = LiveExecutor(pool)
        assert [tool.name for tool in executor._invocations["sums"].tools] == ["add"]


class TestASession:
    def test_is_kept_between_calls_threads_and_event_loops(self, started: dict[str, McpTool]) -> None:
        first = call(started["count"])

        async def twice() -> list[Any]:
            return list(await asyncio.gather(*(started["count"].ainvoke({}) for _ in range(2))))

        others = [blocks[0]["text"] for _ in range(2) for blocks in asyncio.run(twice())]
        number = int(str(first.text).split()[0])
        assert sorted(others) == [f"{number + more} in {process_of(first)}" for more in (1, 2, 3, 4)]

    def test_is_shared_by_those_who_name_the_same_server(self, started: dict[str, McpTool]) -> None:
        (again,) = mcp_tools(**STDIO, only=["count"])
        assert again.session is started["add"].session

    def test_is_opened_anew_after_the_server_died(self) -> None:
        tools = {tool.name: tool for tool in mcp_tools(**STDIO, timeout_s=20)}
        before = process_of(call(tools["count"]))
        died = call(tools["die"])
        assert died.status == "error"
        assert died.text == (
            "Error: The connection broke off during the call. The server went away. It wrote: I was told to go"
        )
        after = call(tools["count"])
        assert after.text == f"1 in {process_of(after)}"
        assert process_of(after) != before
        tools["add"].session.close()

    def test_that_was_idle_is_tried_before_it_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mcp_session, "_IDLE_S", 0.0)
        tools = {tool.name: tool for tool in mcp_tools(**STDIO, timeout_s=21)}
        first = process_of(call(tools["count"]))
        assert call(tools["count"]).text == f"2 in {first}"
        os.kill(first, 9)
        assert str(call(tools["count"]).text).startswith("1 in ")
        tools["add"].session.close()

    def test_ends_with_the_last_of_its_tools(self) -> None:
        tools = {tool.name: tool for tool in mcp_tools(**STDIO, timeout_s=22)}
        process = process_of(call(tools["count"]))
        del tools
        gc.collect()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and Path(f"/proc/{process}").exists():
            time.sleep(0.05)
        assert not Path(f"/proc/{process}").exists()

    def test_ends_with_the_process(self) -> None:
        code = (
            "import sys; from langchain_atlas.tools import mcp_tools\n"
            "(tool,) = mcp_tools(command=sys.executable, args=[sys.argv[1]], only=['count'])\n"
            "print(tool.invoke({})[0]['text'])"
        )
        done = subprocess.run([sys.executable, "-c", code, SERVER], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert not Path(f"/proc/{done.stdout.split()[-1]}").exists()


class TestACall:
    def test_that_fails_is_an_answer(self, started: dict[str, McpTool]) -> None:
        failed = call(started["fail"], reason="no ink")
        assert failed.status == "error"
        assert failed.text == "Error: Error executing tool fail: no ink"

    def test_that_takes_too_long_is_given_up(self) -> None:
        tools = {tool.name: tool for tool in mcp_tools(**STDIO, timeout_s=0.5)}
        begun = time.perf_counter()
        late = call(tools["wait"], seconds=30)
        assert time.perf_counter() - begun < 10
        assert (late.status, late.text) == ("error", "Error: The server gave no answer within 0.5 s.")
        assert call(tools["add"], first=1, second=1).text == "2", "the session goes on"
        tools["add"].session.close()

    async def test_works_in_the_foreground_inside_a_running_loop(self, started: dict[str, McpTool]) -> None:
        assert call(started["add"], first=20, second=3).text == "23"

    def test_gives_structured_content_too(self, started: dict[str, McpTool]) -> None:
        assert call(started["add"], first=2, second=3).artifact == {"structured_content": {"result": 5}}


class TestConstruction:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({}, "give either 'command'"),
            ({"command": "x", "url": "http://127.0.0.1"}, "give either 'command'"),
            ({"command": "x", "transport": "http"}, "transport 'http' needs 'url'"),
            ({"url": "http://127.0.0.1", "transport": "stdio"}, "transport 'stdio' needs 'command'"),
            ({"url": "http://127.0.0.1", "transport": "carrier pigeon"}, "transport"),
            ({"command": "x", "timeout_s": 0}, "timeout_s"),
            ({"command": "x", "comand": "y"}, "no field 'comand'"),
            (
                {"url": "http://127.0.0.1", "headers": {"Authorization": "Bearer 123"}},
                "'Authorization' would put a secret",
            ),
            ({"command": "x", "env": {"GITHUB_TOKEN": "123"}}, "'GITHUB_TOKEN' would put a secret"),
            ({"command": "x", "env": {"A": "${ATLAS_UNSET}"}}, "variable 'ATLAS_UNSET', which is not set"),
        ],
    )
    def test_refuses_what_does_not_fit(self, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(PoolError, match=message):
            mcp_tools(**fields)

    @pytest.mark.parametrize("name", ["AUTHOR", "MAX_TOKENS", "TOKENIZERS_PARALLELISM"])
    def test_takes_a_variable_that_only_sounds_secret(self, name: str) -> None:
        assert McpServer(command="a", env={name: "10"}).connection()["env"] == {name: "10"}

    def test_says_what_is_wrong_with_a_server(self, tmp_path: Path) -> None:
        with pytest.raises(PoolError, match=r"'no-such-program' can't be used: FileNotFoundError: .*no-such-program"):
            mcp_tools(command="no-such-program")
        (tmp_path / "broken.py").write_text("raise SystemExit('my configuration is missing')")
        with pytest.raises(
            PoolError, match=r"can't be used: (The server went away|McpError: Connection closed)\.(\n|$)"
        ):
            mcp_tools(command="false")
        with pytest.raises(PoolError, match=r"can't be used: .*It wrote: my configuration is missing"):
            mcp_tools(command=sys.executable, args=["broken.py"], cwd=str(tmp_path))
        with pytest.raises(PoolError, match=r"http://127\.0\.0\.1:9/mcp' can't be used: ConnectError"):
            mcp_tools(url="http://127.0.0.1:9/mcp")
        with pytest.raises(PoolError, match=r"can't be used: It did not answer within 0\.3 s"):
            mcp_tools(command=sys.executable, args=["-c", "import time; time.sleep(60)"], start_timeout_s=0.3)

    @pytest.mark.usefixtures("started")
    def test_refuses_a_tool_that_the_server_lacks(self) -> None:
        with pytest.raises(PoolError, match=r"has no tool 'ad'\. Did you mean 'add'"):
            mcp_tools(**STDIO, only=["ad"])

    def test_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "langchain_mcp_adapters.tools", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'langchain-mcp-adapters==[0-9.]+' 'mcp==1"):
            mcp_tools(command="anything")

    def test_fills_in_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ATLAS_TEST_TOKEN", "sesame")
        (tool,) = mcp_tools(**STDIO, env={"THE_TOKEN": "open ${ATLAS_TEST_TOKEN}"}, only=["variable"])
        assert call(tool, name="THE_TOKEN").text == "open sesame"
        assert call(tool, name="ATLAS_TEST_TOKEN").text == "not set", "the server gets what it was promised, no more"
        tool.session.close()


class TestMcpToolByLangChain(ToolsIntegrationTests):
    """LangChain's own tests of a tool that reaches out, with a server that is started."""

    @property
    def tool_constructor(self) -> type[McpTool]:
        return McpTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        (tool,) = mcp_tools(**STDIO, only=["add"])
        return {name: getattr(tool, name) for name in ("name", "description", "args_schema", "session")}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"first": 2, "second": 3}
