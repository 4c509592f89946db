"""The finer shape of a query: what of its text and its context can be counted, beyond `views.Sight.shape`."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.routers.views import shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.routers.views import Sight
    from langchain_atlas.trajectory import Query

_WORDS = re.compile(r"[^\W\d_]+")
_NUMBERS = re.compile(r"\d[\d,]*(?:\.\d+)?")
_SENTENCE_ENDS = re.compile(r"[.!?;\n]+(?:\s|$)")
_KEYS = re.compile(r'"[^"]+"\s*:')
_TYPES = re.compile(r'"type"\s*:\s*"([^"]+)"')
_LONGEST_NUMBER = 300
_LONGEST_TEXT = 20_000


def details(queries: Sequence[Query], sight: Sight) -> NDArray[np.float64]:
    """Count what can be counted of some queries, shape [n_queries, 28].

    Args:
        queries: the queries.
        sight: what is seen of them.
    """
    items = np.expm1(sight.items[:, 0]).round()
    counted = [
        [*_of_text(query.text[:_LONGEST_TEXT]), *_of_context(query.context, number)]
        for query, number in zip(queries, items.tolist(), strict=True)
    ]
    return np.hstack([sight.shape, np.array(counted)])


def _of_text(text: str) -> list[float]:
    numbers = set(_NUMBERS.findall(text))
    values = [float(number.replace(",", "")[:_LONGEST_NUMBER]) for number in numbers]
    words = _WORDS.findall(text)
    sentences = [part for part in _SENTENCE_ENDS.split(text) if part.strip()]
    return [
        math.log1p(len(numbers)),
        math.log1p(max(values, default=0.0)),
        float(any(not value.is_integer() for value in values)),
        math.log1p(len({word for word in words if word[0].isupper()})),
        math.log1p(len(sentences)),
        math.log1p(len(sentences[-1].split()) if sentences else 0),
        len({word.lower() for word in words}) / max(len(words), 1),
    ]


def _of_context(context: str | None, items: float) -> list[float]:
    text = (context or "")[:_LONGEST_TEXT]
    keys = len(_KEYS.findall(text))
    return [
        *shape_of(text),
        items,
        math.log1p(keys),
        math.log1p(keys / max(items, 1)),
        float(len(set(_TYPES.findall(text)))),
        math.log1p(len(text) / max(items, 1)),
    ]
