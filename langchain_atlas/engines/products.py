"""Products of matrices that are too small for several threads.

BLAS spreads a product over its threads from a few hundred thousand multiplications on, which take a tenth of a
millisecond. On a machine with other work, it then waits for a thread to get its turn on a processor: several
milliseconds. How many threads the process has set stays as it is, because a product in parts never gets that large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW, _MANY = 200_000, 4_000_000
"""Multiplications up to which BLAS takes one thread by itself, and from which on several are worth waiting for."""
_STEP = 16
"""Parts hold a multiple of so many rows or columns, as BLAS takes them together."""


def product(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Return ``left @ right``, on one thread unless the product is large.

    Args:
        left: shape [..., n, m].
        right: shape [m, k].
    """
    each = left.shape[-1] * right.shape[-1]
    work = left.shape[-2] * each
    if not _FEW < work < _MANY:
        return left @ right
    if left.shape[-2] > _STEP:
        size = _size(each)
        rows = range(0, left.shape[-2], size)
        return np.concatenate([left[..., row : row + size, :] @ right for row in rows], axis=-2)
    size = _size(left.shape[-2] * left.shape[-1])
    columns = range(0, right.shape[-1], size)
    return np.concatenate([left @ right[:, column : column + size] for column in columns], axis=-1)


def _size(each: int) -> int:
    """Return how many rows or columns a part holds, if each of them takes so many multiplications."""
    return max(1, _FEW // each // _STEP) * _STEP
