"""Figures of routers, and settings chosen by cross-validation, are those of one machine."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from recorded import row, table_of

from langchain_atlas.engines import using_engine
from langchain_atlas.engines.ray import RayEngine
from langchain_atlas.errors import PoolError
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.settings.crossvalidation import cross_validate
from langchain_atlas.routers.baselines import RandomRouter, SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.learned.linear import LinearRouter
from langchain_atlas.testing import FakeEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")]


def many(count: int = 160) -> OutcomeTable:
    """Make outcomes of three pairs on two kinds of query, each of which wants a pair of its own."""
    luck = np.random.default_rng(0)
    rows = []
    for number in range(count):
        odd, words = number % 2, " ".join(luck.choice(["apple", "brick", "chair", "drum", "eagle", "fence"], 3))
        text = f"{'sum total' if odd else 'poem rhyme'} {words} {number}"
        for model, right, cost in (("adder", odd, 0.001), ("poet", not odd, 0.002), ("all", luck.random() < 0.7, 0.01)):
            rows.append(row(f"q{number}", model, float(right), cost, query=text, domain=f"d{number % 5}"))
    return table_of(*rows)


def routers(table: OutcomeTable) -> dict[str, Router]:
    encoder = FakeEncoder()
    return {
        "cluster": ClusterRouter(encoder, random_state=0).fit(table),
        "knn": KNNRouter(encoder).fit(table).configure(cost_weight=0.3),
        "single": SinglePairRouter("poet"),
        "random": RandomRouter(table.pairs),
    }


def test_figures_and_intervals_are_those_of_one_machine(cluster: Any) -> None:
    table = many()
    here = evaluate(routers(table), table, edits=2)
    done: list[tuple[int, int]] = []
    with using_engine(RayEngine(cluster.address)):
        there = evaluate(routers(table), table, edits=2, progress=lambda *counts: done.append(counts))
    assert there.to_json() == here.to_json()
    assert done[-1] == (4 * 160, 4 * 160)


def test_a_router_that_knows_no_pair_is_named_as_here(engine: RayEngine) -> None:
    with pytest.raises(PoolError, match="stranger"):
        evaluate({"stranger": SinglePairRouter("elsewhere"), "single": SinglePairRouter("poet")}, many())


@pytest.mark.parametrize("kind", [ClusterRouter, LinearRouter])
def test_settings_are_measured_as_on_one_machine(kind: Any, cluster: Any) -> None:
    table = many(220)
    here = cross_validate(kind(FakeEncoder(), random_state=0), table)
    with using_engine(RayEngine(cluster.address)):
        there = cross_validate(kind(FakeEncoder(), random_state=0), table)
    assert here is not None
    assert there is not None
    for name in ("values", "score", "cost", "latency", "unseen"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))


def test_the_commands_write_the_same_figures(cluster: Any, tmp_path: Path, command: list[str]) -> None:
    data = tmp_path / "table.parquet"
    many().save(data)
    there = ["--engine", "ray", "--ray-address", cluster.address]

    def figures(name: str, *options: str) -> Any:
        out = tmp_path / f"{name}.json"
        done = subprocess.run(
            [*command, *options, "--json", str(out)], capture_output=True, text=True, check=False, timeout=200
        )
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_text())

    router = str(tmp_path / "router")
    here = figures("fit-here", "fit", "--data", str(data), "--out", router)
    assert figures("fit-there", "fit", "--data", str(data), "--out", router, *there) == here
    compared = ["evaluate", "--data", str(data), "--router", router, "--router", f"{router}?cost_weight=0.3"]
    assert figures("there", *compared, *there) == figures("here", *compared)
