"""The page of the leaderboard, and its picture, from the figures of all tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Board = Mapping[str, Any]

HEAD = """# Leaderboard

Every router on every table of outcomes: how many points above or below the best single pair in hindsight, within
budgets. Settings were chosen inside the training part of each split. Written by `make bench-all`; a table that is not
below was not measured.

![Points to the best single pair by share of its cost, each table and router](images/leaderboard.svg)

How to read it: the best single pair in hindsight is what nobody has in advance. A column is a budget, as a share of
what the training part's best single pair costs. A cell says points to the pair in hindsight, the 95% interval over the
queries of a split (averaged over splits), and what was really spent: dollars over the dollars of the pair in hindsight,
both summed over splits, on queries of which both are known. *AIQ* is the mean accuracy over all budgets from the
cheapest pair's cost to the best pair's (times 100). *Decide* is the time of a decision without the encoder, on a busy
machine. Routers that ask one pair make one call; the policy may make more.
"""
MORE = """
## Add a router or a table

`benchmarks/leaderboard.py` has a list of each. A router that asks one pair is an `Entry` with its name and a function
that makes it, unfitted, from a seed:

```python
Entry("my router", lambda seed: MyRouter(encoder, random_state=seed))
```

A table is a `Source`: its name, its file, and the domains to train on for the parts out of distribution.
"""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 52, 16, 34, 44
INK, GRID = "#1f2937", "#e5e7eb"
COLOURS = ("#2563eb", "#94a3b8", "#0d9488", "#b45309", "#7c3aed", "#be185d", "#65a30d", "#111827", "#0369a1", "#7c2d12")
LOWEST, HIGHEST = -10.0, 4.0
"""Points that the picture shows; what is below is drawn at its lower edge."""


def page(boards: Mapping[str, Board], shares: Sequence[float]) -> str:
    """Return the page as Markdown."""
    parts = [HEAD]
    for name, board in boards.items():
        parts.append(f"\n## {name}\n\n{board['queries']} queries, {board['pairs']} pairs.\n")
        for part, rows in board["rows"].items():
            inside = part != "unfamiliar kinds"
            count = board["splits"] if inside else board["parts"]
            how = (
                f"random 70/30 split{'s' * (count > 1)}"
                if inside
                else f"choice{'s' * (count > 1)} of kinds to train on"
            )
            parts.append(f"\n### {name}: {part} ({count} {how})\n\n{_table(rows, shares)}")
    return "".join([*parts, MORE])


def _table(rows: Mapping[str, Sequence[Mapping[str, Any]]], shares: Sequence[float]) -> str:
    heads = ["router", *(f"at {share:.0%}" for share in shares), "AIQ", "calls at 100%", "decide"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, splits in rows.items():
        keys = [f"{share:g}" for share in shares]
        if "" in splits[0]["at"]:
            cells = [_cell([each["at"][""] for each in splits]), *[""] * (len(shares) - 1), "", "1.0", ""]
        else:
            aiq = [each["aiq"] for each in splits if each["aiq"] is not None]
            cells = [
                *(_cell([each["at"][key] for each in splits]) if key in splits[0]["at"] else "" for key in keys),
                f"{100 * np.mean(aiq):.1f}" if aiq else "",
                f"{np.mean([each['at'][keys[0]]['calls'] for each in splits]):.1f}",
                f"{np.mean([each['decide_ms'] for each in splits]):.2g} ms",
            ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(figures: Sequence[Mapping[str, Any]]) -> str:
    gain = 100 * np.mean([each["gain"] for each in figures])
    low, high = (100 * np.mean([each["gain_ci95"][end] for each in figures]) for end in (0, 1))
    share = _share(figures)
    spent = "cost unknown" if share is None else f"{share:.0%}"
    if not low and not high:
        return f"0.0 ({spent})"
    return f"{_points(gain)} ({_points(low)} to {_points(high)}; {spent})"


def _points(value: float) -> str:
    written = f"{value:+.1f}"
    return "0.0" if written in {"+0.0", "-0.0"} else written


def _share(figures: Sequence[Mapping[str, Any]]) -> float | None:
    """Return dollars over the best single pair's dollars, both summed over splits; None where one is not known.

    The best pair in hindsight may be cheap in one split and dear in the next, so a mean of shares would say little.
    """
    known = [each for each in figures if each["cost"] is not None]
    return sum(each["cost"] for each in known) / sum(each["bar_cost"] for each in known) if known else None


def picture(boards: Mapping[str, Board], part: str) -> str:
    """Return a picture of all tables side by side: points to the best single pair by share of its cost."""
    names = [name for name in boards if part in boards[name]["rows"]]
    routers = list(dict.fromkeys(router for name in names for router in _routers(boards[name], part)))
    each = (WIDTH - LEFT - RIGHT) / max(len(names), 1)
    shapes = [f'<rect width="{WIDTH}" height="{HEIGHT + 60}" fill="#ffffff"/>']
    for points in range(int(LOWEST), int(HIGHEST) + 1, 2):
        at = _up(points)
        shapes.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="{INK if points == 0 else GRID}"/>')
        shapes.append(_text(LEFT - 8, at + 4, f"{points:+d}" if points else "0", "end"))
    shapes.append(_text(LEFT - 44, 14, "points to the best single pair", "start"))
    for number, name in enumerate(names):
        left = LEFT + number * each
        shapes.append(_text(left + each / 2, TOP - 14, name, "middle"))
        for router in _routers(boards[name], part):
            line = _line(boards[name]["rows"][part][router])
            places = [(left + 12 + share * (each - 28), _up(gain)) for share, gain in line]
            colour = COLOURS[routers.index(router) % len(COLOURS)]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            shapes += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places]
        shapes += [
            _text(left + 12 + share * (each - 28), HEIGHT - BOTTOM + 16, f"{share:.0%}", "middle", size=10)
            for share in (0.1, 0.6, 1.0)
        ]
    shapes.append(_text(WIDTH / 2, HEIGHT - BOTTOM + 34, "share of the best single pair's cost", "middle"))
    for number, router in enumerate(routers):
        x, y = LEFT + number % 5 * 138, HEIGHT + 10 + number // 5 * 20
        shapes.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{COLOURS[number % len(COLOURS)]}"/>')
        shapes.append(_text(x + 9, y, router, "start"))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 60}" font-family="sans-serif" '
        'font-size="12" role="img" aria-label="Points to the best single pair, by share of its cost">'
    )
    return "\n".join([head, *shapes, "</svg>", ""])


def _routers(board: Board, part: str) -> list[str]:
    return [name for name, splits in board["rows"][part].items() if "" not in splits[0]["at"]]


def _line(splits: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return mean share of cost spent and mean points gained of each budget, the cheapest first."""
    found = []
    for key in splits[0]["at"]:
        share = _share([each["at"][key] for each in splits])
        if share is not None:
            gain = 100 * np.mean([each["at"][key]["gain"] for each in splits])
            found.append((min(share, 1.0), float(gain)))
    return sorted(found)


def _up(points: float) -> float:
    inside = min(max(points, LOWEST), HIGHEST)
    return float(HEIGHT - BOTTOM - (inside - LOWEST) / (HIGHEST - LOWEST) * (HEIGHT - TOP - BOTTOM))


def _text(x: float, y: float, text: str, anchor: str, *, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{INK}">{text}</text>'
