"""Hosts on the machines of a Ray cluster: one process on each, for work that mostly waits, such as calls of models."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_atlas.engines.base import LostUnitError
from langchain_atlas.engines.pickling import packed, unpacked
from langchain_atlas.engines.units import Done, Failed, carried_out, failed, result
from langchain_atlas.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

U = TypeVar("U")
R = TypeVar("R")

_AT_ONCE = 10_000
"""Units that a host takes at once; how many there are, the one who hands them out decides."""


@dataclass
class _Member:
    """A host on one machine."""

    machine: str
    """Ray's id of the machine."""
    actor: Any
    """The process."""
    busy: int = 0
    """Number of units it has."""


class RayHosts:
    """One host on each machine of a cluster; a unit goes to the one with the fewest.

    Args:
        ray: the module.
        make: makes what a host holds; packed.
    """

    def __init__(self, ray: Any, make: bytes) -> None:
        self._ray, self._make = ray, make
        self._members: list[_Member] = []
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Open a host on every machine that has none.

        Raises:
            Exception: what making the host raised there.
            ExecutionError: no machine is left.
        """
        async with self._opening:
            known = {member.machine for member in self._members}
            nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
            fresh = [self._member(node) for node in nodes if node["NodeID"] not in known]
            await asyncio.gather(*(self._prepare(member) for member in fresh))
        if not self._members:
            raise ExecutionError("No machine of the Ray cluster is left to work on; 'ray status' shows its machines.")

    async def run(self, work: Callable[[Any, U], Awaitable[R]], unit: U) -> R:
        """Do one unit of work on the least busy machine; see `Host.run`."""
        if not self._members:
            await self.open()
        member = min(self._members, key=lambda one: one.busy)
        member.busy += 1
        try:
            found: R = result(await self._answer(member.actor.run.remote(packed((work, unit)))))
        except self._ray.exceptions.RayTaskError as error:
            last = str(error).strip().splitlines()[-1]
            raise ExecutionError(f"A machine of the Ray cluster could not do its work: {last}") from error
        except self._ray.exceptions.RayError as error:
            self._drop(member)
            raise LostUnitError(f"A machine of the Ray cluster was lost ({type(error).__name__}).") from error
        finally:
            member.busy -= 1
        return found

    def close(self) -> None:
        """End all hosts, and what they are doing."""
        for member in [*self._members]:
            self._drop(member)

    def _member(self, node: dict[str, Any]) -> _Member:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        actor = self._ray.remote(_Host).options(num_cpus=0, max_concurrency=_AT_ONCE, scheduling_strategy=here)
        return _Member(node["NodeID"], actor.remote(node["NodeManagerAddress"]))

    async def _prepare(self, member: _Member) -> None:
        self._members.append(member)
        try:
            result(await self._answer(member.actor.prepare.remote(self._make)))
        except self._ray.exceptions.RayTaskError as error:
            self._drop(member)
            last = str(error).strip().splitlines()[-1]
            raise ExecutionError(
                f"A machine of the Ray cluster can't be prepared: {last} Every machine needs the same versions of "
                "Python, Ray and langchain-atlas."
            ) from error
        except self._ray.exceptions.RayError:  # lost meanwhile; others may be there
            self._drop(member)

    async def _answer(self, reference: Any) -> Done | Failed:
        try:
            return await reference  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            self._ray.cancel(reference)
            raise

    def _drop(self, member: _Member) -> None:
        if member in self._members:
            self._members.remove(member)
            self._ray.kill(member.actor)


class _Host:
    """A process that holds what units of work need; made by Ray."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._held: Any = None

    async def prepare(self, make: bytes) -> Done | Failed:
        """Make what is held; an error says on which machine it was raised."""
        made = carried_out(_make, make, travels=packed)
        if isinstance(made, Failed):
            match made.message:
                case (str(told),):
                    return Failed(made.kind, (f"On the machine {self._address}: {told}",), made.state)
            return made
        self._held = made.value
        return Done(None)

    async def run(self, job: bytes) -> Done | Failed:
        """Do one unit; `job` holds the work and the unit."""
        try:
            work, unit = unpacked(job)
            return Done(await work(self._held, unit))
        except Exception as error:  # noqa: BLE001  # raised again where the result is awaited
            return failed(error, packed)


def _make(make: bytes) -> Any:
    return unpacked(make)()
