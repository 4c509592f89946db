"""Pictures of how things hang together: the loop, and the graph as LangGraph, and so Studio, sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svg import AMBER, BLUE, FAINT, INK, PAPER, TEAL, Canvas

from langchain_atlas import create_atlas_graph
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Edge

Point = tuple[float, float]

PLACES: dict[str, Point] = {
    "__start__": (70, 110),
    "decide": (220, 110),
    "approve": (400, 40),
    "execute": (580, 110),
    "answer": (220, 230),
    "__end__": (400, 230),
}
"""Where the nodes of the graph stand: the middle of each, in pixels."""
HALF_WIDTH, HALF_HEIGHT = 56, 19


def graph() -> str:
    """Draw the graph of `create_atlas_graph`, with the node in which a human approves.

    Raises:
        KeyError: the graph has a node that has no place here.
    """
    made = create_atlas_graph(ScriptedRouter("a@@none"), ScriptedExecutor({}), approve=0.01).compile().get_graph()
    canvas = Canvas(690, 280, "The loop as a graph of LangGraph")
    for edge in made.edges:
        _edge(canvas, edge)
    for name in made.nodes:
        x, y = PLACES[name]
        ends = name.startswith("__")
        canvas.box(x - HALF_WIDTH, y - HALF_HEIGHT, 2 * HALF_WIDTH, 2 * HALF_HEIGHT, edge=FAINT if ends else BLUE)
        canvas.text(x, y + 5, name.strip("_"), FAINT if ends else INK, "middle", bold=not ends)
    canvas.text(545, 262, "dashed: the decision says where", FAINT, "middle", size=12)
    return canvas.svg()


def _edge(canvas: Canvas, edge: Edge) -> None:
    """Draw an edge from border to border; one that runs back goes below the nodes, one to itself above it."""
    start, end = PLACES[edge.source], PLACES[edge.target]
    dashes = "5 4" if edge.conditional else ""
    if start == end:
        left, right, low, high = start[0] - 40, start[0] - 10, start[1] - HALF_HEIGHT, start[1] - 50
        canvas.arrow([(left, low), (left, high), (right, high), (right, low)], dashes=dashes)
        canvas.text(left - 6, high + 14, str(edge.data), FAINT, "end", size=12)
        return
    if (edge.source, edge.target) == ("execute", "decide"):
        below = start[1] + 60
        path = [
            (start[0], start[1] + HALF_HEIGHT),
            (start[0], below),
            (end[0] + 30, below),
            (end[0] + 30, end[1] + HALF_HEIGHT),
        ]
        canvas.arrow(path, dashes=dashes)
        return
    canvas.arrow([_border(start, end), _border(end, start)], dashes=dashes)


def _border(of: Point, towards: Point) -> Point:
    """Return where the line to another node leaves the box of a node."""
    dx, dy = towards[0] - of[0], towards[1] - of[1]
    share = min(HALF_WIDTH / abs(dx) if dx else 9e9, HALF_HEIGHT / abs(dy) if dy else 9e9)
    return of[0] + share * dx, of[1] + share * dy


def loop() -> str:
    """Draw the loop: somebody decides, somebody acts, until there is an answer."""
    canvas = Canvas(760, 270, "The loop: decide, run the pair, decide again with what came back, answer")
    boxes = (
        (24, 96, 120, "Query", ("text, images,", "limits of the run"), FAINT),
        (222, 96, 190, "Router.decide", ("what will each pair bring,", "and what does it cost?"), BLUE),
        (546, 96, 190, "Executor.run", ("the pair's model, with", "the pair's tool"), AMBER),
    )
    for x, y, width, name, lines, colour in boxes:
        canvas.box(x, y, width, 84, edge=colour)
        canvas.text(x + width / 2, y + 26, name, colour if colour != FAINT else INK, "middle", bold=True)
        for number, line in enumerate(lines):
            canvas.text(x + width / 2, y + 48 + 18 * number, line, FAINT, "middle", size=12)
    canvas.arrow([(144, 138), (222, 138)])
    canvas.arrow([(412, 118), (546, 118)])
    canvas.text(479, 108, "route: a pair", INK, "middle", size=12)
    canvas.arrow([(641, 96), (641, 40), (317, 40), (317, 96)])
    canvas.text(479, 30, "Observation: answer or error, tokens, dollars, seconds", INK, "middle", size=12)
    canvas.arrow([(317, 180), (317, 224)], TEAL)
    canvas.box(222, 224, 190, 34, PAPER, TEAL)
    canvas.text(317, 246, "answer", TEAL, "middle", bold=True)
    canvas.text(430, 246, "enough is known, or no other call is worth its price", FAINT, size=12)
    return canvas.svg()
