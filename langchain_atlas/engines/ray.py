"""The engine that works on the machines of a Ray cluster. Only this module and `pickling` import Ray, at first use."""

from __future__ import annotations

import os
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_atlas.engines.addresses import check_address, check_installed, unreachable
from langchain_atlas.engines.base import Engine
from langchain_atlas.engines.pickling import packed, unpacked
from langchain_atlas.engines.ray_hosts import RayHosts
from langchain_atlas.engines.units import carried_out, result
from langchain_atlas.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from langchain_atlas.engines.base import Host, OnDone, Work
    from langchain_atlas.engines.units import Done, Failed

S = TypeVar("S")
U = TypeVar("U")
R = TypeVar("R")

_RETRIES = 3
"""How often a unit of `map` is done again whose machine was lost: it has no effect but its result."""
_STORE_BYTES = 256 * 2**20
"""Shared memory of a cluster that is started for one command; what does not fit is kept on disk by Ray."""

_UNPACKED: dict[str, Any] = {}


class RayEngine(Engine):
    """Works on the machines of a Ray cluster, which is connected at the first use.

    A Ray cluster trusts its members: whoever reaches its ports runs code there. Keys are not sent, unless they stand
    in the pool file itself: each machine has them in its environment.

    Args:
        address: ``HOST:PORT`` of the cluster's head, or ``"auto"`` for the one running on this machine; None for the
            environment variable ``RAY_ADDRESS``, and without that for a cluster on this machine, on loopback, that
            ends with the engine. A process that is connected already stays so.

    Raises:
        MissingExtraError: Ray is not installed.
        SettingError: nothing listens at the address.
    """

    def __init__(self, address: str | None = None) -> None:
        check_installed()
        given = address or os.environ.get("RAY_ADDRESS")
        self.address = None if given in {None, "", "local"} else given  # "local" is Ray's word for a new one
        if self.address is not None:
            check_address(self.address)
        self._connected = False

    def map(self, work: Work[S, U, R], shared: S, units: Sequence[U], on_done: OnDone[U] = None) -> list[R]:
        """Do the units on the cluster's processors, one on each; see `Engine.map`."""
        ray = self._connect()
        key, handed = uuid.uuid4().hex, ray.put(packed((work, shared)))
        settings = {"num_cpus": 1, "max_retries": _RETRIES, "scheduling_strategy": "SPREAD"}
        remote = ray.remote(_unit).options(**settings)
        pending = {remote.remote(key, handed, unit): number for number, unit in enumerate(units)}
        found: dict[int, Any] = {}
        try:
            while pending:
                (ready, *_), _ = ray.wait(list(pending), num_returns=1)
                number = pending.pop(ready)
                found[number] = result(_got(ray, ready))
                if on_done is not None:
                    on_done(units[number])
        finally:  # after an error, or an interrupt
            for reference in pending:
                ray.cancel(reference, force=True)
        return [found[number] for number in range(len(units))]

    @asynccontextmanager
    async def host(self, make: Callable[[], Any]) -> AsyncIterator[Host]:
        """Open a host on each machine; see `Engine.host`."""
        hosts = RayHosts(self._connect(), packed(make))
        try:
            await hosts.open()
            yield hosts
        finally:
            hosts.close()

    def close(self) -> None:
        """Leave the cluster, and end it if it was started for this engine."""
        if self._connected:
            import ray

            ray.shutdown()
            self._connected = False

    def _connect(self) -> Any:
        if self.address is None:  # before Ray is imported, which reads it: everything stays on loopback
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        if ray.is_initialized():
            return ray
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if self.address is None:
            settings |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
        try:
            ray.init(address=self.address or "local", **settings)
        except Exception as error:  # Ray raises bare ones
            raise unreachable(self.address or "local", error) from error
        self._connected = True
        return ray


def _got(ray: Any, reference: Any) -> Done | Failed:
    """Return what a task returned.

    Raises:
        ExecutionError: it returned nothing, for a reason of Ray's.
    """
    try:
        return ray.get(reference)  # type: ignore[no-any-return]
    except ray.exceptions.RayError as error:
        raise lost_for_good(error) from error


def lost_for_good(error: Exception) -> ExecutionError:
    """Return the error for work that Ray could not do."""
    last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
    return ExecutionError(
        f"A machine of the Ray cluster could not do its work: {type(error).__name__}: {last[0]} Every machine needs "
        "the same versions of Python, Ray and langchain-atlas, the encoder's files, and enough memory."
    )


def _unit(key: str, handed: bytes, unit: Any) -> Done | Failed:
    """Do one unit, in a worker process."""
    return carried_out(_work, key, handed, unit, travels=packed)


def _work(key: str, handed: bytes, unit: Any) -> Any:
    """Do one unit; what all units share is unpacked once in each process."""
    if key not in _UNPACKED:
        _UNPACKED.clear()
        _UNPACKED[key] = unpacked(handed)
    work, shared = _UNPACKED[key]
    return work(shared, unit)
