"""What a saved router can't have been saved with is refused when it is loaded, and the reason says what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from asking import sums
from recorded import kinds_of_query

from langchain_atlas.errors import ArtifactError
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.dual import Calibration, DualRouter
from langchain_atlas.routers.kinds import class_of
from langchain_atlas.routers.saved.artifact import CONFIG, Artifact, read_artifact, write_artifact
from langchain_atlas.routers.saved.layout import LAYOUTS
from langchain_atlas.testing import FakeEncoder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = ("cluster", "knn", "linear", "mlp", "matrix_factorization", "routerdc", "rl", "dual")
MAY_BE_UNKNOWN = ("scores", "costs", "latencies", "record.cost", "record.latency")
_MADE: dict[str, Artifact] = {}


def _fitted(kind: str) -> Any:
    if kind in ("rl", "dual"):
        quick = TrainingConfig(
            pretraining=PretrainingConfig(belief_steps=3, gain_steps=3, batch=16),
            ppo=PPOConfig(steps=1, batch=16),
            cautious=False,
        )
        policy = train(sums(), FakeEncoder(), config=quick)
        cluster = ClusterRouter(FakeEncoder(), n_clusters=2).fit(sums())
        return (
            policy if kind == "rl" else DualRouter(cluster, policy, calibration=Calibration(distance=1.0, queries=10))
        )
    more = {"mlp": {"hidden": 16}, "matrix_factorization": {"dimension": 16}}.get(kind, {})
    return class_of(kind)(FakeEncoder(), **more).fit(kinds_of_query())


@pytest.fixture(params=KINDS)
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    kind = request.param
    if kind not in _MADE:
        folder = tmp_path_factory.mktemp(kind) / "router"
        _fitted(kind).save(folder)
        _MADE[kind] = read_artifact(folder)
    return _MADE[kind]


def load(folder: Path, artifact: Artifact) -> Router:
    write_artifact(folder, artifact)
    return Router.load(folder, FakeEncoder())


def reals(artifact: Artifact) -> list[str]:
    return [name for name, array in artifact.arrays.items() if array.dtype.kind == "f" and array.size]


def test_a_router_as_it_was_saved_is_taken(artifact: Artifact, tmp_path: Path) -> None:
    assert load(tmp_path / "router", artifact).pairs == artifact.pairs


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_no_array_may_hold_what_is_not_a_number(artifact: Artifact, tmp_path: Path, number: float) -> None:
    for name in reals(artifact):
        broken = artifact.arrays[name].copy()
        broken.flat[-1] = number
        spoilt = replace(artifact, arrays={**artifact.arrays, name: broken})
        if np.isnan(number) and name.endswith(MAY_BE_UNKNOWN) and not name.startswith("records."):
            load(tmp_path / "router", spoilt)
            continue
        with pytest.raises(ArtifactError, match=f"array '.*' holds {'NaN' if np.isnan(number) else ''}"):
            load(tmp_path / "router", spoilt)


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[:-1],
        lambda array: np.concatenate([array, array[-1:]]),
        lambda array: array[None],
        lambda array: array[:0],
        lambda array: array.reshape(-1, 1) if array.ndim == 1 else array.ravel(),
    ],
    ids=["a row less", "a row more", "a dimension more", "nothing", "another shape"],
)
def test_no_array_may_have_a_wrong_size(
    artifact: Artifact, tmp_path: Path, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
) -> None:
    for name, array in artifact.arrays.items():
        if array.size and change(array).shape != array.shape:
            with pytest.raises(ArtifactError, match=r"(?s)router is damaged: .+\. Fit again"):
                load(tmp_path / "router", replace(artifact, arrays={**artifact.arrays, name: change(array)}))


@pytest.mark.parametrize("kind", [np.float16, np.int8, np.bool_, np.complex64])
def test_no_array_may_be_of_another_type(artifact: Artifact, tmp_path: Path, kind: Any) -> None:
    known = LAYOUTS.get(artifact.kind, {})
    for name in [name for name in reals(artifact) if name in known]:
        with pytest.raises(ArtifactError, match=r"holds (float16|int8|bool|complex64); it must hold"):
            load(
                tmp_path / "router",
                replace(artifact, arrays={**artifact.arrays, name: np.zeros_like(artifact.arrays[name], dtype=kind)}),
            )


def test_no_array_may_be_missing(artifact: Artifact, tmp_path: Path) -> None:
    for name in artifact.arrays:
        if not name.split(".")[-1].startswith("forest_"):  # a cluster router without a forest is one
            arrays = {other: array for other, array in artifact.arrays.items() if other != name}
            with pytest.raises(ArtifactError):
                load(tmp_path / "router", replace(artifact, arrays=arrays))


def test_counts_are_not_negative_and_styles_are_known(tmp_path: Path, artifact: Artifact) -> None:
    for name, number in (("records.count", -1), ("count", -1), ("memory.styles", 99), ("memory.styles", -2)):
        if name in artifact.arrays:
            broken = artifact.arrays[name].copy()
            broken.flat[0] = number
            with pytest.raises(ArtifactError, match=f"array '{name}' holds {number}"):
                load(tmp_path / "router", replace(artifact, arrays={**artifact.arrays, name: broken}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("settings",), 3),
        (("settings",), ["alpha"]),
        (("settings", "cost_weight"), float("nan")),
        (("settings", "cost_weight"), "abc"),
        (("settings", "cost_weight"), {"a": 1}),
        (("facts",), None),
        (("facts", "natural_strength"), float("inf")),
        (("facts", "natural_strength"), [1]),
        (("facts", "sizes"), [-1, 49]),
        (("facts", "sizes"), "8"),
        (("facts", "clusters"), [[1]]),
        (("facts", "parameters"), {"n_clusters": "many"}),
        (("facts", "parameters"), 7),
        (("encoder",), []),
        (("encoder",), "fake"),
        (("encoder", "dimension"), "64"),
        (("encoder", "dimension"), -64),
        (("encoder", "dimension"), True),
        (("encoder", "fingerprint"), "x"),
        (("kind",), ["cluster"]),
        (("kind",), None),
    ],
    ids=lambda part: str(part)[:30],
)
def test_what_stands_beside_the_arrays_is_checked_too(tmp_path: Path, path: tuple[str, ...], value: Any) -> None:
    folder = tmp_path / "router"
    _fitted("cluster").save(folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    inner = config
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ArtifactError):
        Router.load(folder, FakeEncoder())


def test_a_policy_that_says_it_is_huge_takes_no_memory(tmp_path: Path) -> None:
    _fitted("rl").save(tmp_path / "router")
    artifact = read_artifact(tmp_path / "router")
    facts = {**artifact.facts, "policy": {**artifact.facts["policy"], "width": 10**7}}
    with pytest.raises(ArtifactError, match="its policy is 10000000 wide"):
        load(tmp_path / "router", replace(artifact, facts=facts))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema_version": 1e999}', "nan", '{"a": ' * 5_000])
def test_a_config_that_is_nested_or_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIG).write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError):
        Router.load(tmp_path, FakeEncoder())
