"""Saved routers: a folder with ``config.json`` and safetensors, written as a whole and checked when read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import ArtifactError, InvalidInputError, SettingError, suggest
from langchain_atlas.files import check_folder, write_folder, writing
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.held_out import HeldOutFigures
from langchain_atlas.routers.kinds import KINDS, class_of
from langchain_atlas.routers.operating import OperatingCurve
from langchain_atlas.routers.saved.layout import check_layout
from langchain_atlas.text_files import read_text

if TYPE_CHECKING:
    import numpy as np

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.routers.base import Router

SCHEMA_VERSION = 3
"""Version of the folder's layout; another one is refused."""

CONFIG = "config.json"
ARRAYS = "arrays.safetensors"

_FITTED_ON = "fitted_on"


@dataclass(frozen=True)
class Artifact:
    """The contents of a saved router."""

    kind: str
    """Kind of router."""
    pairs: tuple[Pair, ...]
    """The pairs it chooses from."""
    encoder: dict[str, Any] | None
    """Name, dimension and fingerprint of the encoder; None when it uses none."""
    settings: dict[str, Any]
    """What `Router.configure` can change."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Anything else that the kind needs, as JSON."""
    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    """Learned numbers, by name."""
    fitted_on: np.ndarray[Any, Any] | None = None
    """`Router.fitted_on`; None for folders of earlier releases, which lack it."""
    curve: OperatingCurve | None = None
    """`Router.curve`."""
    held_out: HeldOutFigures | None = None
    """`Router.held_out`."""


def check_target(folder: str | Path) -> None:
    """Check that a router may be saved to a folder; call it before a long fit.

    Raises:
        ArtifactError: it is a file, or contains other files, which would be lost.
        WritingError: nothing can be written there.
    """
    folder = Path(folder)
    with writing(folder, "Nothing was changed"):
        if folder.exists() and not folder.is_dir():
            raise ArtifactError(f"{str(folder)!r} is a file; a router is saved to a folder.")
        check_folder(folder.resolve())
        there = [path.name for path in folder.iterdir()] if folder.exists() else []
        foreign = [name for name in there if name not in (CONFIG, ARRAYS)]
        if (folder / CONFIG).exists() and not _may_be_ours(folder / CONFIG):
            foreign.append(CONFIG)
        if foreign:
            raise ArtifactError(
                f"{str(folder)!r} holds other files ({foreign[0]!r}); saving would replace the folder. "
                "Name an empty one."
            )


def write_artifact(folder: str | Path, artifact: Artifact) -> None:
    """Write a saved router, replacing the one in `folder` if there is one.

    Raises:
        ArtifactError: `folder` contains other files, which would be lost.
        WritingError: nothing can be written there.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    folder = Path(folder)
    check_target(folder)

    def fill(temporary: Path) -> None:
        # safetensors writes the raw memory and reads it row by row: an array in column order would come back scrambled.
        said = {} if artifact.fitted_on is None else {_FITTED_ON: artifact.fitted_on}
        arrays = {**artifact.arrays, **said}
        try:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary / ARRAYS)
        except SafetensorError as error:  # wraps the operating system's error
            raise OSError(str(error)) from error
        pairs = [str(pair) for pair in artifact.pairs]
        config = {
            "schema_version": SCHEMA_VERSION,
            "package_version": version("langchain-atlas"),
            "kind": artifact.kind,
            "encoder": artifact.encoder,
            "pool": {"pairs": pairs, "fingerprint": _digest(json.dumps(pairs).encode())},
            "settings": artifact.settings,
            "facts": artifact.facts,
            "curve": None if artifact.curve is None else artifact.curve.to_json(),
            "held_out": None if artifact.held_out is None else artifact.held_out.to_json(),
            "files": {ARRAYS: _digest((temporary / ARRAYS).read_bytes())},
        }
        (temporary / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8")

    write_folder(folder, fill)


def read_artifact(folder: str | Path) -> Artifact:
    """Read a saved router's folder.

    Raises:
        ArtifactError: it is not one, it is of another version, or it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    folder = Path(folder)
    config = _read_config(folder)
    try:
        data = (folder / ARRAYS).read_bytes()
        if _digest(data) != config["files"][ARRAYS]:
            raise ArtifactError(f"{folder / ARRAYS} is damaged: its checksum is not the one in {CONFIG}. Fit again.")
        pairs = config["pool"]["pairs"]
        if _digest(json.dumps(pairs).encode()) != config["pool"]["fingerprint"]:
            raise ArtifactError(f"{folder / CONFIG} was changed: its pairs don't match their fingerprint. Fit again.")
        arrays = load(data)
        return Artifact(
            kind=config["kind"],
            pairs=tuple(Pair.parse(pair) for pair in pairs),
            encoder=config["encoder"],
            settings=config["settings"],
            facts=config["facts"],
            fitted_on=arrays.pop(_FITTED_ON, None),
            curve=None if config.get("curve") is None else OperatingCurve(**config["curve"]),
            held_out=None if config.get("held_out") is None else HeldOutFigures(**config["held_out"]),
            arrays=arrays,
        )
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder} has no {ARRAYS}; the saved router is incomplete. Fit again.") from error
    except OSError as error:
        raise ArtifactError(f"{folder / ARRAYS} can't be read: {error}. Fit again.") from error
    except (KeyError, TypeError, AttributeError, InvalidInputError, SafetensorError) as error:
        raise ArtifactError(f"The saved router in {folder} is damaged: {error!r}. Fit again.") from error


def load_router(folder: str | Path, encoder: Encoder | None = None) -> Router:
    """Read a saved router of any kind; see `Router.load`."""
    artifact = read_artifact(folder)
    if not isinstance(artifact.kind, str):
        raise ArtifactError(f"{folder} holds a router of kind {artifact.kind!r}; a kind is a name.")
    if artifact.kind not in KINDS:
        raise ArtifactError(f"{folder} holds a router of kind {artifact.kind!r}. {suggest(artifact.kind, KINDS)}")
    kind: Any = class_of(artifact.kind)
    try:
        check_layout(artifact)
    except (ArtifactError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"The saved router in {folder} is damaged: {error}. Fit again.") from error
    try:
        router: Router = kind.from_artifact(artifact, _matching_encoder(artifact, encoder))
        router.fitted_on, router.curve = artifact.fitted_on, artifact.curve
        router.held_out = artifact.held_out
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError, OverflowError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"The saved router in {folder} is damaged: {error}. Fit again.") from error
    return router


def load_with_settings(spec: str, encoder: Encoder | None = None) -> Router:
    """Read a saved router named as ``FOLDER?setting=value&...``, the settings optional.

    Raises:
        ArtifactError: the folder is not a saved router.
        SettingError: a setting is unknown or out of range.
    """
    folder, settings = read_spec(spec)
    return load_router(folder, encoder).configure(**settings)


def read_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Read ``FOLDER?setting=value&...`` without loading the arrays; call it before long work.

    Returns:
        The folder, and the settings.

    Raises:
        ArtifactError: the folder is not a saved router.
        SettingError: a setting is malformed, or is a text where a number is required.
    """
    folder, _, query = spec.partition("?")
    settings: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            raise SettingError(f"{part!r} in {spec!r} is not a setting; write FOLDER?name=value&name=value.")
        settings[name] = _number(value)
        if name in NUMBERS and not isinstance(settings[name], int | float):
            raise SettingError(f"{name} is {value!r}; it must be a number (in {spec!r}).")
    _read_config(Path(folder))
    return folder, settings


NUMBERS = ("alpha", "cost_weight", "value", "value_usd", "target", "budget", "guard", "max_turns")
"""Settings in ``FOLDER?setting=value`` that are numbers, for all kinds of router."""


def _matching_encoder(artifact: Artifact, encoder: Encoder | None) -> Encoder | None:
    from langchain_atlas.encoders.named import encoder_named

    recorded = artifact.encoder
    if recorded is None:
        return encoder
    try:
        encoder = encoder or encoder_named(recorded["name"])
        encoder.check(recorded["name"], recorded["dimension"], recorded["fingerprint"])
    except SettingError as error:
        raise ArtifactError(
            f"The router was fitted with encoder {recorded['name']!r}, which can't be loaded: {error}"
        ) from error
    return encoder


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ArtifactError(f"{str(folder)!r} is not a folder. A saved router is a folder that 'fit' or 'train' wrote.")
    try:
        config = json.loads(read_text(folder / CONFIG))
    except FileNotFoundError as error:
        raise ArtifactError(f"{str(folder)!r} has no {CONFIG}; it is not a saved router.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{folder / CONFIG} can't be read: {error}. Fit again.") from error
    found = config.get("schema_version") if isinstance(config, dict) else None
    if found != SCHEMA_VERSION:
        raise ArtifactError(
            f"{folder / CONFIG} has schema version {found!r}; this release reads {SCHEMA_VERSION}. Fit again."
        )
    return dict(config)


def _may_be_ours(config: Path) -> bool:
    """Whether a config file belongs to a router, or is too damaged to tell."""
    try:
        content = json.loads(read_text(config))
    except (OSError, ValueError, RecursionError):
        return True
    return isinstance(content, dict) and "schema_version" in content


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
