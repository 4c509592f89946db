"""Exporting a sentence-transformers model to ONNX, once, and comparing it with the original."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from langchain_atlas.encoders.exports import (
    FACTS,
    MODEL,
    SCHEMA_VERSION,
    TOKENIZER,
    WEIGHTS,
    Export,
    export_folder,
    read_export,
)
from langchain_atlas.encoders.onnx import OnnxModel
from langchain_atlas.encoders.torch_model import TorchModel
from langchain_atlas.encoders.weights import weights_fingerprint
from langchain_atlas.errors import AtlasError, MissingExtraError, SettingError
from langchain_atlas.files import write_folder, write_text, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_LOG = logging.getLogger(__name__)

LEAST_COSINE = {"fp32": 0.999, "int8": 0.9}
"""An export whose vectors differ more than this from the original's, on any text of the check, is refused."""

_OPSET = 17
_ANY_LENGTH = 100_000
_TINY = 1e-12

_CHECKED = (
    "What is 2 + 2?",
    "x",
    "",
    "  Which model,\n\nand which tool,\tfor this query?  ",
    "def total(rows):\n    return sum(row['price'] * row['count'] for row in rows)",
    "Résumé of the naïve café owner: 50 € a day, “quoted”, and so on…",
    "東京からパリまでの最短の飛行時間は何時間ですか。",
    "Погода в Москве завтра 🌧️ или ☀️?",
    '{"name": "get_weather", "parameters": {"type": "object", "required": ["city"]}}',
    "A train leaves at 9:40 and runs at 84 km/h; another leaves the same station at 10:25. When do they meet? " * 4,
    "Summarise the minutes of the meeting, list who promised what, and by when it is due. " * 60,
)
"""Texts of the check: short and long, beyond the model's length, several scripts, code, none at all."""


def export(name: str, source: Path, precision: str) -> Export:
    """Return a model's export, which is made if it is not in the cache folder.

    Of several processes that need it at once one makes it, the others wait. An export that was refused is not tried
    again.

    Args:
        name: the model's name or folder, as it was asked for.
        source: the folder of its files.
        precision: ``"fp32"`` or ``"int8"``.

    Raises:
        MissingExtraError: the packages that export are not installed.
        SettingError: the model can't be exported, or the export gives other vectors than the original.
        WritingError: the cache folder can't be written.
    """
    folder = export_folder(weights_fingerprint(source), precision)
    found = read_export(folder)
    if found is not None:
        return found
    refusal = folder.with_suffix(".refused")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_suffix(".lock"))
        lock.acquire()
    try:
        found = read_export(folder)
        if found is not None:  # another process made it in the meantime
            return found
        if refusal.is_file():
            raise SettingError(f"{refusal.read_text(encoding='utf-8')} To try again, delete {str(refusal)!r}.")
        try:
            return _made(name, source, folder, precision)
        except _RefusedError as error:
            write_text(refusal, str(error))
            raise
    finally:
        lock.release()


class _RefusedError(SettingError):
    """The model can't be exported; trying again would give the same."""


def _made(name: str, source: Path, folder: Path, precision: str) -> Export:
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("Exporting an encoder to ONNX", "onnx")
    original = TorchModel(str(source), attn_implementation="eager")
    made: list[Export] = []

    def fill(place: Path) -> None:
        draft = _write(original, name, place, precision, folder.name.partition("-")[0])
        made.append(_checked(original, draft))
        facts = {**asdict(made[0]), "schema_version": SCHEMA_VERSION}
        del facts["folder"]
        (place / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")

    write_folder(folder, fill)
    export = read_export(folder)
    if export is None:
        raise SettingError(f"The export in {str(folder)!r} can't be read back. Name another folder: ATLAS_CACHE_DIR.")
    _LOG.info("exported the encoder %r (%s): least cosine %.6f", name, precision, export.least_cosine)
    return export


def _write(original: TorchModel, name: str, place: Path, precision: str, weights: str) -> Export:
    """Write network and tokenizer, and return what is known of them; nothing was compared yet.

    Raises:
        _RefusedError: the model can't be exported.
    """
    model = original.model
    try:
        with _quiet():
            inputs = _trace(model, place / MODEL)
            _fuse(model, place / MODEL)
            if precision == "int8":
                _quantize(place / MODEL)
            _separate(place / MODEL)
        (place / TOKENIZER).write_text(model.tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
        length = model.max_seq_length
        return Export(
            folder=place,
            name=name,
            weights=weights,
            precision=precision,
            inputs=inputs,
            max_tokens=int(length) if length and length < _ANY_LENGTH else None,
            pad_id=int(model.tokenizer.pad_token_id or 0),
            prompt=model.prompts.get(model.default_prompt_name or "") or "",
            least_cosine=0.0,
            mean_cosine=0.0,
            model_bytes=(place / MODEL).stat().st_size,
            weights_bytes=(place / WEIGHTS).stat().st_size,
        )
    except OSError:
        raise
    except Exception as error:  # whatever a model of others raises while it is traced
        raise _RefusedError(f"The encoder {name!r} can't be exported to ONNX: {error!r}.") from error


def _trace(model: Any, target: Path) -> tuple[str, ...]:
    import torch

    features = model.preprocess(["Which model, and which tool?", "Why?"])
    inputs = tuple(key for key, value in features.items() if isinstance(value, torch.Tensor))
    others = {key: value for key, value in features.items() if key not in inputs}

    class Embedding(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            return self.model({**dict(zip(inputs, tensors, strict=True)), **others})["sentence_embedding"]

    axes = {key: {0: "texts", 1: "tokens"} for key in inputs}
    torch.onnx.export(
        Embedding().eval(),
        tuple(features[key] for key in inputs),
        str(target),
        input_names=list(inputs),
        output_names=["vectors"],
        dynamic_axes={**axes, "vectors": {0: "texts"}},
        opset_version=_OPSET,
        dynamo=False,  # the other exporter needs one more package
    )
    return inputs


def _fuse(model: Any, target: Path) -> None:
    """Join operations of attention; a network whose form is not known stays as it is."""
    from onnxruntime.transformers import optimizer

    config = model[0].auto_model.config
    if config.model_type != "bert":
        return
    fused = optimizer.optimize_model(
        str(target),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
    )
    fused.save_model_to_file(str(target))


def _quantize(target: Path) -> None:
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(target),
        str(target),
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Attention"],
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )


def _separate(target: Path) -> None:
    """Move the weights to a file of their own."""
    import onnx

    network = onnx.load(str(target))
    onnx.save(network, str(target), save_as_external_data=True, location=WEIGHTS, size_threshold=0)
    (target.parent / WEIGHTS).chmod(target.stat().st_mode)


def _checked(original: TorchModel, draft: Export) -> Export:
    """Return what is known of an export, with its distance from the original.

    Raises:
        _RefusedError: it is too far from the original.
    """
    texts = list(_CHECKED)
    try:
        with _quiet():
            cosines = _cosines(original.encode(texts, 4), OnnxModel(draft).encode(texts, 4))
    except AtlasError:
        raise
    except Exception as error:  # ONNX Runtime has errors of many kinds
        raise _RefusedError(f"The export of the encoder {draft.name!r} does not run: {error!r}.") from error
    least = float(cosines.min())
    bar = LEAST_COSINE[draft.precision]
    if not least >= bar:
        raise _RefusedError(
            f"The {draft.precision} export of the encoder {draft.name!r} gives other vectors than the original: the "
            f"least cosine is {least:.4f}, and must be {bar:g} or more."
        )
    return Export(**{**asdict(draft), "least_cosine": least, "mean_cosine": float(cosines.mean())})


def _cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each row with the row beside it; two rows of zeros, of a text without tokens, are alike."""
    norms = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    cosines: NDArray[np.float32] = (first * second).sum(axis=1) / np.maximum(norms[0] * norms[1], _TINY)
    return np.where(np.maximum(*norms) < _TINY, np.float32(1), cosines)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what tracing and quantizing warn of: the export is compared with the original afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger, level = logging.getLogger(), logging.getLogger().level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
