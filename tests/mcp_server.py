"""An MCP server for tests, over standard input and output or, with a port, over streamable HTTP."""

import asyncio
import os
import sys

from mcp.server.fastmcp import FastMCP

server = FastMCP("tests", host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 1, log_level="WARNING")
counted = 0


@server.tool()
def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


@server.tool()
def count() -> str:
    """Say how often this was called in the life of the server."""
    global counted  # noqa: PLW0603  # the state that a session keeps
    counted += 1
    return f"{counted} in {os.getpid()}"


@server.tool()
def fail(reason: str) -> str:
    """Fail."""
    raise ValueError(reason)


@server.tool()
async def wait(seconds: float) -> str:
    """Answer late."""
    await asyncio.sleep(seconds)
    return "awake"


@server.tool()
def variable(name: str) -> str:
    """Say what an environment variable holds."""
    return os.environ.get(name, "not set")


@server.tool()
def die() -> str:
    """End the server without an answer."""
    sys.stderr.write("I was told to go\n")
    sys.stderr.flush()
    os._exit(3)


if __name__ == "__main__":
    server.run("streamable-http" if len(sys.argv) > 1 else "stdio")
