"""Draws a trace of the demo's graph for the docs, light and dark, from the runs that a real run sent.

Run with: make trace-picture
"""

from __future__ import annotations

import re
from pathlib import Path

from langchain_core.messages import HumanMessage
from langsmith import Client, tracing_context
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from rich.text import Text
from rich.tree import Tree

from langchain_atlas import ClusterRouter, LiveExecutor, OutcomeTable, Pool, create_atlas_graph
from langchain_atlas.demo import OUTCOMES, POOL
from langchain_atlas.testing import TracedRun, TraceServer

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "trace.svg"
QUESTION = "What is 38.46 times 27?"
SHOWN = (
    "kind",
    "pair",
    "rule",
    "cluster",
    "expected_success",
    "expected_cost_usd",
    "runner_up",
    "cost_usd",
    "input_tokens",
    "output_tokens",
)
COLOURS = {"llm": "magenta", "tool": "green", "chain": "cyan"}


def draw(server: TraceServer, run: TracedRun, tree: Tree) -> None:
    """Add a run to the picture, and those that are part of it."""
    label = Text(run.name, style="bold" if run.name.startswith("atlas.") else "")
    label.append(f"  {run.run_type}", style=COLOURS.get(run.run_type, "white"))
    branch = tree.add(label)
    if run.name.startswith("atlas."):
        known = {name: run.metadata[f"atlas_{name}"] for name in SHOWN if f"atlas_{name}" in run.metadata}
        for name, value in known.items():
            branch.label.append(  # type: ignore[union-attr]
                f"\n{name} = {f'{value:.3g}' if isinstance(value, float) else value}", style="yellow"
            )
    for child in server.children(run):
        if child.name != "_next":  # LangGraph's edge
            draw(server, child, branch)


def main() -> None:
    """Run the graph with tracing on, and draw what arrived."""
    router = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES))
    graph = create_atlas_graph(router, LiveExecutor(Pool.load(POOL))).compile(name="atlas graph")
    with TraceServer() as server:
        client = Client(api_url=server.url, api_key="any")
        with tracing_context(enabled=True, client=client):
            state = graph.invoke({"messages": [HumanMessage(QUESTION)]})
        client.flush()
        tree = Tree(Text(f"{QUESTION}  →  {state['messages'][-1].content}", style="bold"))
        for root in server.children():
            draw(server, root, tree)
    console = Console(record=True, width=84)
    console.print(tree)
    PICTURE.parent.mkdir(exist_ok=True)
    for path, theme in ((PICTURE, DEFAULT_TERMINAL_THEME), (PICTURE.with_stem("trace-dark"), SVG_EXPORT_THEME)):
        drawn = console.export_svg(title="one trace, as it was sent", theme=theme, clear=False, unique_id="trace")
        drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # fonts from the network
        path.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
