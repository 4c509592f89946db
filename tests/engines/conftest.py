"""A cluster of two machines on loopback, each with one processor, and a provider that knows sums."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from provider import reach, serve

from langchain_atlas.engines import using_engine
from langchain_atlas.engines.ray import RayEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["reach", "serve"]

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # keeps to loopback; read when Ray is imported

MACHINE: dict[str, Any] = {
    "num_cpus": 1,
    "object_store_memory": 100 * 2**20,
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
}


@pytest.fixture(scope="session")
def machines_environment() -> Iterator[None]:
    """Give this process, and what it starts, what the machines need: loopback, our code, and a key."""
    here = Path(__file__).parent
    given = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parent), str(here.parents[1])]),
        "ATLAS_TEST_KEY": "secret",
        "DISABLE_AIOHTTP_TRANSPORT": "True",
        "PYTHONWARNINGS": "ignore",
        "RAY_worker_niceness": "0",
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def cluster(machines_environment: None) -> Iterator[Any]:
    """Start two machines, with what is in the environment now, and connect this process once: that takes a while."""
    ray = pytest.importorskip("ray", reason="needs the extra 'ray'")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=MACHINE)
    try:
        made.add_node(**MACHINE)
        ray.init(address=made.address, log_to_driver=False, logging_level="error")
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def engine(cluster: Any) -> Iterator[RayEngine]:
    """Use the cluster."""
    with using_engine(RayEngine(cluster.address)) as made:
        assert isinstance(made, RayEngine)
        yield made


@pytest.fixture
def lose_machine(cluster: Any) -> Iterator[Callable[[], None]]:
    """Add a third machine; what is returned takes it away without a warning."""
    node = cluster.add_node(**MACHINE)

    def lose() -> None:
        cluster.remove_node(node, allow_graceful=False)

    yield lose
    with suppress(ValueError, KeyError):  # it is gone already
        lose()


@pytest.fixture
def command() -> list[str]:
    """Return the start of a command line."""
    return [sys.executable, "-c", "from langchain_atlas.cli import main; main()"]
