"""Chances as logits, never beyond what a few outcomes can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGE = 0.02
"""Chances are kept this far from 0 and 1."""


def logit(chances: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return chances as logits."""
    inside = np.clip(chances, EDGE, 1 - EDGE)
    return np.asarray(np.log(inside / (1 - inside)), dtype=np.float32)


def chance(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits as chances."""
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)
