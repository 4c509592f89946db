"""The kinds of router: what `fit` makes, what it measures, and what a saved folder may hold, in one place."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_atlas.routers.base import Router


@dataclass(frozen=True)
class Kind:
    """One kind of router."""

    home: str
    """Where its class is, as ``module:class``."""
    fitted: bool = False
    """Whether `fit` makes it."""
    measured: bool = False
    """Whether `fit` measures it at many settings; the others take longer to fit than that is worth."""
    has_clusters: bool = False
    """Whether the number of its clusters can be chosen."""
    brings_encoder: bool = False
    """Whether it fine-tunes an encoder of its own."""


KINDS: dict[str, Kind] = {
    "cluster": Kind("langchain_atlas.routers.cluster:ClusterRouter", fitted=True, measured=True, has_clusters=True),
    "knn": Kind("langchain_atlas.routers.neighbours:NeighbourRouter", fitted=True, measured=True),
    "linear": Kind("langchain_atlas.routers.linear:LinearRouter", fitted=True, measured=True),
    "mlp": Kind("langchain_atlas.routers.perceptron:PerceptronRouter", fitted=True),
    "matrix_factorization": Kind("langchain_atlas.routers.factorization:FactorizationRouter", fitted=True),
    "routerdc": Kind("langchain_atlas.routers.contrastive:ContrastiveRouter", fitted=True),
    "bert": Kind("langchain_atlas.routers.classifier:ClassifierRouter", fitted=True, brings_encoder=True),
    "dual": Kind("langchain_atlas.routers.dual:DualRouter", fitted=True),
    "rl": Kind("langchain_atlas.routers.rl:RLRouter"),
    "random": Kind("langchain_atlas.routers.baselines:RandomRouter"),
    "single": Kind("langchain_atlas.routers.baselines:SinglePairRouter"),
}
"""The kinds, by name: that of the class's `kind`, and of its file among the learned ones."""

ALIASES = {"mf": "matrix_factorization"}
"""Short names that `fit` takes too."""

FITTED = tuple(name for name, kind in KINDS.items() if kind.fitted)
"""Kinds that `fit` makes."""

MEASURED = tuple(name for name, kind in KINDS.items() if kind.measured)
"""Kinds that `fit` measures at many settings."""


def class_of(kind: str) -> type[Router]:
    """Return the class of a kind of router; it is imported now."""
    module, _, name = KINDS[kind].home.partition(":")
    found: type[Router] = getattr(importlib.import_module(module), name)
    return found
