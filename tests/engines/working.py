"""Work for the machines of a cluster; their processes import it by this name."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.encoders import Encoder
from langchain_atlas.errors import OutcomeError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def times(shared: int, unit: int) -> int:
    return shared * unit


def where(seconds: float, unit: int) -> tuple[int, int]:
    """Return the unit and the process, after a while."""
    time.sleep(seconds)
    return unit, os.getpid()


def fail_at(shared: int, unit: int) -> int:
    if unit == shared:
        raise OutcomeError(f"unit {unit!r} is bad; give another.")
    return unit


class BadNumberError(Exception):
    """Can't be made again from its message."""

    def __init__(self, number: int, *, why: str) -> None:
        super().__init__(f"{number}: {why}")
        self.number = number


def fail_oddly(shared: int, unit: int) -> int:
    raise BadNumberError(unit, why="odd")


def write_into(shared: NDArray[np.float64], unit: int) -> float:
    """Use a copy of an array in place, as some libraries do."""
    shared[unit] += 0.0
    return float(shared[unit])


def leave_marks(folder: str, unit: int) -> int:
    """Say that it began, wait, and say that it ended."""
    Path(folder, f"began-{unit}").touch()
    time.sleep(30)
    Path(folder, f"ended-{unit}").touch()
    return unit


class LengthEncoder(Encoder):
    """Vectors from a text's letters; counts what this process has encoded."""

    _travels = True
    encoded = 0

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        type(self).encoded += len(texts)
        letters: Any = [[len(text), sum(map(ord, text)) % 97, 1.0] for text in texts]
        return np.array(letters, dtype=np.float32)
