"""One thread for small tensors: several would wait for each other, and for those of other libraries."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which OpenMP, and so torch, works in the calling thread alone.

    Each thread has a setting of its own, which is restored at the end: other threads, and what the user has set, do not
    change.
    """
    controller = _openmp()
    return nullcontext() if controller is None else controller.limit(limits=1)


@cache
def _openmp() -> Any:
    """Find the OpenMP libraries that are loaded; once, as that takes as long as a decision."""
    import torch  # noqa: F401  # loads its own

    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="openmp")
