"""Products of matrices that are too small for several threads.

BLAS spreads a product over its threads from a few hundred thousand multiplications on, which take a tenth of a
millisecond. On a machine with other work it then waits for a thread to get its turn on a processor, which takes several
milliseconds; and its threads, which wait for more work in a loop, hold up the encoder's.
"""

from __future__ import annotations

import importlib.util
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_FEW, _MANY = 200_000, 2_000_000
"""Multiplications up to which BLAS takes one thread by itself, and from which on several are worth waiting for."""
_STEP = 8
"""Parts hold a multiple of so many rows or columns, as BLAS takes them together."""
_LIMITING = threading.Lock()
"""Held by the block that has BLAS take one thread."""


def product(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Return ``left @ right``, on one thread unless it is large; made in parts, so that no setting has to change.

    Args:
        left: shape [..., n, m].
        right: shape [m, k].
    """
    n_columns, length = right.shape[1], left.shape[-1]
    n_rows = left.size // max(1, length)
    if not _FEW < n_rows * length * n_columns < _MANY:
        whole: NDArray[Any] = left @ right
        return whole
    rows, columns = n_rows, n_columns
    while rows * length * columns > _FEW and max(rows, columns) > _STEP:
        if rows > columns:
            rows = _half(rows)
        else:
            columns = _half(columns)
    flat = left.reshape(n_rows, length)
    made = np.empty((n_rows, n_columns), np.result_type(left, right))
    for row in range(0, n_rows, rows):
        for column in range(0, n_columns, columns):
            part = flat[row : row + rows] @ right[:, column : column + columns]
            made[row : row + rows, column : column + columns] = part
    return made.reshape(*left.shape[:-1], n_columns)


def _half(size: int) -> int:
    """Return about half of a number of rows or columns, as a multiple of a step."""
    return max(1, -(-size // (2 * _STEP))) * _STEP


@contextmanager
def one_thread() -> Iterator[None]:
    """Have BLAS take one thread in the block, for work of many products; afterwards it has as many as before.

    A block within another, or beside one in another thread, changes nothing: BLAS heeds only the thread that changed it
    when it is to be as before. Nor does one without threadpoolctl, which scikit-learn brings.
    """
    if not _LIMITING.acquire(blocking=False):
        yield
        return
    try:
        with ExitStack() as limits:
            if importlib.util.find_spec("threadpoolctl") is not None:
                limits.enter_context(importlib.import_module("threadpoolctl").threadpool_limits(1, user_api="blas"))
            yield
    finally:
        _LIMITING.release()
