"""``fit``: every kind of router from the command line, saved and loaded again."""

import json
from pathlib import Path
from typing import Any

import pytest
from asking import sums
from fitting import fit
from recorded import kinds_of_query

from langchain_atlas import encoders
from langchain_atlas.cli.shared import large
from langchain_atlas.errors import SettingError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.kinds import FITTED, class_of
from langchain_atlas.testing import FakeEncoder

pytestmark = pytest.mark.usefixtures("fake_encoder")


@pytest.mark.parametrize("kind", [kind for kind in FITTED if kind not in ("bert", "dual")])
def test_every_kind_is_fitted_saved_and_loaded(kind: str, data: str, tmp_path: Path) -> None:
    out, file = tmp_path / "router", tmp_path / "figures.json"
    printed = fit(data, out, "--router", kind, "--alpha", "0.25", "--seed", "3", "--json", str(file)).output
    router = Router.load(out, FakeEncoder(name=encoders.DEFAULT_ENCODER))
    assert router.kind == kind
    assert router.settings["cost_weight"] == 0.25
    assert set(router.pairs) == set(kinds_of_query().pairs)
    assert router.decide(kinds_of_query().queries[0]).pair in router.pairs
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert (figures["router"], figures["n_queries"], figures["n_pairs"]) == (kind, 18, 3)
    assert figures["settings"] == dict(router.settings)
    assert ("clusters" in figures) == (kind == "cluster")
    assert "Saved to" in printed
    assert "\x1b" not in printed  # no progress bar in a pipe


@pytest.mark.parametrize("kind", [kind for kind in FITTED if kind not in ("bert", "dual")])
def test_a_table_of_one_pair_can_be_fitted(kind: str, data: str, tmp_path: Path) -> None:
    pool = tmp_path / "pool.txt"
    pool.write_text("large@@none\n", encoding="utf-8")
    fit(data, tmp_path / "router", "--router", kind, "--pairs", str(pool))
    router = Router.load(tmp_path / "router", FakeEncoder(name=encoders.DEFAULT_ENCODER))
    assert router.decide(kinds_of_query().queries[0]).pair == Pair("large")


def test_the_table_of_kinds_agrees_with_what_is_loaded() -> None:
    assert [class_of(kind).kind for kind in FITTED] == list(FITTED)


def test_a_text_classifier_fine_tunes_the_encoder_that_is_named(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fit itself takes a model and minutes; here only what it is asked for."""
    from langchain_atlas.routers.learned import bert

    asked: list[dict[str, Any]] = []

    class Refusing(bert.BertRouter):
        def __init__(self, **settings: Any) -> None:
            asked.append(settings)
            raise SettingError("enough")

    monkeypatch.setattr(bert, "BertRouter", Refusing)
    for more in ((), ("--encoder", "folder")):
        with pytest.raises(SettingError, match="enough"):
            fit(data, tmp_path / "router", "--router", "bert", *more)
    assert [settings["model"] for settings in asked] == [encoders.DEFAULT_ENCODER, "folder"]


def test_fewer_clusters_than_asked_for_are_said(data: str, tmp_path: Path) -> None:
    printed = " ".join(fit(data, tmp_path / "router", "--clusters", "500").output.split())
    assert "Note: --clusters is 500, but 18 different queries make no more than 18 clusters." in printed
    assert "Note" not in fit(data, tmp_path / "router", "--clusters", "3").output


def test_domains_without_a_name_are_refused(data: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--domains is ' , ', which names none"):
        fit(data, tmp_path / "router", "--domains", " , ")


def test_the_pool_and_the_domains_are_kept_to(data: str, tmp_path: Path) -> None:
    pool = tmp_path / "pool.txt"
    pool.write_text("small@@search\nlarge@@none\n", encoding="utf-8")
    fit(data, tmp_path / "router", "--router", "knn", "--pairs", str(pool), "--domains", "facts,talk")
    router = Router.load(tmp_path / "router", FakeEncoder(name=encoders.DEFAULT_ENCODER))
    assert set(router.pairs) == {Pair("small", "search"), Pair("large")}


def test_the_number_of_clusters_is_for_cluster_routers(data: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    fit(data, tmp_path / "router", "--clusters", "2", "--json", str(file))
    assert len(json.loads(file.read_text(encoding="utf-8"))["clusters"]) == 2
    with pytest.raises(SettingError, match="a 'linear' router has no clusters"):
        fit(data, tmp_path / "other", "--router", "linear", "--clusters", "2")


def test_an_unknown_kind_is_refused_with_the_kinds_there_are(data: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"Unknown router 'clutser'\. Did you mean 'cluster'\?"):
        fit(data, tmp_path / "router", "--router", "clutser")
    assert not (tmp_path / "router").exists()


def test_a_long_fit_tells_how_far_it_is(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    from langchain_atlas.cli.shared import common

    told: list[tuple[int, int]] = []

    @contextmanager
    def progress(label: str) -> Any:
        yield lambda done, total: told.append((done, total))

    monkeypatch.setattr(common, "progress", progress)
    fit(data, tmp_path / "router", "--router", "mlp")
    assert told[-1][0] == told[-1][1] == len(told)


def test_a_large_table_is_learned_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = sums(count=400)
    table.save(tmp_path / "large.parquet")
    monkeypatch.setattr(large, "LARGE", len(table) - 1)
    monkeypatch.setattr(large, "PART", len(table) // 3)
    file = tmp_path / "figures.json"
    printed = fit(str(tmp_path / "large.parquet"), tmp_path / "router", "--json", str(file)).output
    assert f"Fitting on {len(table)} outcomes, in 3 parts" in printed
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert (figures["n_queries"], figures["n_pairs"]) == (len(table.query_ids), len(table.pairs))
    assert figures["curve"] is not None
    router = Router.load(tmp_path / "router", FakeEncoder(name=encoders.DEFAULT_ENCODER))
    assert isinstance(router, ClusterRouter)
    assert router.statistics_.outcomes.sum() == len(table)
    assert router.curve is not None


def test_of_a_large_table_only_the_chosen_pairs_and_domains_are_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = sums(count=400)
    table.save(tmp_path / "large.parquet")
    monkeypatch.setattr(large, "LARGE", 0)
    (tmp_path / "pool.txt").write_text("\n".join(map(str, table.pairs[:2])))
    chosen = ("--pairs", str(tmp_path / "pool.txt"), "--domains", table.domains[0], "--cost-weight", "0.2")
    fit(str(tmp_path / "large.parquet"), tmp_path / "router", *chosen)
    router = Router.load(tmp_path / "router", FakeEncoder(name=encoders.DEFAULT_ENCODER))
    assert isinstance(router, ClusterRouter)
    assert set(router.pairs) == set(table.pairs[:2])
    kept = table.select(pairs=table.pairs[:2], domains=[table.domains[0]])
    assert router.statistics_.outcomes.sum() == len(kept)
