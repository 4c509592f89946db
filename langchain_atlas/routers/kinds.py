"""The kinds of router: which ones `fit` makes and measures, and which a saved folder may contain, in one place."""

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
    """Import path of its class, as ``module:class``."""
    fitted: bool = False
    """Whether `fit` makes it."""
    measured: bool = False
    """Whether `fit` measures it at many settings, which requires that twenty fits take minutes."""
    has_clusters: bool = False
    """Whether the number of its clusters is configurable."""
    brings_encoder: bool = False
    """Whether it fine-tunes its own encoder."""


_HOME = "langchain_atlas.routers."

KINDS: dict[str, Kind] = {
    "cluster": Kind(_HOME + "cluster.router:ClusterRouter", fitted=True, measured=True, has_clusters=True),
    "knn": Kind(_HOME + "learned.knn:KNNRouter", fitted=True, measured=True),
    "linear": Kind(_HOME + "learned.linear:LinearRouter", fitted=True, measured=True),
    "mlp": Kind(_HOME + "learned.mlp:MLPRouter", fitted=True, measured=True),
    "matrix_factorization": Kind(
        "langchain_atlas.routers.learned.matrix_factorization:MatrixFactorizationRouter", fitted=True, measured=True
    ),
    "routerdc": Kind(_HOME + "learned.routerdc:RouterDCRouter", fitted=True, measured=True),
    "graph": Kind(_HOME + "learned.graph:GraphRouter", fitted=True, measured=True),
    "bert": Kind(_HOME + "learned.bert:BertRouter", fitted=True, brings_encoder=True),
    "dual": Kind(_HOME + "dual:DualRouter", fitted=True),
    "rl": Kind(_HOME + "policy.router:RLRouter"),
    "random": Kind(_HOME + "baselines:RandomRouter"),
    "zero_shot": Kind(_HOME + "prompted.choosing:ZeroShotRouter"),
    "few_shot": Kind(_HOME + "prompted.choosing:FewShotRouter"),
    "prompted": Kind(_HOME + "prompted.router:PromptedRouter"),
    "single": Kind(_HOME + "baselines:SinglePairRouter"),
}
"""The kinds, by name: the class's `kind`, which is also the file name of a learned router."""

ALIASES = {"mf": "matrix_factorization"}
"""Short names that `fit` accepts too."""

FITTED = tuple(name for name, kind in KINDS.items() if kind.fitted)
"""Kinds that `fit` makes."""

MEASURED = tuple(name for name, kind in KINDS.items() if kind.measured)
"""Kinds that `fit` measures at many settings."""


def class_of(kind: str) -> type[Router]:
    """Import and return the class of a kind of router."""
    module, _, name = KINDS[kind].home.partition(":")
    found: type[Router] = getattr(importlib.import_module(module), name)
    return found
