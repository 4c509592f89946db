"""Pictures of the pages that explain: clusters, asking again, the guard, and one query on path two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from measured import encoder, parts
from svg import AMBER, BLUE, FAINT, INK, RED, SERIES, TEAL, Axes, Canvas

from langchain_atlas import ClusterRouter, OutcomeTable, Pair, ReplayExecutor
from langchain_atlas.answers.agreement import AnswerAgreement
from langchain_atlas.demo import OUTCOMES
from langchain_atlas.encoders import SentenceTransformerEncoder
from langchain_atlas.evaluation.replay.runs import run_router

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST, SECOND, THIRD = (
    Pair("gpt-4o-mini-2024-07-18", "prompt"),
    Pair("Salesforce_xLAM-7b-fc-r", "fc"),
    Pair("claude-3-5-sonnet-20240620", "prompt"),
)
"""Two cheap pairs whose answers are compared, and the one that is asked when they differ."""
SIZES = (40, 80, 160, 320, 640)
SEEDS = range(4)
_FITS = 41
"""Characters of a query that fit beside the points."""
_WORTH_A_CALL = 0.01
"""Share of right answers below which a gain is none."""


def clusters() -> str:
    """Draw the demo's queries as the cluster router sees them, with the pair that is best in each cluster."""
    table = OutcomeTable.load(OUTCOMES)
    router = ClusterRouter(SentenceTransformerEncoder(), n_clusters=5, random_state=0).fit(table)
    labels = router.place(table.queries)
    places = _flat(router.encoder.encode([query.text for query in table.queries]))
    canvas = Canvas(760, 420, "Queries as points, coloured by cluster, with the best pair of each cluster")
    axes = Axes(canvas, _range(places[:, 0]), _range(places[:, 1]), 24, 40, 400, 350)
    canvas.text(24, 24, f"{len(labels)} queries, by what they mean", bold=True)
    canvas.text(450, 24, "and what each cluster learned", bold=True)
    scores = table.matrix()
    for number in range(int(labels.max()) + 1):
        inside = labels == number
        for x, y in places[inside]:
            canvas.dot(*axes.at(x, y), SERIES[number], 3.2)
        means = scores[inside].mean(axis=0)
        best = int(means.argmax())
        top = 52 + 72 * number
        canvas.dot(458, top - 4, SERIES[number], 6)
        canvas.text(472, top, str(table.pairs[best]), SERIES[number], bold=True)
        canvas.text(472, top + 18, f"right on {means[best]:.0%} of its {inside.sum()} queries", FAINT, size=12)
        canvas.text(472, top + 34, _example(table, inside), INK, size=12)
    return canvas.svg()


def _example(table: OutcomeTable, inside: NDArray[np.bool_]) -> str:
    """Return the shortest query of a cluster, cut to what fits."""
    text = min((query.text for query, here in zip(table.queries, inside, strict=True) if here), key=len)
    return f"“{text if len(text) <= _FITS else text[: _FITS - 1].rstrip() + '…'}”"


def _flat(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return where vectors are in the plane in which they differ most, shape [n, 2]."""
    centred = vectors - vectors.mean(axis=0)
    return np.asarray(centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T, dtype=np.float64)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()) - 0.03, float(values.max()) + 0.03


def asking_again() -> str:
    """Draw how often an answer is right where a second pair agrees or does not, and what a third call adds."""
    training, test = parts()
    table = training.joined(test)
    same = _agree(table)
    at = [table.pairs.index(pair) for pair in (FIRST, SECOND, THIRD)]
    scores, costs = table.matrix()[:, at], table.matrix("cost_usd")[:, at]
    canvas = Canvas(760, 360, "What a third call adds where two answers agree, and where they differ")
    axes = Axes(canvas, (0, 1), (0, 1), 60, 56, 660, 232)
    axes.draw({}, {0: "0%", 0.5: "50%", 1: "100%"}, "")
    canvas.text(24, 26, "right answers", bold=True)
    for side, (name, rows) in enumerate((("two cheap pairs agree", same), ("they differ", ~same))):
        left = 110 + 330 * side
        for number, (colour, values) in enumerate(((BLUE, scores[rows, 0]), (AMBER, scores[rows, 2]))):
            right = float(values.mean())
            _, y = axes.at(0, right)
            canvas.shapes.append(
                f'<rect x="{left + 112 * number}" y="{y:.1f}" width="96" height="{288 - y:.1f}" fill="{colour}"/>'
            )
            canvas.text(left + 112 * number + 48, y - 7, f"{right:.0%}", colour, "middle", bold=True)
        gain = float(scores[rows, 2].mean() - scores[rows, 0].mean())
        price = float(costs[rows, 2].mean())
        told = "a third call would bring nothing"
        if gain > _WORTH_A_CALL:
            told = f"a third call is worth its ${price:.4f} if a right answer is worth ${price / gain:.3f}"
        canvas.text(left + 104, 308, f"{name}: {rows.mean():.0%} of the queries", INK, "middle", bold=True)
        canvas.text(left + 104, 328, told, FAINT, "middle", size=12)
    canvas.dot(300, 22, BLUE, 5)
    canvas.text(310, 26, f"the answer of {FIRST.model[:11]}", size=12)
    canvas.dot(500, 22, AMBER, 5)
    canvas.text(510, 26, f"that of {THIRD.model[:17]}, asked as well", size=12)
    return canvas.svg()


def _agree(table: OutcomeTable) -> NDArray[np.bool_]:
    """Return on which queries the first two pairs say the same."""
    agreement, texts = AnswerAgreement(), table.texts("response")
    first, second = (table.pairs.index(pair) for pair in (FIRST, SECOND))
    read = [
        (agreement.read(said[first], query), agreement.read(said[second], query), query)
        for said, query in zip(texts, table.queries, strict=True)
    ]
    return np.array([agreement.same(one, other, query) for one, other, query in read])


def guard() -> str:
    """Draw what a router fitted on few logs gives with its guard, and without, against the best pair of these logs."""
    training, test = parts()
    found: dict[str, list[list[float]]] = {"with": [], "without": []}
    for size in SIZES:
        gains: dict[str, list[float]] = {"with": [], "without": []}
        for seed in SEEDS:
            names = np.random.default_rng(seed).permutation(training.query_ids)[:size].tolist()
            logs = training.select(query_ids=names)
            router = ClusterRouter(encoder(), random_state=seed).fit(logs)
            single = np.nanmean(test.matrix()[:, int(np.nanmean(logs.matrix(), axis=0).argmax())])
            for name, one in (("with", router), ("without", router.configure(guard=0))):
                runs = run_router(one, ReplayExecutor(test))
                gains[name].append(100 * float(np.nanmean(runs.score) - single))
        for name, values in gains.items():
            found[name].append(values)
    return _guard_chart(found)


def _guard_chart(found: dict[str, list[list[float]]]) -> str:
    canvas = Canvas(760, 380, "Points gained or lost against one pair for everything, by how many queries were logged")
    numbers = [value for rows in found.values() for values in rows for value in values]
    low, high = min(-1.0, *numbers) - 0.5, max(1.0, *numbers) + 0.5
    axes = Axes(canvas, (-0.3, len(SIZES) - 0.7), (low, high), 60, 40, 676, 276)
    step = 2 if high - low < 16 else 4  # noqa: PLR2004
    ticks = range(int(low // step * step), int(high) + 1, step)
    axes.draw(
        {float(at): str(size) for at, size in enumerate(SIZES)},
        {float(tick): (f"{tick:+d}" if tick else "0") for tick in ticks if low <= tick <= high},
        "queries that the router was fitted on",
        "points against one pair for everything",
    )
    axes.canvas.line([axes.at(axes.x[0], 0), axes.at(axes.x[1], 0)], INK, 1, "4 3")
    for colour, shift, (name, rows) in zip((TEAL, RED), (-0.05, 0.05), found.items(), strict=True):
        means = [axes.at(at + shift, float(np.mean(values))) for at, values in enumerate(rows)]
        canvas.line(means, colour, 2)
        for at, values in enumerate(rows):
            for value in values:
                canvas.dot(*axes.at(at + shift, value), colour, 2.5, hollow=True)
            canvas.dot(*means[at], colour, 4)
        canvas.dot(560, 262 + 22 * (name == "with"), colour, 5)
        canvas.text(572, 266 + 22 * (name == "with"), f"{name} the guard")
    return canvas.svg()
