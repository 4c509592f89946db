"""A cluster of two machines on loopback, each with one processor, and a provider that knows sums."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from provider import reach, serve

from langchain_atlas.engines import using_engine
from langchain_atlas.engines.ray import RayEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["reach", "serve"]

MACHINE: dict[str, Any] = {
    "num_cpus": 1,
    "object_store_memory": 100 * 2**20,
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
}


@contextmanager
def two_machines() -> Iterator[Any]:
    """Start a cluster; what is in the environment now is what its machines have."""
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=MACHINE)
    try:
        cluster.add_node(**MACHINE)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture(scope="session")
def machines_environment() -> Iterator[None]:
    """Give this process, and what it starts, what the machines need: loopback, our code, and a key."""
    here = Path(__file__).parent
    given = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps to loopback
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parent), str(here.parents[1])]),
        "ATLAS_TEST_KEY": "secret",
        "DISABLE_AIOHTTP_TRANSPORT": "True",
        "PYTHONWARNINGS": "ignore",
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
    """Return a cluster that stays as it is."""
    with two_machines() as made:
        yield made


@pytest.fixture
def engine(cluster: Any) -> Iterator[RayEngine]:
    """Use the cluster."""
    with using_engine(RayEngine(cluster.address)) as made:
        assert isinstance(made, RayEngine)
        yield made


@pytest.fixture
def start_machines(machines_environment: None) -> Iterator[Callable[[], Any]]:
    """Start clusters of one's own, to break."""
    from contextlib import ExitStack

    with ExitStack() as started:
        yield lambda: started.enter_context(two_machines())


@pytest.fixture
def command() -> list[str]:
    """Return the start of a command line."""
    return [sys.executable, "-c", "from langchain_atlas.cli import main; main()"]
