"""The base of all encoders: vectors of length one, a bounded cache, and telling one encoder from another."""

from __future__ import annotations

import copy
import platform
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.encoders.cache import current_cache
from langchain_atlas.engines import current_engine
from langchain_atlas.errors import ArtifactError, SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_PROBE = "Which model, and which tool, for this query?"
_PROBE_COORDINATES = 16
_PROBE_TOLERANCE = 0.02
_PART = 1024
"""Texts that a machine of a cluster encodes at a time; fewer than two such parts are encoded here."""


class Encoder(ABC):
    """Turns texts into vectors of length one, and caches the most recent ones.

    Args:
        name: its name in saved routers.
        cache_size: number of texts to cache; 0 turns the cache off.

    Raises:
        SettingError: `cache_size` is negative.
    """

    calls_out: bool = False
    """Whether texts leave this process, as for a service; it then encodes a private query only if it may see it."""
    _travels = False
    """Whether other machines can make the same vectors with a copy that is sent there."""

    def __init__(self, name: str, cache_size: int = 10_000) -> None:
        if cache_size < 0:
            raise SettingError(f"cache_size is {cache_size!r}; it must be 0 or more.")
        self.name = name
        self._cache_size = cache_size
        self._cache: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()
        self._disk = current_cache()

    def find(self) -> None:  # noqa: B027  # one that is given as an object is there
        """Check that the encoder is available; call it before long work. Loads nothing.

        Raises:
            SettingError: it is not available.
        """

    @abstractmethod
    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Encode texts, shape [n, dimension]; rows may have any length."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts.

        Args:
            texts: at least one text.

        Returns:
            Shape [n, dimension], each row of length one.
        """
        with self._lock:
            known = {text: self._cache[text] for text in texts if text in self._cache}
            for text in known:
                self._cache.move_to_end(text)
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        if fresh:
            vectors = self._read_or_encode(fresh)
            self._remember(fresh, vectors)
            if len(fresh) == len(texts):
                return vectors
            known.update(zip(fresh, vectors, strict=True))
        return np.stack([known[text] for text in texts])

    def _cache_key(self) -> str | None:
        """Return what tells this encoder's vectors on disk from others'; None if they may not be kept there."""
        return None

    def _read_or_encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return vectors of length one, shape [n, dimension]; those on disk are read, the others encoded and kept."""
        key = None if self._disk is None else self._cache_key()
        if self._disk is None or key is None:
            return _unit(self._encode_anywhere(texts))
        known = self._disk.read(key, texts)
        fresh = [text for text in texts if text not in known]
        if fresh:
            vectors = _unit(self._encode_anywhere(fresh))
            known.update(zip(fresh, vectors, strict=True))
            self._disk.keep(key, fresh, vectors)
        return np.stack([known[text] for text in texts])

    def _encode_anywhere(self, texts: list[str]) -> NDArray[np.float32]:
        """Encode texts with the engine in use, shape [n, dimension]; few ones here."""
        engine = current_engine()
        if engine.is_local or not self._travels or len(texts) < 2 * _PART:
            return self._encode(texts)
        bare = copy.copy(self)
        bare._cache = OrderedDict()  # noqa: SLF001  # of its own class
        parts = [texts[at : at + _PART] for at in range(0, len(texts), _PART)]
        return np.concatenate(engine.map(_encode_part, (bare, self._cache_key()), parts))

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process needs: the vectors known here, but not where they are on disk."""
        return self.__dict__ | {"_disk": None}

    def _remember(self, texts: list[str], vectors: NDArray[np.float32]) -> None:
        with self._lock:
            start = max(0, len(texts) - self._cache_size)
            for text, vector in zip(texts[start:], vectors[start:], strict=True):
                self._cache[text] = vector.copy()  # a separate copy, so that the batch can be freed
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)

    @cached_property
    def fingerprint(self) -> tuple[float, ...]:
        """A few coordinates of a fixed text's vector: they differ between encoders, but not between machines."""
        return self._coordinates()

    def _coordinates(self) -> tuple[float, ...]:
        vector = self.encode([_PROBE])[0]
        return tuple(round(float(value), 4) for value in vector[:_PROBE_COORDINATES])

    @cached_property
    def dimension(self) -> int:
        """Length of the vectors."""
        return int(self.encode([_PROBE]).shape[1])

    def identity(self) -> dict[str, Any]:
        """Return what a saved router records of its encoder; pass it to `check`."""
        return {"name": self.name, "dimension": self.dimension, "fingerprint": list(self.fingerprint)}

    def check(self, name: str, dimension: int, fingerprint: Sequence[float]) -> None:
        """Check that some vectors were made with this encoder.

        Raises:
            ArtifactError: they were made with another one.
        """
        if self.dimension != dimension:
            raise ArtifactError(
                f"The router was fitted with encoder {name!r} ({dimension} dimensions), but encoder {self.name!r} has "
                f"{self.dimension}. Use the encoder it was fitted with, or fit again."
            )
        distance = np.abs(np.subtract(self.fingerprint, fingerprint[:_PROBE_COORDINATES])).max()
        if not distance < _PROBE_TOLERANCE:
            raise ArtifactError(
                f"The router was fitted with encoder {name!r}, but encoder {self.name!r} gives other vectors (they "
                f"differ by {distance:.3f} on a probe text). Use the encoder it was fitted with, or fit again."
            )


def _encode_part(shared: tuple[Encoder, str | None], texts: list[str]) -> NDArray[np.float32]:
    """Encode texts on some machine.

    Raises:
        SettingError: its encoder gives other vectors than the one that was sent.
    """
    encoder, key = shared
    if encoder._cache_key() != key:  # noqa: SLF001  # of the class above
        raise SettingError(
            f"The encoder {encoder.name!r} is another one on the machine {platform.node()!r}: its files differ, or "
            "only one of the two machines has ONNX Runtime. Install the same on all machines."
        )
    return encoder._encode(texts)  # noqa: SLF001


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.add.reduce(vectors * vectors, axis=1, keepdims=True))
    scaled: NDArray[np.float32] = np.divide(vectors, np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
