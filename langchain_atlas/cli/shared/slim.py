"""What commands check that learn: a slim install is without the libraries for it."""

from __future__ import annotations

from importlib.util import find_spec

from langchain_atlas.errors import FOR_LEARNING, SlimInstallError


def check_can_learn(command: str) -> None:
    """Check that the libraries for learning are installed; call it before long work. Imports none of them.

    Raises:
        SlimInstallError: some are not.
    """
    missing = [package for module, package in FOR_LEARNING.items() if find_spec(module) is None]
    if missing:
        raise SlimInstallError(f"'{command}'", missing)
