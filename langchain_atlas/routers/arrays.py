"""One body of formulas for two libraries: the policy learns on torch's tensors, and decides on NumPy's arrays.

torch takes most of NumPy's names and keywords (``axis``, ``keepdims``, ``concatenate``), so formulas are written in
these, over the library of what they are given. What the two name differently is here. A server that decides never
imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import NDArray

Array: TypeAlias = Any
"""A NumPy array or a torch tensor; all arrays of one state are of one library."""


def library_of(values: Array) -> ModuleType:
    """Return the library of an array: NumPy or torch."""
    return np if isinstance(values, np.ndarray) else importlib.import_module("torch")


def numbers(values: Array) -> Array:
    """Return values, such as flags, as 32-bit numbers."""
    library = library_of(values)
    return library.asarray(values, dtype=library.float32)


def constants(values: Sequence[float] | NDArray[np.floating], like: Array) -> Array:
    """Return numbers as an array of the library of another."""
    library = library_of(like)
    return library.asarray(values, dtype=library.float32)


def sigmoid(values: Array) -> Array:
    """Return chances from logits."""
    library = library_of(values)
    return 0.5 * (1.0 + np.tanh(0.5 * values)) if library is np else library.sigmoid(values)


def logit(values: Array) -> Array:
    """Return logits from chances between 0 and 1."""
    library = library_of(values)
    return library.log(values / (1.0 - values)) if library is np else library.logit(values)


def taken(values: Array, indices: Array, axis: int) -> Array:
    """Return values at indices along an axis; the other axes are broadcast."""
    library = library_of(values)
    if library is np:
        return np.take_along_axis(values, indices, axis)
    return library.take_along_dim(values, indices, axis)


def highest(values: Array, axis: int) -> Array:
    """Return the highest values along an axis; of equal ones torch passes the gradient to one, which breaks ties."""
    return values.max(axis=axis) if isinstance(values, np.ndarray) else values.max(dim=axis).values


def one_hot(columns: Array, count: int) -> Array:
    """Return where each column is, shape [B, count], for columns of shape [B]."""
    return columns[:, None] == library_of(columns).arange(count)[None]
