"""Exported models in the cache folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_atlas.cache_folder import cache_folder

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "model.onnx"
"""The network with pooling and normalisation."""
WEIGHTS = "model.onnx.data"
"""The network's weights, which are mapped into memory: that takes a third of the time to load, and of the memory."""
TOKENIZER = "tokenizer.json"
"""The tokenizer, as the package ``tokenizers`` reads it."""
FACTS = "export.json"
"""What is known about an export, see `Export`."""
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Export:
    """A model that was exported and compared with the original."""

    folder: Path
    """Where its files are."""
    name: str
    """The model's name or folder, as it was asked for."""
    weights: str
    """Fingerprint of the files it was made from."""
    precision: str
    """``"fp32"`` or ``"int8"``."""
    inputs: tuple[str, ...]
    """What the network takes, such as ``input_ids``."""
    max_tokens: int | None
    """Longer texts are truncated to this many tokens; None for any length."""
    pad_id: int
    """The token that fills a batch."""
    prompt: str
    """What the model puts before every text; empty for most."""
    least_cosine: float
    """The smallest cosine between a vector of the original and of the export, over the texts of the check."""
    mean_cosine: float
    """The mean of those cosines."""
    model_bytes: int
    """Size of the network's file."""
    weights_bytes: int = 0
    """Size of the file of its weights; 0 where they are in the network's file, as earlier releases wrote them."""


def export_folder(weights: str, precision: str) -> Path:
    """Return where the export of some weights is kept."""
    return cache_folder() / "onnx" / f"{weights}-{precision}"


def read_export(folder: Path) -> Export | None:
    """Return the export in a folder; None if there is none that is whole."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if facts.pop("schema_version") != SCHEMA_VERSION:
            return None
        export = Export(folder=folder, **{**facts, "inputs": tuple(facts["inputs"])})
        whole = (folder / MODEL).stat().st_size == export.model_bytes and (folder / TOKENIZER).is_file()
        if export.weights_bytes:
            whole = whole and (folder / WEIGHTS).stat().st_size == export.weights_bytes
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return export if whole else None


def exported(name: str, precision: str) -> Export | None:
    """Return the newest export of a model by its name, for a machine that has the export and not the model."""
    found = [read_export(path.parent) for path in (cache_folder() / "onnx").glob(f"*-{precision}/{FACTS}")]
    same = [export for export in found if export is not None and _short(export.name) == _short(name)]
    return max(same, key=lambda export: (export.folder / FACTS).stat().st_mtime_ns, default=None)


def _short(name: str) -> str:
    return name.removeprefix("sentence-transformers/")
