"""The features of a query: text, context, how the two fit, shape, and the outcomes that these predict.

The text alone can't distinguish two queries that differ only in the available functions; and only some of what
distinguishes texts determines which pair is right. So a query's vector has, in addition to its embedding:

- the mean embedding of the items of its context, how well the best of them fits the text, and how many there are;
- its shape: length, numbers, lines, symbols;
- a few directions in which recorded outcomes vary, found by ridge regression and cross-fitted, so that the clusters are
  made of predictions like those a new query will get.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.engines.products import product
from langchain_atlas.outcomes.pair_levels import Effects
from langchain_atlas.privacy import check_encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.trajectory import Query

_FIT_WEIGHT = 2.0
_COUNT_WEIGHT = 0.3
_SHAPE_WEIGHT = 0.1
_SEEN_SHAPE_WEIGHT = 0.2
_DIRECTION_WEIGHT = 0.7
_RIDGE = 30.0
_FOLDS = 5
_FEWEST_QUERIES = 100
_MOST_ITEMS = 32
_LONGEST_ITEM = 1000
_MOST_DEVIATIONS = 3.0

SHAPE_FEATURES = ("length", "words", "numbers", "lines", "sentences", "capitals", "symbols", "word_length")
"""Names of the numbers about the shape of a text, in their order."""

_ONES = len(SHAPE_FEATURES) + 2
"""Features of a query besides the four parts that are as long as an embedding."""
_GROUP = 32
"""Numbers that are added up together in a product of matrices, or a multiple of them."""
_NUMBERS = re.compile(r"\d[\d,.]*")
_ENDS = re.compile(r"[.!?;]")


@dataclass(frozen=True)
class QueryFeatures:
    """All features of some queries, before anything is learned; arrays have one row per query."""

    text: NDArray[np.float32]
    """Embedding of the text, shape [n, dimension]."""
    shape: NDArray[np.float64]
    """Length, numbers, lines and symbols of the text, shape [n, len(SHAPE_FEATURES)]."""
    context: NDArray[np.float32]
    """Mean embedding of the items of the context, shape [n, dimension]; zero where there is none."""
    best: NDArray[np.float32]
    """Embedding of the item that fits the text best, shape [n, dimension]; zero where there is none."""
    fit: NDArray[np.float64]
    """Cosine similarity of that item with the text, shape [n, 1]."""
    items: NDArray[np.float64]
    """Logarithm of one plus the number of items, shape [n, 1]."""

    def shape_of(self, name: str) -> NDArray[np.float64]:
        """Return one of `SHAPE_FEATURES` of every text, shape [n]."""
        return self.shape[:, SHAPE_FEATURES.index(name)]

    @classmethod
    def of(cls, queries: Sequence[Query], encoder: Encoder) -> QueryFeatures:
        """Compute the features of some queries: one pass of the encoder over all texts and items."""
        check_encoder(encoder, queries)
        items = [context_items(query.context) for query in queries]
        texts = [query.text for query in queries]
        vectors = encoder.encode([*texts, *(item for group in items for item in group)])
        text, rest = vectors[: len(texts)], vectors[len(texts) :]
        shape, context, best = np.array(list(map(shape_of, texts))), *np.zeros((2, *text.shape), text.dtype)
        if not len(rest):
            none = np.zeros((len(texts), 1))
            return cls(text=text, shape=shape, context=context, best=best, fit=none, items=none)
        start = 0
        for row, group in enumerate(items):
            if group:
                members = rest[start : start + len(group)]
                context[row], best[row] = members.mean(axis=0), members[np.argmax(members @ text[row])]
                start += len(group)
        return cls(
            text=text,
            shape=shape,
            context=context,
            best=best,
            fit=np.add.reduce(text * best, axis=1, keepdims=True).astype(np.float64),
            items=np.log1p([[len(group)] for group in items]),
        )

    @property
    def has_context(self) -> bool:
        """Whether any of the queries has a context; otherwise most features are zero."""
        return bool(self.items.any())


@dataclass(frozen=True)
class Featurizer:
    """Turns the features of queries into vectors; learned once, on the queries that a router is fitted to."""

    centre: NDArray[np.float64]
    """Mean of each shape feature, shape [8]."""
    spread: NDArray[np.float64]
    """Standard deviation of each shape feature, shape [8]; zero for a constant one, which is ignored."""
    directions: NDArray[np.float64]
    """Coefficients from the features to the predicted outcomes, shape [n_seen + 1, n_directions]; the last row is the
    intercept."""

    @classmethod
    def learn(
        cls, features: QueryFeatures, scores: NDArray[np.float64], n_directions: int, seed: int
    ) -> tuple[Featurizer, Any]:
        """Learn the view.

        Args:
            features: the features of the queries.
            scores: outcomes, shape [n_queries, n_pairs]; NaN where nothing is recorded.
            n_directions: number of directions of the outcomes to keep; none with fewer than 100 queries.
            seed: seed of the folds.

        Returns:
            The view, and the vectors of these queries, in which each query's directions were predicted from the others.
        """
        centre = features.shape.mean(axis=0)
        # Rounding may leave equal numbers with a tiny deviation, by which any other number would become huge.
        spread = np.where(np.ptp(features.shape, axis=0) > 0, features.shape.std(axis=0), 0.0)
        empty = cls(centre, spread, np.zeros((1, 0)))
        if n_directions == 0 or len(scores) < _FEWEST_QUERIES or scores.shape[1] < 2:  # noqa: PLR2004  # a choice
            return empty, empty.vectors(features)
        seen = empty.seen(features)
        targets = filled(scores)
        coefficients = ridge_coefficients(seen, targets)
        apart = np.zeros_like(targets)
        order = np.random.default_rng(seed).permutation(len(seen))
        for fold in range(_FOLDS):
            held = order[fold::_FOLDS]
            kept = np.setdiff1d(order, held)
            apart[held] = affine(seen[held], ridge_coefficients(seen[kept], targets[kept]))
        mean = apart.mean(axis=0)
        axes = np.linalg.svd(apart - mean, full_matrices=False)[2][:n_directions].T
        size = np.sqrt(((apart - mean) @ axes).var(axis=0).sum())
        axes = axes * (_DIRECTION_WEIGHT / max(float(size), 1e-9))
        directions = coefficients @ axes
        directions[-1] -= mean @ axes
        view = cls(centre, spread, directions)
        return view, np.hstack([view._plain(features), (apart - mean) @ axes])

    def vectors(self, features: QueryFeatures, seen: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the vectors of some queries, shape [n_queries, dimension].

        Args:
            features: the features of the queries.
            seen: the result of `seen`, if already computed; it may be short.
        """
        if not self.directions.shape[1]:
            return self._plain(features)
        seen = self.seen(features) if seen is None else seen
        shape = seen[:, -len(self.centre) :] * (_SHAPE_WEIGHT / _SEEN_SHAPE_WEIGHT)  # a half, so that it is exact
        return self._plain(features, shape, products(seen, self.directions, self._short_directions))

    @cached_property
    def _short_directions(self) -> NDArray[np.float64] | None:
        return without_context(self.directions)

    def dimension(self, encoded: int) -> int:
        """Return the length of its vectors, given the length of the encoder's vectors."""
        return int(2 * encoded + 2 + len(self.centre) + self.directions.shape[1])

    def n_seen(self, encoded: int) -> int:
        """Return the number of features, given the length of the encoder's vectors."""
        return int(4 * encoded + 2 + len(self.centre))

    def _shape(self, features: QueryFeatures, weight: float) -> NDArray[np.float64]:
        deviations = (features.shape - self.centre) / self._divisor
        return weight * np.minimum(np.maximum(deviations, -_MOST_DEVIATIONS), _MOST_DEVIATIONS)

    @cached_property
    def _divisor(self) -> NDArray[np.float64]:
        return np.where(self.spread > 0, self.spread, np.inf)

    def _plain(self, features: QueryFeatures, *known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the vectors, given the weighted shape and the directions; without them, those without directions."""
        known = known or (self._shape(features, _SHAPE_WEIGHT),)
        fit, items = _FIT_WEIGHT * features.fit, _COUNT_WEIGHT * features.items
        return np.concatenate([features.text, features.context, fit, items, *known], axis=1)

    def seen(self, features: QueryFeatures, *, short: bool = False) -> NDArray[np.float64]:
        """Return all features from which outcomes are predicted, shape [n_queries, n_seen].

        Args:
            features: the features of the queries.
            short: whether to leave out most of those of the context if no query has one, as they are zero; see
                `products`. There are then fewer numbers, by three times those of the encoder's vectors.
        """
        # Weights give the parts similar lengths, so that one penalty suits all.
        text, shape = features.text, self._shape(features, _SEEN_SHAPE_WEIGHT)
        if short and not features.has_context and not text.shape[1] % _GROUP:
            return np.concatenate([text, features.fit, features.items, shape], axis=1)
        both = [8.0 * text * features.best, 3.0 * np.abs(text - features.best) * (features.items > 0)]
        ones = [3.0 * features.fit, 0.3 * features.items]
        return np.concatenate([text, features.context, *both, *ones, shape], axis=1)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Featurizer:
        """Rebuild a view from the result of `arrays`."""
        return cls(arrays["view_centre"], arrays["view_spread"], arrays["view_directions"])

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the learned arrays by name, for saving."""
        return {"view_centre": self.centre, "view_spread": self.spread, "view_directions": self.directions}


def context_items(context: str | None) -> list[str]:
    """Split a context into items that can be compared with a query: functions, documents, or the whole text.

    Each entry of a JSON list becomes one item, by its name and description if it has them.
    """
    if not context or not context.strip():
        return []
    try:
        value = json.loads(context)
        entries = value if isinstance(value, list) else [value]
        texts = [_item_text(entry) for entry in entries[:_MOST_ITEMS]]
    except (ValueError, RecursionError):
        texts = [context]
    # JSON may escape an unpaired surrogate, which tokenizers refuse.
    whole = (text.strip()[:_LONGEST_ITEM].encode("utf-8", "replace").decode() for text in texts)
    return [text for text in whole if text]


def _item_text(entry: Any) -> str:
    if isinstance(entry, dict):
        inner: dict[str, Any] = entry["function"] if isinstance(entry.get("function"), dict) else entry
        named = [str(inner[key]) for key in ("name", "description") if inner.get(key)]
        return ": ".join(named) if named else json.dumps(entry, ensure_ascii=False)
    return entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)


def shape_of(text: str) -> list[float]:
    """Return the numbers about the shape of a text, in the order of `SHAPE_FEATURES`."""
    words, length = len(text.split()), max(len(text), 1)
    symbols = len(text) - _count(text, str.isalnum) - _count(text, str.isspace)
    capitals = _count(text, str.isupper)
    counts = (len(text), words, len(_NUMBERS.findall(text)), text.count("\n"), len(_ENDS.findall(text)))
    return [*map(math.log1p, counts), 10 * capitals / length, 10 * symbols / length, length / max(words, 1) / 3]


def _count(text: str, is_one: Callable[[str], bool]) -> int:
    """Return how many characters of a text are of a kind."""
    if not text.isascii():
        return sum(map(is_one, text))
    return len(text) - len(text.encode().translate(None, _ascii(is_one)))


@cache
def _ascii(is_one: Callable[[str], bool]) -> bytes:
    """Return the ASCII characters of a kind."""
    return bytes(code for code in range(128) if is_one(chr(code)))


def filled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill missing outcomes with what the pair's level and the query's ease lead to expect; see `Effects`.

    Scores and result have shape [n_queries, n_pairs].
    """
    known = ~np.isnan(scores)
    if known.all():
        return scores.astype(np.float64)
    effects = Effects.of(scores)
    return np.where(known, scores, effects.level + effects.ease[:, None])


def affine(seen: NDArray[Any], coefficients: NDArray[Any]) -> NDArray[Any]:
    """Return ``seen @ coefficients``, with the last row of the coefficients as the intercept.

    Features of shape [n, n_features] give [n, n_pairs].
    """
    products: NDArray[Any] = product(seen, coefficients[:-1]) + coefficients[-1]
    return products


def products(seen: NDArray[Any], coefficients: NDArray[Any], short: NDArray[Any] | None) -> NDArray[Any]:
    """Return what `affine` does, also for features that are short.

    Args:
        seen: features from a `Featurizer`, shape [n_queries, n_seen], or fewer if they are short.
        coefficients: shape [n_seen + 1, n].
        short: the result of `without_context` for these coefficients.
    """
    return affine(seen, coefficients if short is None or seen.shape[1] + 1 != len(short) else short)


def without_context(coefficients: NDArray[Any]) -> NDArray[Any] | None:
    """Return the coefficients of short features, see `Featurizer.seen`; None for uncommon encoders.

    A query without context has zeros in the features that are left out. Sums without them are the same to the last bit,
    because vectors of a multiple of 32 numbers are added up in the same groups. Shape [n_features + 1, n_pairs], with
    fewer features.
    """
    text, left = divmod(len(coefficients) - 1 - _ONES, 4)
    if left or text % _GROUP or not text:
        return None
    return np.concatenate([coefficients[:text], coefficients[4 * text :]])


def ridge_coefficients(
    seen: NDArray[np.float64], targets: NDArray[np.float64], penalty: float = _RIDGE
) -> NDArray[np.float64]:
    """Return the coefficients of a ridge regression, shape [n_seen + 1, n_targets]; the last row is the intercept."""
    from sklearn.linear_model import Ridge

    model = Ridge(penalty).fit(seen, targets)
    coefficients: NDArray[np.float64] = np.vstack(
        [np.atleast_2d(model.coef_).T, model.intercept_]
    )  # a single target gives a flat array
    return coefficients
