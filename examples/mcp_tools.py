"""Tools of an MCP server as tools of a pool, offline on the embedded models.

The server is this very file, started with the argument "serve"; yours may be any command or URL. Needs
pip install langchain-mcp-adapters==0.3.2 mcp==1.30.0. For a hosted provider change the pool's models:
Model(name="mini", litellm="openai/gpt-4o-mini"), use the tool natively, and fit a router on outcomes of it.

Run with: python examples/mcp_tools.py
"""

import sys

from langchain_atlas import ClusterRouter, LiveExecutor, OutcomeTable, Pool, Tool, solve
from langchain_atlas.demo import OUTCOMES, POOL


def serve() -> None:
    """Run an MCP server with one tool, on standard input and output."""
    from mcp.server.fastmcp import FastMCP

    from langchain_atlas.tools import Calculator

    server = FastMCP("arithmetic", log_level="WARNING")

    @server.tool()
    def calculate(expression: str) -> str:
        """Work out an arithmetic expression, such as 12 * 3 + 4.5."""
        return str(Calculator().invoke({"expression": expression}))

    server.run()


def main() -> None:
    """Put the server's tool in place of the pool's calculator and ask three things."""
    demo = Pool.load(POOL)
    calculator = Tool.from_mcp(
        "calculator",
        description="Works out an arithmetic expression exactly.",
        command=sys.executable,
        args=[__file__, "serve"],
        invocation="prompted",
        settings=demo.tool("calculator").settings,
    )
    pool = Pool(models=demo.models, tools=(*(tool for tool in demo.tools if tool.name != "calculator"), calculator))
    router, executor = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES)), LiveExecutor(pool)
    for question in (
        "What is 38.46 times 27?",
        "What is 418.72 plus 93.685?",
        "Name an animal that lives in the sea.",
    ):
        trajectory = solve(question, router, executor)
        (observation,) = trajectory.observations
        called = [f"{call.name}({call.arguments}) = {call.output}" for call in observation.tool_trace]
        print(question, "->", trajectory.answer, f"({observation.pair})", *called)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
