"""``fit --budget``: alpha chosen from the command line, said, written and saved."""

import json
from pathlib import Path

import pytest
from fitting import fit

from langchain_atlas import encoders
from langchain_atlas.errors import SettingError
from langchain_atlas.routers.base import Router
from langchain_atlas.testing import FakeEncoder

pytestmark = pytest.mark.usefixtures("fake_encoder")


@pytest.mark.parametrize("kind", ["cluster", "knn"])
def test_the_choice_is_said_written_and_saved(kind: str, data: str, tmp_path: Path) -> None:
    out, file = tmp_path / "router", tmp_path / "figures.json"
    done = fit(data, out, "--router", kind, "--budget", "1.5", "--json", str(file))
    figures = json.loads(file.read_text(encoding="utf-8"))
    choice = figures["budget"]
    assert choice["budget_usd_per_1k"] == 1.5
    assert choice["cost_usd_per_1k"] <= 1.5 * (1 + 1e-9)
    assert figures["settings"]["alpha"] == choice["alpha"]
    assert Router.load(out, FakeEncoder(name=encoders.DEFAULT_ENCODER)).settings["alpha"] == choice["alpha"]
    printed = " ".join(done.output.split())
    assert f"{choice['alpha']:g} is the most accurate that stays within $1.5 per 1000 queries" in printed
    assert f"{100 * choice['accuracy']:.1f}% right" in printed
    assert f"${choice['cost_usd_per_1k']:.3g} per 1000" in printed


def test_the_number_of_clusters_holds_for_the_choice_too(data: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    fit(data, tmp_path / "router", "--clusters", "2", "--budget", "2", "--json", str(file))
    assert len(json.loads(file.read_text(encoding="utf-8"))["clusters"]) == 2


def test_without_a_budget_alpha_is_as_before(data: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    fit(data, tmp_path / "router", "--json", str(file))
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert (figures["settings"]["alpha"], figures["budget"]) == (0.5, None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--budget", "2", "--alpha", "0.2"), "--alpha 0.2 with --budget 2: a budget chooses alpha"),
        (("--budget", "2", "--alpha", "0.5"), "--alpha 0.5 with --budget 2: a budget chooses alpha"),
        (("--budget", "0"), "budget is 0.0; it must be a number above 0"),
        (("--budget", "2", "--router", "mlp"), "--budget 2 with --router 'mlp': a budget chooses the alpha of"),
        (("--budget", "2", "--router", "dual", "--parts", "a,b"), "--budget 2 with --router 'dual'"),
    ],
)
def test_a_callers_mistakes_are_told_before_anything_is_read(more: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=said.replace("(", r"\(")):
        fit(str(tmp_path / "missing.parquet"), tmp_path / "router", *more)


def test_nothing_is_saved_when_the_budget_can_not_be_kept(data: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"the cheapest pair, small@@calculator, costs 1\. Raise"):
        fit(data, tmp_path / "router", "--budget", "0.9")
    assert not (tmp_path / "router").exists()
