"""Which queries a router learned from, as short hashes that hold no text."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from langchain_atlas.trajectory import Query

_BYTES = 8


def identity(query: Query) -> tuple[str, str]:
    """Return what makes two queries the same whatever their ids: text, blanks evened out, and context."""
    return " ".join(query.text.split()), query.context or ""


def fingerprints(queries: Iterable[Query]) -> NDArray[np.uint64]:
    """Return the fingerprint of each query, shape [n_queries]; the same on every machine.

    With 100 000 queries on either side, two that differ have a common fingerprint with a chance below one in a
    thousand million.
    """
    digests = (hashlib.blake2b(json.dumps(identity(query)).encode(), digest_size=_BYTES).digest() for query in queries)
    return np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)


def united(*parts: NDArray[np.uint64] | None) -> NDArray[np.uint64] | None:
    """Return the fingerprints of all parts, ascending, each once; None, for unknown, when one part is."""
    known = [part for part in parts if part is not None]
    return np.unique(np.concatenate(known)) if known and len(known) == len(parts) else None
