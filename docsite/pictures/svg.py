"""Pictures as SVG, light and dark: shapes in a few named colours, which have a counterpart on a dark page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

IMAGES = Path(__file__).parents[2] / "docs/images"
"""Where the pictures of the documentation are."""

INK, FAINT, GRID, PAPER, BOX = "#1f2937", "#6b7280", "#d1d5db", "#ffffff", "#f3f4f6"
BLUE, AMBER, TEAL, VIOLET, RED = "#2563eb", "#b45309", "#0d9488", "#9333ea", "#be185d"
SERIES = (BLUE, AMBER, TEAL, VIOLET, RED, "#4d7c0f", "#0369a1", "#7c2d12")
"""Colours of series, in this order."""

DARK = {
    INK: "#e5e7eb",
    FAINT: "#9ca3af",
    GRID: "#4b5563",
    "#e5e7eb": "#374151",
    PAPER: "#1e2129",
    BOX: "#2b303b",
    BLUE: "#7aa5ff",
    AMBER: "#f5a34a",
    TEAL: "#3fcabb",
    VIOLET: "#c48bff",
    RED: "#f472b6",
    "#4d7c0f": "#a3d65c",
    "#65a30d": "#a3d65c",
    "#0369a1": "#56c1f5",
    "#7c2d12": "#e0977a",
    "#7c3aed": "#b794ff",
    "#94a3b8": "#94a3b8",
    "#111827": "#f9fafb",
    "#c05621": "#f5a34a",
    "#2b6cb0": "#7aa5ff",
    "#2f855a": "#5fd08f",
    "#777": "#a8b0bd",
}
"""What each colour becomes in a dark picture."""
_COLOUR = re.compile(r"#(?:[0-9a-f]{6}|[0-9a-f]{3})\b")


def dark(picture: str) -> str:
    """Return a light picture as a dark one.

    Raises:
        ValueError: it has a colour that has no counterpart.
    """
    if unknown := sorted({one for one in _COLOUR.findall(picture) if one not in DARK}):
        raise ValueError(f"{', '.join(unknown)} has no counterpart in a dark picture; add it to DARK in {__file__}.")
    return _COLOUR.sub(lambda found: DARK[found[0]], picture)


def write(name: str, picture: str) -> None:
    """Write a picture in both forms."""
    (IMAGES / f"{name}.svg").write_text(picture, encoding="utf-8")
    (IMAGES / f"{name}-dark.svg").write_text(dark(picture), encoding="utf-8")


@dataclass
class Canvas:
    """A picture that is being drawn.

    Args:
        width: pixels.
        height: pixels.
        title: what it shows, for those who hear it.
    """

    width: int
    height: int
    title: str
    shapes: list[str] = field(default_factory=list)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        colour: str = INK,
        anchor: str = "start",
        *,
        size: int = 13,
        bold: bool = False,
    ) -> None:
        """Write a line of text; `y` is its base line."""
        weight = ' font-weight="600"' if bold else ""
        self.shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"{weight}>'
            f"{escape(text, quote=False)}</text>"
        )

    def line(self, points: list[tuple[float, float]], colour: str = INK, width: float = 1, dashes: str = "") -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashed}/>'
        )

    def dot(self, x: float, y: float, colour: str, radius: float = 4, *, hollow: bool = False) -> None:
        """Draw a dot."""
        fill = f'fill="{PAPER}" stroke="{colour}" stroke-width="1.5"' if hollow else f'fill="{colour}"'
        self.shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" {fill}/>')

    def box(self, x: float, y: float, width: float, height: float, colour: str = BOX, edge: str = GRID) -> None:
        """Draw a box with round corners."""
        self.shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" fill="{colour}" '
            f'stroke="{edge}"/>'
        )

    def arrow(self, points: list[tuple[float, float]], colour: str = FAINT, dashes: str = "") -> None:
        """Draw a line through points, with a tip at its end."""
        self.line(points, colour, 1.5, dashes)
        (x0, y0), (x1, y1) = points[-2:]
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-9)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        corners = [(x1, y1), (x1 - 8 * dx - 4 * dy, y1 - 8 * dy + 4 * dx), (x1 - 8 * dx + 4 * dy, y1 - 8 * dy - 4 * dx)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self.shapes.append(f'<polygon points="{path}" fill="{colour}"/>')

    def svg(self) -> str:
        """Return the picture."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            'font-family="system-ui, sans-serif">'
        )
        title = f"<title>{escape(self.title)}</title>"
        paper = f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>'
        return "\n".join([head, title, paper, *self.shapes, "</svg>", ""])


@dataclass(frozen=True)
class Axes:
    """The frame of a chart, and where numbers are in it.

    Args:
        canvas: the picture.
        x: least and largest number across, as they are placed: logarithms for a logarithmic axis.
        y: least and largest number upwards.
        left: pixels.
        top: pixels.
        width: pixels.
        height: pixels.
    """

    canvas: Canvas
    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    top: float
    width: float
    height: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point is, in pixels."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def draw(self, x_ticks: dict[float, str], y_ticks: dict[float, str], x_title: str, y_title: str = "") -> None:
        """Draw the frame with its ticks and titles."""
        floor = self.top + self.height
        for value, name in y_ticks.items():
            _, y = self.at(self.x[0], value)
            self.canvas.line([(self.left, y), (self.left + self.width, y)], "#e5e7eb")
            self.canvas.text(self.left - 8, y + 4, name, FAINT, "end", size=12)
        for value, name in x_ticks.items():
            x, _ = self.at(value, self.y[0])
            self.canvas.line([(x, floor), (x, floor + 5)], FAINT)
            self.canvas.text(x, floor + 19, name, FAINT, "middle", size=12)
        self.canvas.line([(self.left, floor), (self.left + self.width, floor)], FAINT)
        self.canvas.text(self.left + self.width / 2, floor + 40, x_title, INK, "middle")
        if y_title:
            self.canvas.text(self.left - 36, self.top - 14, y_title, INK)
