"""What the arrays of a saved router must look like: type, shape, and whether a value may be unknown.

A checksum shows that a file was not changed, not that this package wrote it. A router with a NaN in it decides at
random, and one with an array of the wrong size fails at the first query; both are refused at loading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_atlas.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np

    from langchain_atlas.routers.saved.artifact import Artifact

_NAMED = ("styles", "domains")
"""Arrays of a memory that contain indices of names; the facts contain the names."""

_FREE = ("training",)
"""Facts that are only displayed, and may contain unknown values."""


@dataclass(frozen=True)
class Layout:
    """The layout of one array."""

    sizes: tuple[str | int, ...]
    """Its shape: numbers, or names of sizes that are the same in all arrays of a router."""
    numbers: Literal["real", "whole"] = "real"
    """Its type of number."""
    unknown: bool = False
    """Whether it may contain NaN, for unknown."""
    low: float = -math.inf
    """The smallest valid number."""
    infinite: bool = False
    """Whether it may contain infinity."""
    optional: bool = False
    """Whether a router of the kind may lack it."""


def _sums(prefix: str, rows: str | int) -> dict[str, Layout]:
    names = ("count", "success", "cost", "cost_count", "latency", "latency_count")
    return {prefix + name: Layout((rows, "pairs"), low=0.0) for name in names}


_RECORDS = _sums("records.", 1)
_OUTCOMES = {name: Layout(("queries", "pairs"), unknown=True) for name in ("scores", "costs", "latencies")}
_VIEW = {
    "view_centre": Layout(("traits",), optional=True),
    "view_spread": Layout(("traits",), optional=True),
    "view_directions": Layout(("seen by directions", "directions"), optional=True),
}
_PAIRWISE = {f"record.{name}": Layout(("pairs", "pairs")) for name in ("rescue", "if_agreed", "if_differed")}
_EACH = {f"record.{name}": Layout(("pairs",)) for name in ("success", "count", "worst", "by_model", "by_tool")}

LAYOUTS: dict[str, dict[str, Layout]] = {
    "cluster": {
        "centres": Layout(("rows", "seen")),
        "forest_thresholds": Layout(("nodes",), infinite=True, optional=True),  # infinity marks a leaf
        "paired_count": Layout(("rows", "pairs"), low=0.0),
        "paired_total": Layout(("rows", "pairs")),
        "paired_squares": Layout(("rows", "pairs"), low=0.0),
        **_sums("", "rows"),
        **_VIEW,
    },
    "knn": {"vectors": Layout(("queries", "dimension")), **_OUTCOMES, **_RECORDS},
    "linear": {"weights": Layout(("dimension", "pairs")), "biases": Layout(("pairs",)), **_RECORDS},
    "mlp": {
        "hidden_weights": Layout(("dimension", "hidden")),
        "hidden_biases": Layout(("hidden",)),
        "weights": Layout(("hidden", "pairs")),
        "biases": Layout(("pairs",)),
        **_RECORDS,
    },
    "matrix_factorization": {
        "pair_vectors": Layout(("pairs", "factors")),
        "projection": Layout(("dimension", "factors")),
        "offset": Layout(("factors",)),
        "classifier": Layout(("factors",)),
        "bias": Layout((1,)),
        **_RECORDS,
    },
    "routerdc": {
        "pair_vectors": Layout(("pairs", "turned")),
        "projection": Layout(("dimension", "turned"), optional=True),  # a fine-tuned encoder needs none
        "offset": Layout(("turned",), optional=True),
        **_RECORDS,
    },
    "graph": {
        "projection": Layout(("dimension", "hidden")),
        "offset": Layout(("hidden",)),
        "task_centres": Layout(("tasks", "dimension")),
        "task_vectors": Layout(("tasks", "hidden")),
        "task_scores": Layout(("tasks", "pairs")),
        "pair_vectors": Layout(("pairs", "hidden")),
        "biases": Layout(("pairs",)),
        **_RECORDS,
    },
    "bert": {"weights": Layout(("hidden", "pairs")), "biases": Layout(("pairs",)), **_RECORDS},
    "few_shot": {
        "vectors": Layout(("queries", "dimension")),
        "right": Layout(("queries", "pairs"), "whole", low=0),
        "costs": Layout(("pairs",), infinite=True, low=0.0),
    },
    "rl": {
        "memory.vectors": Layout(("queries", "seen")),
        **{f"memory.{name}": layout for name, layout in _OUTCOMES.items()},
        "memory.groups": Layout(("queries", "pairs"), "whole"),
        "memory.styles": Layout(("queries", "pairs"), "whole", low=-1),
        "memory.verdicts": Layout(("queries", "pairs"), "whole", low=-1, optional=True),
        "record.by_verdict": Layout(("pairs", 3), optional=True),
        "memory.domains": Layout(("queries",), "whole", low=0),
        "record.by_style": Layout(("pairs", "styles and none")),
        "record.cost": Layout(("pairs",), unknown=True),
        "record.latency": Layout(("pairs",), unknown=True),
        "descriptions": Layout(("pairs", "dimension")),
        **_PAIRWISE,
        **_EACH,
        **_VIEW,
    },
}
"""The arrays of each kind of router; any other array only has to be numeric."""


def check_layout(artifact: Artifact) -> None:
    """Check that the contents of a saved router are consistent.

    Raises:
        ArtifactError: a number is not finite, a size does not match the others, or a value has the wrong type; the
            message says which.
    """
    _check_config(artifact)
    for kind, pairs, facts, arrays in _parts(artifact):
        sizes = {"pairs": pairs}
        if artifact.encoder is not None:
            sizes["dimension"] = artifact.encoder["dimension"]
        if kind == "rl" and "styles" in facts:
            sizes["styles"] = len(facts["styles"])
            sizes["styles and none"] = sizes["styles"] + 1
            _check_policy(facts, arrays)
        layouts = LAYOUTS.get(kind, {})
        for name, layout in layouts.items():
            if name not in arrays and not (layout.optional and _may_lack(kind, facts)):
                raise _wrong(f"it has no array {name!r}")
        for name in sorted(arrays):
            _check_array(name, arrays[name], layouts.get(name), sizes)
        _check_view(arrays, sizes)
        for name in _NAMED if kind == "rl" else ():
            numbers, known = arrays[f"memory.{name}"], len(facts[name])
            if numbers.size and numbers.max() >= known:
                raise _wrong(f"its array 'memory.{name}' holds {numbers.max()}, and it knows {known} {name}")
    fitted = artifact.fitted_on
    if fitted is not None and (fitted.dtype.kind not in "iu" or fitted.ndim != 1):
        raise _wrong(f"'fitted_on' holds {fitted.dtype} of shape {fitted.shape}; it must be a list of whole numbers")


def _parts(artifact: Artifact) -> Iterator[tuple[str, int, Mapping[str, Any], dict[str, np.ndarray[Any, Any]]]]:
    """Yield kind, number of pairs, facts and arrays of a router, or of each of its parts."""
    told = artifact.facts.get("parts")
    if not isinstance(told, dict):
        yield artifact.kind, len(artifact.pairs), artifact.facts, artifact.arrays
        return
    for prefix, part in told.items():
        if (
            not isinstance(part, dict)
            or not isinstance(part.get("pairs"), list)
            or not isinstance(part.get("facts"), dict)
        ):
            raise _wrong(f"its part {prefix!r} is not described by kind, pairs, settings and facts")
        under = {name.removeprefix(prefix): array for name, array in artifact.arrays.items() if name.startswith(prefix)}
        yield str(part.get("kind")), len(part["pairs"]), part["facts"], under


def _check_array(name: str, array: np.ndarray[Any, Any], layout: Layout | None, sizes: dict[str, int]) -> None:
    import numpy as np

    real = array.dtype in (np.float32, np.float64)
    if not real and array.dtype.kind not in "iub":
        raise _wrong(f"its array {name!r} holds {array.dtype}; it must hold numbers of 32 or 64 bits")
    if layout is not None and real != (layout.numbers == "real"):
        raise _wrong(f"its array {name!r} holds {array.dtype}; it must hold {layout.numbers} numbers")
    if layout is not None:
        _check_shape(name, array.shape, layout.sizes, sizes)
    fine = np.isfinite(array)
    if layout is not None and real:
        fine |= (np.isnan(array) & layout.unknown) | (np.isinf(array) & layout.infinite)
    if real and not fine.all():
        raise _wrong(f"its array {name!r} holds {'infinity' if np.isinf(array).any() else 'NaN'}")
    if layout is not None and (array < layout.low).any():
        raise _wrong(f"its array {name!r} holds {array.min()}; the smallest that makes sense is {layout.low:g}")


def _check_shape(name: str, shape: tuple[int, ...], wanted: tuple[str | int, ...], sizes: dict[str, int]) -> None:
    known = tuple(size if isinstance(size, int) else sizes.get(size) for size in wanted)
    if len(shape) != len(wanted) or any(need not in {None, size} for need, size in zip(known, shape, strict=True)):
        need = ", ".join(
            f"{size} {label}" if size is not None else f"any {label}" for size, label in zip(known, wanted, strict=True)
        )
        raise _wrong(f"its array {name!r} has the shape {shape}; it must be ({need})")
    for label, size in zip(wanted, shape, strict=True):
        if isinstance(label, str):
            sizes.setdefault(label, size)


def _may_lack(kind: str, facts: Mapping[str, Any]) -> bool:
    """Whether a router may lack the optional arrays; one that projects vectors needs its projection."""
    return kind != "routerdc" or bool(facts["parameters"].get("fine_tune"))


def _check_view(arrays: Mapping[str, np.ndarray[Any, Any]], sizes: Mapping[str, int]) -> None:
    """Compare the arrays of a view with the encoder's vectors and the features of a text's shape."""
    from langchain_atlas.query_features import Featurizer, shape_of

    if not {"view_centre", "view_spread", "view_directions"} <= set(arrays) or "dimension" not in sizes:
        return
    view, traits = Featurizer.from_arrays(arrays), len(shape_of(""))
    if len(view.centre) != traits:
        raise _wrong(f"its array 'view_centre' has {len(view.centre)} numbers; a text's shape has {traits}")
    if view.directions.shape[1] and len(view.directions) != view.n_seen(sizes["dimension"]) + 1:
        raise _wrong(
            f"its array 'view_directions' has the shape {view.directions.shape}, and a query is seen by others"
        )
    if "seen" in sizes and sizes["seen"] != view.dimension(sizes["dimension"]):
        raise _wrong(f"it remembers vectors of {sizes['seen']} numbers, and sees {view.dimension(sizes['dimension'])}")


def _check_policy(facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Compare the configured width of a network with its weights, before memory is allocated for it."""
    width, bias = facts["policy"]["width"], arrays["policy.belief.0.bias"]
    if bias.shape != (width,):
        raise _wrong(f"its policy is {width!r} wide, and its weights are of the shape {bias.shape}")


def _check_config(artifact: Artifact) -> None:
    for name, value in (("settings", artifact.settings), ("facts", artifact.facts)):
        if not isinstance(value, dict):
            raise _wrong(f"{name!r} holds {str(value)[:60]!r}; it must hold values by name")
        _check_finite(name, {key: inner for key, inner in value.items() if key not in _FREE})
    if not artifact.pairs or len(set(artifact.pairs)) < len(artifact.pairs):
        raise _wrong("it names no pair" if not artifact.pairs else "it names a pair twice")
    encoder = artifact.encoder
    if encoder is not None:
        dimension = encoder.get("dimension") if isinstance(encoder, dict) else None
        if not isinstance(dimension, int) or isinstance(dimension, bool) or dimension < 1:
            raise _wrong(f"'encoder' holds {str(encoder)[:60]!r}; it must hold a name, a dimension and a fingerprint")
    sizes = artifact.facts.get("sizes", [1])
    if not isinstance(sizes, list) or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise _wrong(f"'sizes' holds {str(sizes)[:60]!r}; it must hold whole numbers from 1")


def _check_finite(where: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(f"{where!r} holds {value}; numbers must be finite")
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        if key not in _FREE:
            _check_finite(f"{where}.{key}", part)


def _wrong(problem: str) -> ArtifactError:
    return ArtifactError(problem)
