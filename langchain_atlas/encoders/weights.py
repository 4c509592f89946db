"""The fingerprint of a model's files."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from langchain_atlas.cache_folder import cache_folder
from langchain_atlas.errors import AtlasError
from langchain_atlas.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

_FILES = (".json", ".safetensors", ".bin", ".model", ".txt")
_DIGITS = 32


def weights_fingerprint(folder: Path) -> str:
    """Return 32 hex digits that differ between models: a digest of the content of all their files.

    Reading the weights takes a while, so the digest is noted in the cache folder, beside the sizes and times of the
    files it belongs to.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in _FILES and path.is_file())
    stamps = [
        [path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns]
        for path, status in ((path, path.stat()) for path in files)
    ]
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:_DIGITS]
    note = cache_folder() / "fingerprints" / f"{place}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["files"] == stamps:
            return str(known["fingerprint"])
    fingerprint = _digest(folder, files)
    with suppress(AtlasError):  # where nothing can be noted it is reckoned every time
        write_text(note, json.dumps({"files": stamps, "fingerprint": fingerprint}))
    return fingerprint


def _digest(folder: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:_DIGITS]
