"""Small outcome tables and an encoder, for tests that work numbers out by hand."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_atlas.encoders import Encoder
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair


class Compass(Encoder):
    """Encodes a text as the direction it is given, in degrees; other texts as the first of them.

    Two directions that are d degrees apart lie ``2 * sin(d / 2)`` apart on the unit circle: 60 degrees make 1, 90 make
    the square root of 2, and 180 make 2.
    """

    def __init__(self, degrees: Mapping[str, float], name: str = "compass") -> None:
        super().__init__(name)
        self._degrees = dict(degrees)
        self.passes: list[list[str]] = []
        """The texts of every pass."""

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        self.passes.append(texts)
        default = next(iter(self._degrees.values()))
        angles = [math.radians(self._degrees.get(text, default)) for text in texts]
        return np.array([[math.cos(angle), math.sin(angle)] for angle in angles], dtype=np.float32)


def row(query_id: str, pair: str, score: float | None, cost_usd: float | None = None, **more: Any) -> dict[str, Any]:
    """Return one row of an outcome table; the query's text is its id unless given."""
    parsed = Pair.parse(pair)
    return {
        "query_id": query_id,
        "query": query_id,
        "domain": "all",
        "model": parsed.model,
        "tool": parsed.tool,
        "score": score,
        "cost_usd": cost_usd,
        **more,
    }


def table_of(*rows: dict[str, Any]) -> OutcomeTable:
    return OutcomeTable.from_rows(rows)


KINDS = {
    "arithmetic": (
        "small@@calculator",
        ["add", "multiply", "divide", "subtract", "square", "halve"],
        "numbers sum {} two",
    ),
    "facts": (
        "small@@search",
        ["harbour", "lighthouse", "museum", "bakery", "school", "tower"],
        "where stands the {} of",
    ),
    "talk": ("large@@none", ["morning", "evening", "friend", "weather", "joke", "poem"], "hello please say {} to me"),
}
"""Of each kind: the pair that answers it, the words that vary, and the sentence they stand in."""


def kinds_of_query() -> OutcomeTable:
    """Make outcomes of three pairs on 18 queries; each pair is always right on its own kind, and never elsewhere."""
    costs = {"small@@calculator": 0.001, "small@@search": 0.002, "large@@none": 0.004}
    rows = [
        row(
            f"{kind}-{word}",
            pair,
            1.0 if pair == best else 0.0,
            costs[pair],
            query=sentence.format(word),
            domain=kind,
            latency_s=1000 * costs[pair],
            response=f"{pair} on {word}",
            input_tokens=10,
            output_tokens=20,
        )
        for kind, (best, words, sentence) in KINDS.items()
        for word in words
        for pair in costs
    ]
    return OutcomeTable.from_rows(rows, "the kinds of query")


CALLER, TALKER = Pair("small", "functions"), Pair("large")
"""Of `offers`: who is right where a function fits the query, and who is right where none does."""

ACTIONS = ("open", "close", "count", "paint", "measure", "rent", "clean", "move", "price", "draw", "weigh", "sell")
THINGS = ("door", "window", "bridge", "garden", "cellar", "wagon", "boiler", "carpet", "mirror", "piano", "kettle")


def offer(*functions: str) -> str:
    """Return a context as JSON: the functions on offer, by their descriptions."""
    return json.dumps([{"name": f"f{number}", "description": text} for number, text in enumerate(functions)])


def offers(n_texts: int = 60) -> OutcomeTable:
    """Make outcomes of two pairs on texts that occur twice: with a function that fits on offer, and with another.

    The text alone says nothing of which pair is right; only whether a function fits does.
    """
    asks = [(action, thing) for action in ACTIONS for thing in THINGS][:n_texts]
    rows = []
    for number, (action, thing) in enumerate(asks):
        other_action, other_thing = asks[(number + n_texts // 2) % n_texts]
        for fits, named in ((True, f"{action} {thing}"), (False, f"{other_action} {other_thing}")):
            rows += [
                row(
                    f"{action}-{thing}-{fits}",
                    str(pair),
                    float(fits == (pair == CALLER)),
                    0.001,
                    query=f"{action} the {thing}",
                    context=offer(named),
                    domain="fits" if fits else "does not",
                )
                for pair in (CALLER, TALKER)
            ]
    return OutcomeTable.from_rows(rows, "functions on offer")
