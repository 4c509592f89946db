"""The report in one sentence: what a router does against the best single pair, and what that rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_atlas.evaluation.report.basis import Basis
    from langchain_atlas.evaluation.report.volume import Volume

FORCED = 0.5
"""Share of queries with one recorded pair from which replay can't judge a router."""

_WIDE = 0.1
"""Width of an interval from which two rates are not called alike, only not told apart."""


def sentence(
    label: str, step: Mapping[str, Any], bar: Mapping[str, Any], basis: Basis, *, volume: Volume | None, forced: float
) -> str:
    """Say what a router does at one setting against the best single pair.

    Args:
        label: the router's name.
        step: the router's figures, see `page.figures`.
        bar: those of the best single pair.
        basis: what the figures rest on.
        volume: how many queries come.
        forced: share of the queries on which one pair is recorded.
    """
    if step["lead"] is not None and (basis.kind == "fitted" or "verdict" in step["lead"]):
        return _of_held_out(label, step["lead"], volume, estimated=step["effective"] is not None)
    if forced > FORCED and step["effective"] is None:
        return (
            f"These outcomes can't judge a router: on {forced:.0%} of the queries one pair is recorded, so whoever "
            "routes is given that pair."
        )
    single = bar["pairs"][0]
    if basis.kind == "fitted":
        return (
            f"How router {label} does on new queries can't be told from these: it learned from them. It answers "
            f"{step['accuracy']:.1%} of them right, which flatters it."
        )
    if step["gain_interval"] is None:
        return f"Router {label} and {single} share no query with a score; they can't be compared."
    low, high = step["gain_interval"]
    span = f"95% interval {signed(low)} to {signed(high)}"
    if step["settled"]:
        return (
            f"Router {label} sends every query to one pair: {step['accuracy']:.1%} right{_paying(step, bar, volume)}."
        )
    if step["effective"] is not None:
        label = f"{label}, estimated from a log that says it directly of {step['effective']:.0f} queries,"
    if low > 0:
        said = f"is right {points(step['gain'])} more often than {single} alone ({span})"
    elif high < 0:
        said = f"is right {points(step['gain'])} less often than {single} alone ({span})"
    elif high - low > _WIDE:
        said = f"can't be told apart from {single} alone by so few queries ({signed(step['gain'])} points, {span})"
    else:
        said = f"is right about as often as {single} alone ({signed(step['gain'])} points, {span})"
    return f"Router {label} {said}{_paying(step, bar, volume)}."


def _of_held_out(label: str, lead: Mapping[str, Any], volume: Volume | None, *, estimated: bool) -> str:
    low, high = lead["interval"]
    bar = lead["bar"]
    who = "Estimated: router" if estimated else "Router"
    both = None if not lead["cost"] or not bar["cost"] else lead["cost"] / bar["cost"]
    return (
        f"{who} {label} was right on {lead['accuracy']:.1%} ({low:.1%} to {high:.1%}) of {lead['count']:,} queries "
        f"that were held out when it was fitted, {bar['pairs'][0]} alone on {bar['accuracy']:.1%}"
        f"{_paying({**lead, 'cost_ratio': both}, bar, volume)}."
        f"{' ' + lead['verdict'] if 'verdict' in lead else ''}"
    )


def _paying(step: Mapping[str, Any], bar: Mapping[str, Any], volume: Volume | None) -> str:
    """Compare the costs, if enough of both are known."""
    if step["cost_ratio"] is None or min(step["cost_known"], bar["cost_known"]) < 1:
        return ""
    if volume is None:
        unit, many = "per 1000 queries", 1.0
    else:
        unit, many = f"a {volume.period}", volume.queries / 1000
    mine, other = dollars(step["cost"] * many), dollars(bar["cost"] * many)
    if mine == other:
        return f", and costs the same: {mine} {unit}"
    return f", and costs {mine} instead of {other} {unit}"


def points(value: float) -> str:
    """Write a difference of rates in points, without its sign."""
    shown = f"{abs(100 * value):.1f}"
    return f"{shown} point{'s' * (shown != '1.0')}"


def signed(value: float) -> str:
    """Write a difference of rates in points, with its sign."""
    shown = f"{100 * value:+.1f}"
    return "0.0" if shown in {"+0.0", "-0.0"} else shown.replace("-", "\N{MINUS SIGN}")


def dollars(value: float) -> str:
    """Write an amount: whole dollars from 100 on, three digits below."""
    return f"${value:,.0f}" if value >= 100 else f"${float(f'{value:.3g}'):g}" if value < 1 else f"${value:,.2f}"  # noqa: PLR2004
