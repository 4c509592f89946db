"""How what units need travels between the processes of a cluster: by Ray's own pickler, a lock as a new lock."""

from __future__ import annotations

import io
import platform
import threading
from collections import ChainMap
from typing import Any, ClassVar

from langchain_atlas.errors import ExecutionError, SettingError


def packed(value: Any) -> bytes:
    """Return a value as bytes for another process of the cluster; nothing of it is written to a file.

    Raises:
        SettingError: it holds what can't be sent, such as an open connection.
    """
    from ray import cloudpickle

    locks = {type(threading.Lock()): _lock, type(threading.RLock()): _lock_of_thread}

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        dispatch_table: ClassVar[Any] = ChainMap(locks, cloudpickle.Pickler.dispatch_table)

    written = io.BytesIO()
    try:
        Pickler(written).dump(value)
    except Exception as error:  # picklers raise what the objects raise
        raise SettingError(
            f"{type(value).__name__} can't be sent to the machines of a cluster: {error}. Leave the engine out, or "
            "give an object without open connections and threads."
        ) from error
    return written.getvalue()


def unpacked(value: bytes) -> Any:
    """Return what `packed` was given, with arrays of its own that may be written to.

    Raises:
        ExecutionError: something that it needs is not on this machine.
    """
    from ray import cloudpickle

    try:
        return cloudpickle.loads(value)
    except Exception as error:  # unpicklers raise what the objects raise
        raise ExecutionError(
            f"The machine {platform.node()!r} can't read what was sent to it: {type(error).__name__}: {error}. Every "
            "machine needs the same versions of Python and langchain-atlas, and your own scorers and tools."
        ) from error


def _lock(_: Any) -> tuple[Any, tuple[()]]:
    return threading.Lock, ()


def _lock_of_thread(_: Any) -> tuple[Any, tuple[()]]:
    return threading.RLock, ()
