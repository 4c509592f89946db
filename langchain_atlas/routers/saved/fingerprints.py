"""Which queries a router learned from, as short hashes that contain no text."""

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
    """Return what identifies a query regardless of its id: text with normalized blanks, and context."""
    return " ".join(query.text.split()), query.context or ""


def fingerprints(queries: Iterable[Query]) -> NDArray[np.uint64]:
    """Return the fingerprint of each query, shape [n_queries]; the same on every machine.

    With 100,000 queries on either side, the chance that two different queries share a fingerprint is below one in a
    thousand million.
    """
    digests = (hashlib.blake2b(json.dumps(identity(query)).encode(), digest_size=_BYTES).digest() for query in queries)
    return np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)


def united(*parts: NDArray[np.uint64] | None) -> NDArray[np.uint64] | None:
    """Return the distinct fingerprints of all parts, ascending, shape [n]; None if that of a part is unknown."""
    known = [part for part in parts if part is not None]
    return np.unique(np.concatenate(known)) if known and len(known) == len(parts) else None
