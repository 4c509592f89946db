"""The address of a Ray cluster, checked before anything long begins."""

from __future__ import annotations

import importlib.util
import socket

from langchain_atlas.errors import MissingExtraError, SettingError

_PATIENCE_S = 5.0
_VALID = "Write HOST:PORT of the cluster's head, as 'ray start --head' shows it, or 'auto' for the one on this machine"


def check_installed() -> None:
    """Check that Ray is installed; imports nothing.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("The engine 'ray'", "ray")


def check_address(address: str) -> None:
    """Check that something listens at an address: Ray itself tries for minutes.

    Raises:
        SettingError: it can't be read, or nothing listens there.
    """
    if address == "auto":
        return
    if "://" in address:
        raise SettingError(f"ray_address is {address!r}; addresses of Ray's client are not supported. {_VALID}.")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise SettingError(f"ray_address is {address!r}. {_VALID}.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()
    except OSError as error:
        raise unreachable(address, error) from error


def unreachable(address: str, error: Exception) -> SettingError:
    """Return the error for an address at which there is no cluster that can be used."""
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return SettingError(
        f"No Ray cluster can be used at ray_address {address!r}: {reason[0]} {_VALID}; leave it out to start one on "
        "this machine for this command. The command must run on a machine of the cluster."
    )
