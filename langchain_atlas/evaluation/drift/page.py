"""The weeks of a store as one HTML file that opens without a network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.evaluation.drift.report import DriftReport, Week

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 720, 180, 48, 12, 24
_COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b83280")
_STYLE = """
:root { color-scheme: light dark; } body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block;
overflow-x: auto; } th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; } svg { width: 100%; height: auto; }
text { font-size: 12px; fill: currentColor; } .key { margin-right: 1rem; white-space: nowrap; }
"""

Line = tuple[str, "Sequence[float | None]"]


def weeks_page(report: DriftReport) -> str:
    """Return the page: what has changed, and curves and figures of each week.

    Args:
        report: what a store shows.
    """
    weeks = report.weeks
    shares = sorted({name for week in weeks for name in week.pair_share}, key=lambda name: -_total(weeks, name))
    parts = [
        "<h1>Week by week</h1>",
        f"<p>{report.decisions} calls, {report.scored} scored; {report.canary_answers} answers of canaries.</p>",
        "<h2>What has changed</h2>",
        _events(report),
    ]
    if weeks:
        score = [("score", [week.mean_score for week in weeks]), ("expected", [week.expected_score for week in weeks])]
        far = [("far from the training data", [week.far_share for week in weeks])]
        used = [(name, [week.pair_share.get(name, 0.0) for week in weeks]) for name in shares[: len(_COLOURS)]]
        labels = (weeks[0].begins, weeks[-1].begins)
        for title, lines in (("Score", score), ("Share of queries", far), ("Share of each pair", used)):
            parts += [f"<h2>{title}</h2>", _chart(lines, labels, title)]
        parts += ["<h2>Figures</h2>", _table(weeks)]
    parts += [f"<p>{escape(note)}</p>" for note in report.notes]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    title = "<title>Week by week</title>"
    begins = f'<!doctype html><html lang="en"><head>{head}{title}<style>{_STYLE}</style></head>'
    return f"{begins}<body>{''.join(parts)}</body></html>"


def _total(weeks: Sequence[Week], name: str) -> float:
    return sum(week.pair_share.get(name, 0.0) * week.decisions for week in weeks)


def _events(report: DriftReport) -> str:
    if not report.events:
        return "<p>No change was found.</p>"
    return f"<ul>{''.join(f'<li>{escape(event.message)}</li>' for event in report.events)}</ul>"


def _chart(lines: Sequence[Line], labels: tuple[str, str], title: str) -> str:
    """Return curves from 0 to 100%, with a key; a week without a value is a gap."""
    count = max(len(values) for _, values in lines)
    step = (_WIDTH - _LEFT - 10) / max(1, count - 1)
    drawn = []
    for at, tick in enumerate((1.0, 0.5, 0.0)):
        y = _TOP + at * (_HEIGHT - _TOP - _BOTTOM) / 2
        drawn.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.0%}</text>')
    drawn.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{labels[0]}</text>')
    drawn.append(f'<text x="{_WIDTH}" y="{_HEIGHT - 6}" text-anchor="end">{labels[1]}</text>')
    key = []
    for (name, values), colour in zip(lines, _COLOURS, strict=False):
        drawn.append(_curve(values, colour, step))
        key.append(f'<span class="key"><span style="color:{colour}">&#9632;</span> {escape(name)}</span>')
    picture = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(drawn)}</svg>'
    return f"{picture}<p>{''.join(key)}</p>"


def _curve(values: Sequence[float | None], colour: str, step: float) -> str:
    drawn, begins = "", True
    for at, value in enumerate(values):
        if value is not None:
            y = _TOP + (1 - value) * (_HEIGHT - _TOP - _BOTTOM)
            drawn += f"{'M' if begins else 'L'}{_LEFT + at * step:.1f} {y:.1f}"
            # a point of no length is drawn as a dot, so that a week without neighbours is seen
            drawn += "h0" if begins else ""
        begins = value is None
    return (
        f'<path d="{drawn}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-linecap="round"/>' if drawn else ""
    )


def _table(weeks: Sequence[Week]) -> str:
    headings = ("week of", "calls", "failed", "scored", "score", "expected", "dollars", "far", "most used")
    rows = []
    for week in weeks:
        name, share = next(iter(week.pair_share.items()))
        dollars = "unknown" if week.cost_usd is None else f"{week.cost_usd:.2f}{'+' if week.unpriced else ''}"
        cells = (
            *(week.begins, week.decisions, week.failed, week.scored, percent(week.mean_score)),
            *(percent(week.expected_score), dollars, percent(week.far_share), f"{name} {share:.0%}"),
        )
        rows.append("".join(f"<td>{escape(str(cell))}</td>" for cell in cells))
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def percent(share: float | None) -> str:
    """Return a share as a percentage; nothing for None."""
    return "" if share is None else f"{share:.1%}"
